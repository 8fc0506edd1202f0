//! Files and pictures that are wrong in ways files and pictures are: each is refused with words that help, none panics.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use sentinel_detect::Engine;
use sentinel_domain::ports::{DetectorSpec, EngineError};
use support::{detect, engines, fixture, open, picture, spec};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_shape_proto, type_proto};

/// A changed copy of a fixture's model.
fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> (tempfile::TempDir, PathBuf) {
    let mut model = ModelProto::decode(std::fs::read(fixture(name)).unwrap().as_slice()).unwrap();
    change(&mut model);
    written(&model.encode_to_vec())
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Why a detector is not opened, without the path of the file.
fn refusal(spec: &DetectorSpec) -> String {
    let error = sentinel_detect::open(spec, &Default::default(), &Engine::Tract).map(|_| ()).unwrap_err().to_string();
    error.replace(&format!("`{}` ", spec.path.display()), "")
}

fn refusal_of(family: &str, name: &str, change: impl FnOnce(&mut ModelProto)) -> String {
    let (_dir, path) = changed(name, change);
    let labels = (family != "yolo").then(|| fixture("labels.txt"));
    refusal(&DetectorSpec { labels, ..spec(family, path) })
}

/// The declared tensor type of an input or output.
fn tensor_type(model: &mut ModelProto, output: bool, at: usize) -> &mut type_proto::Tensor {
    let graph = model.graph.as_mut().unwrap();
    let port = if output { &mut graph.output[at] } else { &mut graph.input[at] };
    let type_proto::Value::TensorType(tensor) = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
    tensor
}

fn set_dims(tensor: &mut type_proto::Tensor, dims: &[i64]) {
    let dim = |value: &i64| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(*value)),
        ..Default::default()
    };
    tensor.shape.as_mut().unwrap().dim = dims.iter().map(dim).collect();
}

#[test]
fn files_that_are_no_models() {
    let whole = std::fs::read(fixture("yolo.onnx")).unwrap();
    for bytes in [&b""[..], b"not a model", &[0xff; 4096], &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        let (_dir, path) = written(bytes);
        let reason = refusal(&spec("yolo", path));
        assert!(reason.starts_with("is not an ONNX file: "), "{} bytes: {reason}", bytes.len());
    }
    let reason = refusal(&spec("yolo", fixture("nowhere.onnx")));
    assert!(reason.starts_with("cannot read") && reason.contains("No such file"), "{reason}");
}

#[test]
fn models_whose_graph_is_damaged() {
    let (_dir, path) = changed("yolo.onnx", |model| {
        model.graph.as_mut().unwrap().node.last_mut().unwrap().op_type = "Nothing".to_owned();
    });
    for engine in engines() {
        let detector = sentinel_detect::open(&spec("yolo", path.clone()), &Default::default(), &engine).unwrap();
        let error = detect(&*detector, &[picture("wide")]).unwrap_err();
        let EngineError::Refused(reason) = error else { panic!("{error}") };
        assert!(reason.contains("cannot open `") && reason.contains("model.onnx`: "), "{reason}");
    }
}

