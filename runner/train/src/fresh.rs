//! First values of a model trained from nothing: those of transformers' `_init_weights` for CLIP and LLaVA. Every tensor has a
//! random stream of its own, named by seed and tensor, so that the order in which a model asks for them does not matter.

use candle_core::{Device, Result, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sentinel_models::config::{ClipConfig, LlavaConfig};
use sentinel_models::weights::Initialiser;

/// Standard deviation of everything but the vision tower's own rules (`initializer_range`).
const RANGE: f64 = 0.02;

/// Returns the initialiser of a configuration.
pub fn initialiser(config: &LlavaConfig, seed: u64) -> Box<Initialiser> {
    let vision = config.vision.clone();
    Box::new(move |name, shape, device| {
        if name.ends_with(".bias") {
            return Tensor::zeros(shape, candle_core::DType::F32, device);
        }
        // Norm weights are the only vectors left but the class embedding.
        if shape.len() == 1 && !name.ends_with("class_embedding") {
            return Tensor::ones(shape, candle_core::DType::F32, device);
        }
        normal(name, shape, deviation(name, &vision), seed, device)
    })
}

/// Returns the standard deviation of a tensor (`CLIPPreTrainedModel._init_weights`).
fn deviation(name: &str, vision: &ClipConfig) -> f64 {
    let width = (vision.hidden as f64).powf(-0.5);
    let depth = (2.0 * vision.layers as f64).powf(-0.5);
    match name.strip_prefix("vision_tower.").and_then(|rest| rest.strip_suffix(".weight").or(Some(rest))) {
        Some("embeddings.class_embedding") => width,
        Some(rest) if rest.ends_with("q_proj") || rest.ends_with("k_proj") || rest.ends_with("v_proj") => width * depth,
        Some(rest) if rest.ends_with("out_proj") => width,
        Some(rest) if rest.ends_with("fc1") => (2.0 * vision.hidden as f64).powf(-0.5),
        Some(rest) if rest.ends_with("fc2") => width * depth,
        _ => RANGE,
    }
}

/// Draws a tensor of about normal numbers: the sum of twelve uniform ones less six, which needs no function that differs
/// between machines.
fn normal(name: &str, shape: &[usize], deviation: f64, seed: u64, device: &Device) -> Result<Tensor> {
    let mut stream = ChaCha8Rng::seed_from_u64(seed ^ fnv(name));
    let mut draw = || {
        let sum: f64 = (0..12).map(|_| f64::from(stream.next_u32() >> 8) / f64::from(1 << 24)).sum();
        ((sum - 6.0) * deviation) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
    Tensor::from_vec(values, shape, device)
}

/// The 64-bit FNV-1a hash of a name.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
