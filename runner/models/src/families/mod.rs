//! The families of models: one file a model, its submodules named as in the checkpoint, and the table of what can be opened.
//!
//! To add a family, write how its `config.json` is read ([`crate::config`]), how its pictures are prepared ([`crate::image`])
//! and its [`Tower`] in a file here; then name it in [`FAMILIES`] and [`Family`]: the compiler finds the rest. The decoder, the
//! prompt, positions, sampling and training are the same for all ([`crate::model`]).

pub mod clip;
pub mod llama;
pub mod llava;
pub mod llava_next;
pub mod qwen2_vl;

use std::path::Path;

use candle_core::{Result, Tensor};

use crate::ModelError;
use crate::config::{Config, LlavaConfig, LlavaNextConfig, QwenConfig};
use crate::image::{AnyresProcessor, ClipProcessor, Picture, Processor, QwenProcessor};
use crate::weights::Weights;

/// A model type, and how its `config.json` is read.
pub struct Kind {
    /// `model_type` of `config.json`.
    pub model_type: &'static str,
    /// Reads the text of `config.json`; the error is what is wrong with it.
    pub parse: fn(&str) -> std::result::Result<Config, String>,
}

/// What this build can open, sorted by name.
pub const FAMILIES: &[Kind] = &[
    Kind { model_type: "llava", parse: LlavaConfig::parse },
    Kind { model_type: "llava_next", parse: LlavaNextConfig::parse },
    Kind { model_type: "qwen2_5_vl", parse: QwenConfig::parse_2_5 },
    Kind { model_type: "qwen2_vl", parse: QwenConfig::parse_2 },
];

/// How a model's pictures are seen, by family.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// LLaVA-1.5.
    Llava(LlavaConfig),
    /// LLaVA-NeXT, also LLaVA-1.6.
    LlavaNext(LlavaNextConfig),
    /// Qwen2-VL.
    Qwen2Vl(QwenConfig),
    /// Qwen2.5-VL.
    Qwen25Vl(QwenConfig),
}

/// From prepared pictures to features in the decoder's space: vision tower and projector.
pub trait Tower: Send + Sync {
    /// Returns the features of each picture (N, C), as many as its [`crate::model::Place`] has tokens. A picture's bits do not
    /// depend on the others.
    fn features(&self, pictures: &[Picture]) -> Result<Vec<Tensor>>;
}

impl Family {
    /// Returns the family's `model_type`.
    pub fn model_type(&self) -> &'static str {
        match self {
            Self::Llava(_) => "llava",
            Self::LlavaNext(_) => "llava_next",
            Self::Qwen2Vl(_) => "qwen2_vl",
            Self::Qwen25Vl(_) => "qwen2_5_vl",
        }
    }

    /// Reads how pictures are prepared, and checks that the tower takes them so.
    pub fn processor(&self, dir: &Path) -> std::result::Result<Box<dyn Processor>, ModelError> {
        match self {
            Self::Llava(config) => Ok(Box::new(ClipProcessor::fitting(dir, config)?)),
            Self::LlavaNext(config) => Ok(Box::new(AnyresProcessor::fitting(dir, config)?)),
            Self::Qwen2Vl(config) | Self::Qwen25Vl(config) => Ok(Box::new(QwenProcessor::fitting(dir, config)?)),
        }
    }

    /// Takes the tensors of tower and projector; `width` is the decoder's.
    pub fn tower(&self, w: &Weights, width: usize) -> std::result::Result<Box<dyn Tower>, ModelError> {
        match self {
            Self::Llava(config) => Ok(Box::new(llava::Llava::take(w, config, width)?)),
            Self::LlavaNext(config) => Ok(Box::new(llava_next::LlavaNext::take(w, config, width)?)),
            Self::Qwen2Vl(config) | Self::Qwen25Vl(config) => {
                Ok(Box::new(qwen2_vl::QwenTower::take(w, config, width)?))
            }
        }
    }
}
