//! Our LLaVA against transformers on the same checkpoint: `tests/reference/llava.py` recorded the numbers.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{D, DType, Device, Tensor};
use sentinel_models::config::Config;
use sentinel_models::families::llama::{KeyValue, Positions};
use sentinel_models::image::Picture;
use sentinel_models::layers::causal_mask;
use sentinel_models::model::{Model, Place};
use sentinel_models::weights::{Checkpoint, Weights};

/// Position of the first `<image>` token in the recorded prompt.
const IMAGE_AT: usize = 3;

fn fixture() -> (Model, HashMap<String, Tensor>) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llava-tiny");
    let device = Device::Cpu;
    let config = Config::read(&dir).unwrap();
    let weights = Weights::Frozen(Checkpoint::open(&dir, &device).unwrap());
    let expected = candle_core::safetensors::load(dir.join("expected.safetensors"), &device).unwrap();
    (Model::take(&weights, &config, &device).unwrap(), expected)
}

/// Squares as pictures of sixteen tokens.
fn pictures(pixels: &Tensor) -> Vec<Picture> {
    let one = |at| Picture { pixels: pixels.get(at).unwrap(), place: Place::line(16), size: (56, 56) };
    (0..pixels.dim(0).unwrap()).map(one).collect()
}

fn ids(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::U32).unwrap()
}

/// Greatest difference over greatest magnitude.
fn relative(ours: &Tensor, theirs: &Tensor) -> f32 {
    assert_eq!(ours.dims(), theirs.dims());
    let scalar = |t: Tensor| t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    scalar((ours - theirs).unwrap()) / scalar(theirs.clone())
}

#[test]
fn image_features_agree_with_transformers() {
    let (model, expected) = fixture();
    let features = model.features(&pictures(&expected["pixels"])).unwrap();
    let features = Tensor::stack(&features, 0).unwrap();
    let difference = relative(&features, &expected["features"]);
    assert!(difference < 1e-5, "relative difference {difference:e}");
}

#[test]
fn logits_of_prompt_and_continuation_agree_with_transformers() {
    let (model, expected) = fixture();
    let tokens = Tensor::cat(&[ids(&expected["prompt"]), ids(&expected["greedy"])], 1).unwrap();
    let t = tokens.dim(1).unwrap();
    let features = model.features(&pictures(&expected["pixels"])).unwrap();
    let embedded = model.splice(&tokens, &features, IMAGE_AT).unwrap();
    let mask = causal_mask(t, t, &Device::Cpu).unwrap();
    let hidden = model.decoder.forward(&embedded, Positions::From(0), Some(&mask), None, None, |_| ()).unwrap();
    let difference = relative(&model.decoder.logits(&hidden).unwrap(), &expected["logits"]);
    assert!(difference < 1e-5, "relative difference {difference:e}");
}

#[test]
fn greedy_tokens_over_kept_keys_and_values_are_those_of_transformers() {
    let (model, expected) = fixture();
    let mut tokens = ids(&expected["prompt"]);
    let features = model.features(&pictures(&expected["pixels"])).unwrap();
    let mut embedded = model.splice(&tokens, &features, IMAGE_AT).unwrap();
    let mut past: Option<Vec<KeyValue>> = None;
    let mut length = 0;
    for _ in 0..expected["greedy"].dim(1).unwrap() {
        let t = embedded.dim(1).unwrap();
        let mask = causal_mask(t, length + t, &Device::Cpu).unwrap();
        let mut new = Vec::new();
        let hidden = model
            .decoder
            .forward(&embedded, Positions::From(length), Some(&mask), past.as_deref(), None, |kv| new.push(kv))
            .unwrap();
        past = Some(match past {
            None => new,
            Some(old) => old.iter().zip(&new).map(|(old, new)| append(old, new)).collect(),
        });
        length += t;
        let last = model.decoder.logits(&hidden.narrow(1, t - 1, 1).unwrap()).unwrap();
        let next = last.argmax(D::Minus1).unwrap();
        embedded = model.decoder.embed(&next).unwrap();
        tokens = Tensor::cat(&[tokens, next], 1).unwrap();
    }
    let prompt = expected["prompt"].dim(1).unwrap();
    let ours = tokens.narrow(1, prompt, tokens.dim(1).unwrap() - prompt).unwrap().to_vec2::<u32>().unwrap();
    assert_eq!(ours, ids(&expected["greedy"]).to_vec2::<u32>().unwrap());
}

fn append(old: &KeyValue, new: &KeyValue) -> KeyValue {
    (Tensor::cat(&[&old.0, &new.0], 1).unwrap(), Tensor::cat(&[&old.1, &new.1], 1).unwrap())
}
