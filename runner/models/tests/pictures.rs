//! Our image processor against transformers' PIL backend: `tests/reference/pictures.py` recorded the values.

use std::path::Path;

use candle_core::{DType, Device};
use sentinel_models::image::ClipProcessor;

#[test]
fn resized_bytes_are_equal_and_normalised_values_within_1e_6() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pictures");
    let processor = ClipProcessor::read(&dir, 4).unwrap();
    let expected = candle_core::safetensors::load(dir.join("expected.safetensors"), &Device::Cpu).unwrap();
    let names: Vec<String> = serde_json::from_str(&std::fs::read_to_string(dir.join("names.json")).unwrap()).unwrap();
    assert!(names.len() > 8);
    for name in names {
        let crop = processor.crop(&std::fs::read(dir.join(format!("{name}.png"))).unwrap()).unwrap();
        let recorded = expected[&format!("{name}.uint8")].flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let wrong = crop.iter().zip(&recorded).filter(|(ours, theirs)| ours != theirs).count();
        assert_eq!((crop.len(), wrong), (recorded.len(), 0), "{name}: {wrong} bytes of {} differ", recorded.len());
        let pixels = processor.normalise(&crop, &Device::Cpu).unwrap();
        let difference = (pixels - expected[&format!("{name}.pixels")].to_dtype(DType::F32).unwrap()).unwrap();
        let greatest = difference.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(greatest <= 1e-6, "{name}: {greatest:e}");
    }
}

#[test]
fn what_is_no_picture_is_an_error() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pictures");
    let processor = ClipProcessor::read(&dir, 4).unwrap();
    let whole = std::fs::read(dir.join("odd.png")).unwrap();
    for bytes in [&b""[..], b"not a picture", &whole[..whole.len() / 2]] {
        processor.crop(bytes).unwrap_err();
    }
}