#[test]
fn models_of_another_layout() {
    let refused = [
        (
            refusal_of("yolo", "yolo.onnx", |model| model.graph.as_mut().unwrap().output[0].name = "boxes".to_owned()),
            "has no output `output0`, only `boxes`",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| set_dims(tensor_type(model, true, 0), &[1, 96, 9])),
            "answers with `output0` shaped (1, 96, 9); with 3 class names it should be (N, 7, A) or (N, K, 6)",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| set_dims(tensor_type(model, false, 0), &[8, 3, 64, 96])),
            "takes exactly 8 pictures at once; export it with a batch of 1 or a free one",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| set_dims(tensor_type(model, false, 0), &[1, 1, 64, 96])),
            "takes `images` shaped (1, 1, 64, 96), expected (N, 3, H, W)",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| set_dims(tensor_type(model, false, 0), &[1, 3, 64, 1 << 40])),
            "takes pictures of side 1099511627776, expected 1 to 4096",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| tensor_type(model, false, 0).elem_type = 10),
            "takes `images` as 16-bit floats; export it with 32-bit floats",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| model.metadata_props[1].value = "segment".to_owned()),
            "was exported for the task `segment`, expected `detect`",
        ),
        (
            refusal_of("yolo", "yolo.onnx", |model| {
                let far = TensorProto { name: "far".to_owned(), data_location: Some(1), ..Default::default() };
                model.graph.as_mut().unwrap().initializer.push(far);
            }),
            "keeps weights in other files (`far`); save it as one file, weights inside",
        ),
        (refusal_of("detr", "yolo.onnx", |_| {}), "has no input `pixel_values`, only `images`"),
        (
            refusal_of("detr", "rt-detr.onnx", |model| set_dims(tensor_type(model, true, 0), &[1, 36, 3])),
            "answers with 3 `logits` a query; with 3 class names it should be 4, one a class name and one for \"no object\"",
        ),
        (
            refusal_of("detr", "detr.onnx", |model| set_dims(tensor_type(model, true, 1), &[1, 12, 5])),
            "answers with `pred_boxes` shaped (1, 12, 5), expected (N, Q, 4)",
        ),
    ];
    for (reason, wanted) in refused {
        assert_eq!(reason, wanted);
    }
}

#[test]
fn names_that_do_not_fit() {
    assert_eq!(
        refusal_of("yolo", "yolo.onnx", |model| model.metadata_props.clear()),
        "carries no class names; give them in a file, one a line, as `labels:`"
    );
    assert!(
        refusal_of("yolo", "yolo.onnx", |model| model.metadata_props[0].value = "{0: 'cat'".to_owned())
            .ends_with(": expected `}` at byte 9 of `names`")
    );
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    std::fs::write(&labels, "cat\ndog\n").unwrap();
    let (_dir, path) = changed("yolo.onnx", |model| set_dims(tensor_type(model, true, 0), &[1, 7, 96]));
    let few = DetectorSpec { labels: Some(labels.clone()), ..spec("yolo", path) };
    assert_eq!(
        refusal(&few),
        "answers with `output0` shaped (1, 7, 96); with 2 class names it should be (N, 6, A) or (N, K, 6)"
    );
    std::fs::write(&labels, [0xff, 0xfe, 0x00]).unwrap();
    assert!(refusal(&few).contains("stream did not contain valid UTF-8"));
}

#[test]
fn an_answer_that_fits_its_declaration_only_by_silence() {
    let (_dir, path) = changed("yolo.onnx", |model| tensor_type(model, true, 0).shape = None);
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    std::fs::write(&labels, "cat\ndog\n").unwrap();
    for engine in engines() {
        let silent = DetectorSpec { labels: Some(labels.clone()), ..spec("yolo", path.clone()) };
        let detector = sentinel_detect::open(&silent, &Default::default(), &engine).unwrap();
        let error = detect(&*detector, &[picture("wide")]).unwrap_err().to_string();
        assert!(
            error.ends_with("shaped (1, 7, 96); with 2 class names it should be (N, 6, A) or (N, K, 6)"),
            "{error}"
        );
    }
}

#[test]
fn answers_that_are_no_numbers_cost_the_picture() {
    for (family, name) in
        [("yolo", "yolo.onnx"), ("yolo", "yolo-end-to-end.onnx"), ("detr", "detr.onnx"), ("rt-detr", "rt-detr.onnx")]
    {
        let (_dir, path) = changed(name, |model| spoil(model.graph.as_mut().unwrap()));
        for engine in engines() {
            let labels = (family != "yolo").then(|| fixture("labels.txt"));
            let spec = DetectorSpec { labels, ..spec(family, path.clone()) };
            let detector = sentinel_detect::open(&spec, &Default::default(), &engine).unwrap();
            let fault = detect(&*detector, &[picture("wide")]).unwrap().remove(0).unwrap_err();
            assert_eq!(fault.reason, "not-a-number", "{name}: {}", fault.detail);
            assert!(fault.detail.contains("` holds NaN at [0, "), "{}", fault.detail);
        }
    }
}

