//! Detectors against what `tests/reference/detect.py` recorded of the reference programs, and against themselves: the two
//! engines, pictures alone and in company, one thread and two.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

mod support;

use std::collections::BTreeMap;

use prost::Message;
use sentinel_detect::Engine;
use sentinel_domain::ports::DetectorSpec;
use sentinel_domain::records::FoundBox;
use support::{detect, engines, fixture, open, picture, root, spec};
use tract_onnx::pb::{ModelProto, StringStringEntryProto, type_proto};

const DETECTORS: [&str; 5] = ["detr", "rt-detr", "yolo", "yolo-batch-1", "yolo-end-to-end"];
const PICTURES: [&str; 3] = ["double", "tall", "wide"];

/// Of a score, and of a box's side over the picture's longest side. ONNX Runtime in Python gave the recorded outputs.
const TOLERANCE: f32 = 1e-5;
/// The same, between the engines.
const TOLERANCE_TRACT: f32 = 1e-4;

type Row = (String, f32, [f32; 4]);

fn recorded(detector: &str, picture: &str) -> Vec<FoundBox> {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let all: BTreeMap<String, BTreeMap<String, Vec<Row>>> = serde_json::from_str(&text).unwrap();
    all[detector][picture]
        .iter()
        .map(|(name, score, xyxy)| FoundBox { name: name.clone(), score: *score, xyxy: *xyxy })
        .collect()
}

fn assert_close(found: &[FoundBox], wanted: &[FoundBox], engine: &Engine, side: f32, what: &str) {
    let tolerance = match engine {
        Engine::Tract => TOLERANCE_TRACT,
        Engine::OnnxRuntime(_) => TOLERANCE,
    };
    let names = |boxes: &[FoundBox]| boxes.iter().map(|found| found.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        let off = found.xyxy.iter().zip(wanted.xyxy).map(|(a, b)| (a - b).abs() / side).fold(0.0, f32::max);
        let off = off.max((found.score - wanted.score).abs());
        assert!(off <= tolerance, "{what}: {found:?} is {off} off {wanted:?}");
    }
}

#[test]
fn answers_are_those_of_the_reference_programs() {
    for engine in engines() {
        for name in DETECTORS {
            let detector = open(name, &engine, None);
            for shown in PICTURES {
                let found = detect(&*detector, &[picture(shown)]).unwrap().remove(0).unwrap();
                let wanted = recorded(name, shown);
                assert!(!wanted.is_empty());
                assert_close(&found, &wanted, &engine, 192.0, &format!("{name}, {shown}, {}", engine.identity()));
            }
        }
    }
}

#[test]
fn a_picture_is_answered_as_if_alone_on_any_number_of_threads() {
    for engine in engines() {
        for name in DETECTORS {
            let pictures: Vec<_> = PICTURES.iter().cycle().take(8).map(|shown| picture(shown)).collect();
            let alone: Vec<_> = PICTURES
                .iter()
                .map(|shown| detect(&*open(name, &engine, Some(1)), &[picture(shown)]).unwrap().remove(0))
                .collect();
            for threads in [1, 2, 4] {
                let together = detect(&*open(name, &engine, Some(threads)), &pictures).unwrap();
                for (at, answer) in together.iter().enumerate() {
                    assert_eq!(answer, &alone[at % PICTURES.len()], "{name}, {}, {threads} threads", engine.identity());
                }
            }
        }
    }
}

#[test]
fn the_tiny_worlds_detectors_see_a_scene() {
    for engine in engines() {
        for (family, name) in [("yolo", "tiny-world-yolo"), ("detr", "tiny-world-detr")] {
            let mut spec = spec(family, root(&format!("examples/tiny-world/{family}.onnx")));
            spec.labels = Some(root("examples/tiny-world/labels.txt"));
            let detector = sentinel_detect::open(&spec, &Default::default(), &engine).unwrap();
            assert_eq!(detector.vocabulary().unwrap().len(), 32);
            let scene = picture("scene");
            let found = detect(&*detector, &[scene.clone(), picture("wide"), scene.clone()]).unwrap();
            assert_eq!(found[0], found[2]);
            assert_eq!(found[0], detect(&*detector, &[scene]).unwrap()[0]);
            let found = found[0].as_ref().unwrap();
            assert_close(found, &recorded(name, "scene"), &engine, 224.0, &format!("{name}, {}", engine.identity()));
        }
    }
}

#[test]
fn thresholds_of_the_workflow_replace_the_familys() {
    let found = |confidence, iou| {
        let spec = DetectorSpec { confidence, iou, ..spec("yolo", fixture("yolo.onnx")) };
        let detector = sentinel_detect::open(&spec, &Default::default(), &Engine::Tract).unwrap();
        detect(&*detector, &[picture("wide")]).unwrap().remove(0).unwrap()
    };
    let all = found(None, None);
    let strong: Vec<_> = all.iter().filter(|found| found.score > 0.9).cloned().collect();
    assert!(strong.len() < all.len());
    assert_eq!(found(Some(0.9), None), strong);
    let (apart, overlapping) = (found(None, Some(0.2)).len(), found(None, Some(1.0)).len());
    assert!(apart < all.len() && all.len() < overlapping, "{apart} < {} < {overlapping}", all.len());
}

#[test]
fn an_input_of_any_size_is_used_as_the_metadata_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let mut model = ModelProto::decode(std::fs::read(fixture("yolo.onnx")).unwrap().as_slice()).unwrap();
    let Some(type_proto::Value::TensorType(input)) =
        &mut model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().value
    else {
        panic!("the input is a tensor")
    };
    for axis in &mut input.shape.as_mut().unwrap().dim[2..] {
        axis.value = None;
    }
    model.metadata_props.push(StringStringEntryProto { key: "imgsz".to_owned(), value: "[64, 96]".to_owned() });
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    for engine in engines() {
        let detector = sentinel_detect::open(&spec("yolo", path.clone()), &Default::default(), &engine).unwrap();
        let found = detect(&*detector, &[picture("wide")]).unwrap().remove(0).unwrap();
        assert_close(&found, &recorded("yolo", "wide"), &engine, 192.0, &engine.identity());
    }
}
