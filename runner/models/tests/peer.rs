//! candle-transformers' LLaVA beside ours, both judged by what transformers computes with the same checkpoint
//! (`tests/reference/llava.py` recorded it): where the peer is right, and in which named ways it is not. A newer peer that is
//! right makes these tests fail, and with them the reason for model code of our own.
//!
//! The checkpoint cannot tell other divergences: its layer norms have the ε that the peer has built in, its pictures one tile.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{D, DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use candle_transformers::models::llama::Cache;
use candle_transformers::models::llava::LLaVA;
use candle_transformers::models::llava::config::{
    HFGenerationConfig, HFLLaVAConfig, HFPreProcessorConfig, LLaVAConfig,
};
use sentinel_models::config::Config;
use sentinel_models::families::Family;
use sentinel_models::families::llava::Llava;
use sentinel_models::weights::{Checkpoint, Weights};
use serde_json::{Value, json};

/// Position of the first `<image>` token in the recorded prompt, and how many there are.
const IMAGE_AT: usize = 3;
const IMAGES: usize = 16;

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llava-tiny")
}

fn recorded() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture().join("expected.safetensors"), &Device::Cpu).unwrap()
}

/// Greatest difference over greatest magnitude.
fn relative(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let peak = |t: Tensor| t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    peak((found - expected).unwrap()) / peak(expected.clone())
}

/// The checkpoint's configuration as the peer reads it, with what LLaVA-1.5's files do not say filled in.
fn configuration() -> LLaVAConfig {
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture().join("config.json")).unwrap()).unwrap();
    let mut fill = |pointer: &str, fields: Value| {
        let part = config.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        for (name, value) in fields.as_object().unwrap() {
            part.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    };
    fill("", json!({"ignore_index": -100, "image_grid_pinpoints": [], "torch_dtype": "float32"}));
    fill("", json!({"use_image_newline_parameter": false, "vocab_size": 160}));
    fill("/text_config", json!({"architectures": [], "torch_dtype": "float32"}));
    fill("/vision_config", json!({"vocab_size": 0}));
    let config: HFLLaVAConfig = serde_json::from_value(config).unwrap();
    let generation = HFGenerationConfig { bos_token_id: 1, eos_token_id: 2, max_length: 256, pad_token_id: 0 };
    let preprocessor: HFPreProcessorConfig = serde_json::from_value(json!({
        "aspect_ratio_setting": "square", "crop_size": {}, "do_center_crop": true, "do_convert_rgb": true,
        "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [], "image_std": [], "resample": 3,
        "rescale_factor": 1.0, "size": {},
    }))
    .unwrap();
    config.to_llava_config(&generation, &preprocessor)
}

/// The peer's configuration with what its conversion gets wrong for this checkpoint put right.
fn mended() -> LLaVAConfig {
    LLaVAConfig { mm_hidden_size: 48, mm_patch_merge_type: "flat".to_owned(), ..configuration() }
}

/// The checkpoint by the names the peer asks for.
fn tensors() -> HashMap<String, Tensor> {
    let stored = candle_core::safetensors::load(fixture().join("model.safetensors"), &Device::Cpu).unwrap();
    let tower = |name: String| match name.strip_prefix("vision_tower.") {
        Some(rest) => format!("vision_tower.vision_model.{rest}"),
        None => name,
    };
    stored.into_iter().map(|(name, tensor)| (tower(name), tensor)).collect()
}

/// The peer with a tower of so many layers, and a newline of all ones.
fn peer(config: &LLaVAConfig, layers: usize) -> LLaVA {
    let mut tensors = tensors();
    tensors.insert("image_newline".to_owned(), Tensor::ones(48, DType::F32, &Device::Cpu).unwrap());
    load(config, layers, tensors).unwrap()
}

fn load(config: &LLaVAConfig, layers: usize, tensors: HashMap<String, Tensor>) -> candle_core::Result<LLaVA> {
    let clip = ClipVisionConfig {
        embed_dim: 48,
        activation: Activation::QuickGelu,
        intermediate_size: 96,
        num_hidden_layers: layers,
        num_attention_heads: 4,
        projection_dim: 32,
        num_channels: 3,
        image_size: 56,
        patch_size: 14,
    };
    LLaVA::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), config, Some(clip))
}

