//! One file a model; the submodules' names are those of the checkpoint.

pub mod clip;
pub mod llama;
pub mod llava;
