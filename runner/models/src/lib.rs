//! Vision-language models on candle, from Hugging Face directories as they are. It knows no workflow and never trains; training
//! (`sentinel-train`) uses the same forward pass.
//!
//! Reading order: [`config`] and [`weights`] (what a checkpoint says), [`layers`] over [`ops`] (the arithmetic),
//! [`families`] (one file a model) and [`model`] (what all of them share), then what is said with it: [`image`], [`text`] (tokens), `prefix` (what stands before a sentence),
//! `generate` (sentences drawn after it) with [`sampler`], and [`vlm`], the port.
//!
//! A model is immutable and shared: a LoRA adapter is an argument of each call ([`layers::Adapter`]), never a switch.

pub mod adapter;
pub mod config;
mod error;
pub mod families;
mod generate;
pub mod image;
pub mod layers;
pub mod model;
pub mod ops;
mod prefix;
pub mod sampler;
pub mod text;
pub mod vlm;
pub mod weights;

pub use error::ModelError;

/// What computes, with its version, that of our own kernels, device class and number type: enters the keys of everything models do.
/// Kernels that give other bits are another version.
pub const ENGINE: &str = "candle 0.11.1, kernels 2, cpu f32";

/// Returns the model families, by `model_type`.
pub fn families() -> impl Iterator<Item = &'static str> {
    families::FAMILIES.iter().map(|kind| kind.model_type)
}