fn failure<T>(result: candle_core::Result<T>) -> String {
    result.err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

/// A recorded prompt as the peer takes it: one `<image>` token a picture.
fn short_prompt(recorded: &HashMap<String, Tensor>, row: usize) -> Tensor {
    let prompt = recorded["prompt"].i(row..row + 1).unwrap().to_dtype(DType::I64).unwrap();
    let after = IMAGE_AT + IMAGES;
    let rest = prompt.narrow(1, after, prompt.dim(1).unwrap() - after).unwrap();
    Tensor::cat(&[prompt.narrow(1, 0, IMAGE_AT + 1).unwrap(), rest], 1).unwrap()
}

#[test]
fn the_peer_takes_the_last_hidden_state_for_the_last_but_one() {
    let recorded = recorded();
    let config = Config::read(&fixture()).unwrap();
    let weights = Weights::Frozen(Checkpoint::open(&fixture(), &Device::Cpu).unwrap());
    let Family::Llava(llava) = &config.family else { panic!("the fixture is a LLaVA") };
    let ours = Llava::take(&weights, llava, config.text.hidden).unwrap();
    let difference = relative(&ours.image_features(&recorded["pixels"]).unwrap(), &recorded["features"]);
    assert!(difference < 1e-5, "ours: {difference:e}");
    let features = |layers| peer(&mended(), layers).encode_images(&recorded["pixels"]).unwrap();
    let difference = relative(&features(3), &recorded["features"]);
    assert!(difference > 0.1, "the peer: {difference:e}");
    // All else in the tower and the projector is right: told that there is one layer fewer, it agrees.
    let difference = relative(&features(2), &recorded["features"]);
    assert!(difference < 1e-5, "the peer with a layer fewer: {difference:e}");
}

#[test]
fn the_peer_takes_the_pooled_class_token_for_the_last_hidden_state() {
    let config = LLaVAConfig { mm_vision_select_layer: -1, mm_vision_select_feature: "cls_patch".into(), ..mended() };
    let features = peer(&config, 3).encode_images(&recorded()["pixels"]).unwrap();
    // One vector for each of the two pictures, where 17 were asked for.
    assert_eq!(features.dims(), [2, 48]);
}

#[test]
fn the_peer_wants_what_this_family_does_not_have() {
    assert_eq!(configuration().mm_hidden_size, 1024, "the tower is 48 wide");
    assert!(failure(load(&configuration(), 3, tensors())).contains("multi_modal_projector.linear_1"));
    assert!(failure(load(&mended(), 3, tensors())).contains("image_newline"));
}

#[test]
fn the_peer_ends_a_picture_with_a_newline_of_the_next_family() {
    let recorded = recorded();
    let (prompt, pixels) = (short_prompt(&recorded, 0), recorded["pixels"].i(0..1).unwrap());
    let embedded = |config: &LLaVAConfig| {
        let pixels = std::slice::from_ref(&pixels);
        let embedded = peer(config, 2).prepare_inputs_labels_for_multimodal(&prompt, pixels, &[(56, 56)]);
        embedded.unwrap().squeeze(0).unwrap()
    };
    let as_converted = LLaVAConfig { mm_hidden_size: 48, ..configuration() };
    let (found, expected) = (embedded(&as_converted), recorded["prompt"].dim(1).unwrap());
    assert_eq!((found.dim(0).unwrap(), embedded(&mended()).dim(0).unwrap()), (expected + 1, expected));
    assert_eq!(found.get(IMAGE_AT + IMAGES).unwrap().to_vec1::<f32>().unwrap(), [1.0; 48]);
}

#[test]
fn the_peer_takes_one_prompt_at_a_time() {
    let recorded = recorded();
    let prompts = Tensor::cat(&[short_prompt(&recorded, 0), short_prompt(&recorded, 1)], 0).unwrap();
    let pixels = [recorded["pixels"].clone()];
    let result = peer(&mended(), 2).prepare_inputs_labels_for_multimodal(&prompts, &pixels, &[(56, 56); 2]);
    assert!(failure(result).contains("unexpected rank, expected: 1, got: 2"));
}

#[test]
fn the_peer_s_decoder_says_what_transformers_says() {
    let recorded = recorded();
    let peer = peer(&mended(), 2);
    let llama = mended().to_llama_config();
    let steps = recorded["greedy"].dim(1).unwrap();
    for row in 0..2 {
        let mut cache = Cache::new(true, DType::F32, &llama, &Device::Cpu).unwrap();
        let pixels = [recorded["pixels"].i(row..row + 1).unwrap()];
        let prompt = short_prompt(&recorded, row);
        let mut embedded = peer.prepare_inputs_labels_for_multimodal(&prompt, &pixels, &[(56, 56)]).unwrap();
        let (mut at, mut said) = (0, Vec::new());
        for _ in 0..steps {
            let logits = peer.forward(&embedded, at, &mut cache).unwrap();
            at += embedded.dim(1).unwrap();
            let difference = relative(&logits, &recorded["logits"].i((row..row + 1, at - 1, ..)).unwrap());
            assert!(difference < 1e-5, "row {row}, position {at}: {difference:e}");
            let next = logits.argmax(D::Minus1).unwrap();
            said.push(next.i(0).unwrap().to_scalar::<u32>().unwrap());
            embedded = peer.llama.embed(&next.unsqueeze(0).unwrap()).unwrap();
        }
        let greedy = recorded["greedy"].i(row).unwrap().to_dtype(DType::U32).unwrap();
        assert_eq!(said, greedy.to_vec1::<u32>().unwrap(), "row {row}");
    }
}
