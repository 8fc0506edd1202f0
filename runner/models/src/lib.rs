//! Vision-language models on candle: LLaVA-1.5 from Hugging Face directories as they are. It knows no workflow and never
//! trains; training (`sentinel-train`) uses the same forward pass.
//!
//! Reading order: [`config`] and [`weights`] (what a checkpoint says), [`layers`] over [`ops`] (the arithmetic),
//! [`families`] (one file a model).
//!
//! A model is immutable and shared: a LoRA adapter is an argument of each call ([`layers::Adapter`]), never a switch.

pub mod config;
mod error;
pub mod families;
pub mod image;
pub mod layers;
pub mod ops;
pub mod sentence;
pub mod text;
pub mod weights;

pub use error::ModelError;