/// Multiplies every output by NaN.
fn spoil(graph: &mut GraphProto) {
    let nan = TensorProto { name: "nan".to_owned(), data_type: 1, float_data: vec![f32::NAN], ..Default::default() };
    graph.initializer.push(nan);
    for name in graph.output.iter().map(|output| output.name.clone()).collect::<Vec<_>>() {
        let inner = format!("{name} before");
        let made = graph.node.iter_mut().flat_map(|node| &mut node.output).find(|output| **output == name);
        made.unwrap().clone_from(&inner);
        let op_type = "Mul".to_owned();
        graph.node.push(NodeProto {
            op_type,
            input: vec![inner, "nan".to_owned()],
            output: vec![name],
            ..Default::default()
        });
    }
}

#[test]
fn pictures_that_are_none_cost_themselves() {
    let good = picture("wide");
    let cut = Arc::new(good[..good.len() / 2].to_vec());
    let bad = [
        Arc::new(Vec::new()),
        Arc::new(b"GIF89a".to_vec()),
        cut,
        png(0, 5),
        png(100_000, 100_000),
        png(16_384, 16_384),
    ];
    let detector = open("yolo", &Engine::Tract, None);
    let mut pictures = vec![Arc::clone(&good)];
    pictures.extend(bad);
    let answers = detect(&*detector, &pictures).unwrap();
    assert_eq!(answers[0], detect(&*detector, &[good]).unwrap()[0]);
    for answer in &answers[1..] {
        let fault = answer.as_ref().unwrap_err();
        assert_eq!(fault.reason, "unreadable-picture", "{}", fault.detail);
        assert!(fault.detail.starts_with("the picture cannot be decoded: "), "{}", fault.detail);
    }
}

#[test]
fn the_thinnest_pictures_are_answered() {
    for (width, height) in [(1, 1), (1, 3000), (3000, 1)] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let bytes = Arc::new(bytes.into_inner());
        for name in ["yolo", "rt-detr"] {
            detect(&*open(name, &Engine::Tract, None), &[Arc::clone(&bytes)]).unwrap().remove(0).unwrap();
        }
    }
}

#[test]
fn words_that_are_wrong() {
    assert_eq!(
        refusal(&spec("yola", fixture("yolo.onnx"))),
        "unknown detector family `yola`, expected one of `detr`, `rt-detr`, `yolo`"
    );
    for (field, confidence, iou) in
        [("confidence", Some(f32::NAN), None), ("confidence", Some(-0.1), None), ("iou", None, Some(1.5))]
    {
        let reason = refusal(&DetectorSpec { confidence, iou, ..spec("yolo", fixture("yolo.onnx")) });
        assert!(reason.starts_with(&format!("detector `probe`: `{field}` is ")), "{reason}");
    }
}

/// A PNG that claims a size and holds no pixels.
fn png(width: u32, height: u32) -> Arc<Vec<u8>> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        let body = [kind, data].concat();
        bytes.extend(&body);
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        let crc = body.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
        bytes.extend((!crc).to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    chunk(b"IEND", &[]);
    Arc::new(bytes)
}

#[test]
fn models_with_a_few_wrong_bytes_are_refused_or_answer() {
    let whole = std::fs::read(fixture("yolo.onnx")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let (mut state, mut refused) = (1u64, 0);
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..100 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            bytes[next(whole.len())] = next(256) as u8;
        }
        std::fs::write(&path, bytes).unwrap();
        for engine in engines() {
            let opened = sentinel_detect::open(&spec("yolo", path.clone()), &Default::default(), &engine);
            refused += usize::from(opened.is_err() || detect(&*opened.unwrap(), &[picture("wide")]).is_err());
        }
    }
    assert!(refused > 0);
}
