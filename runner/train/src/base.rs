//! A base model's directory, opened for training: configuration, text, pictures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sentinel_core::digest::Digest;
use sentinel_domain::ports::{BlobSource, EngineError, VlmSpec};
use sentinel_models::config::LlavaConfig;
use sentinel_models::families::llava::Llava;
use sentinel_models::image::ImageProcessor;
use sentinel_models::text::{PromptIds, Text};

use crate::TrainError;

/// Bytes of image features kept in memory.
const FEATURE_ROOM: usize = 1 << 30;

/// What is read of a base model beside its weights.
pub(crate) struct Base {
    pub(crate) dir: PathBuf,
    pub(crate) config: LlavaConfig,
    pub(crate) text: Text,
    pub(crate) images: ImageProcessor,
    pub(crate) device: Device,
}

impl Base {
    pub(crate) fn open(spec: &VlmSpec) -> Result<Self, TrainError> {
        if let Some(adapter) = &spec.adapter {
            let message =
                format!("training starts from a plain checkpoint, and the entry names `{}`", adapter.display());
            return Err(TrainError::Row(format!("{message}; pass it through `needs.adapter` instead")));
        }
        let config = LlavaConfig::read(&spec.path)?;
        let text = Text::read(&spec.path, config.image_token, config.image_tokens())?;
        let images = ImageProcessor::read(&spec.path)?;
        Ok(Self { dir: spec.path.clone(), config, text, images, device: Device::Cpu })
    }

    /// Tokenises a prompt and the sentences after it.
    pub(crate) fn ids(&self, prompt: &PromptIds, sentences: &[String]) -> Result<Vec<u32>, TrainError> {
        let mut ids = prompt.ids.clone();
        for sentence in sentences {
            ids.extend(self.text.sentence(sentence)?);
        }
        Ok(ids)
    }

    /// Decodes pictures → (B, 3, S, S).
    pub(crate) fn pixels(&self, pictures: &[Digest], source: &BlobSource<'_>) -> Result<Tensor, TrainError> {
        let crop = |digest: &Digest| {
            let bytes = source(*digest).map_err(of_engine)?;
            self.images.crop(&bytes).map_err(|error| TrainError::Row(format!("picture {}: {error}", digest.short())))
        };
        let crops = pictures.par_iter().map(crop).collect::<Result<Vec<_>, _>>()?;
        Ok(self.images.normalise(&crops, &self.device)?)
    }
}

/// Prompts by question: there are few questions and many rows.
pub(crate) struct Prompts<'a> {
    base: &'a Base,
    known: BTreeMap<String, PromptIds>,
}

impl<'a> Prompts<'a> {
    pub(crate) fn of(base: &'a Base) -> Self {
        Self { base, known: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, question: &str) -> Result<&PromptIds, TrainError> {
        if !self.known.contains_key(question) {
            self.known.insert(question.to_owned(), self.base.text.prompt(question)?);
        }
        Ok(&self.known[question])
    }
}

/// Image features by picture: the tower is frozen, so each is made once while there is room for it.
pub(crate) struct Features<'a> {
    base: &'a Base,
    model: &'a Llava,
    source: &'a BlobSource<'a>,
    kept: BTreeMap<Digest, Tensor>,
    order: VecDeque<Digest>,
}

impl<'a> Features<'a> {
    pub(crate) fn of(base: &'a Base, model: &'a Llava, source: &'a BlobSource<'a>) -> Self {
        Self { base, model, source, kept: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Returns the features of pictures (B, N, C), without gradient.
    pub(crate) fn get(&mut self, pictures: &[Digest]) -> Result<Tensor, TrainError> {
        let missing: BTreeSet<Digest> =
            pictures.iter().filter(|picture| !self.kept.contains_key(*picture)).copied().collect();
        let missing: Vec<Digest> = missing.into_iter().collect();
        let mut made = BTreeMap::new();
        if !missing.is_empty() {
            let features = self.model.image_features(&self.base.pixels(&missing, self.source)?)?.detach();
            for (at, picture) in missing.iter().enumerate() {
                made.insert(*picture, features.narrow(0, at, 1)?.force_contiguous()?);
            }
        }
        let one =
            |picture| made.get(picture).or_else(|| self.kept.get(picture)).expect("it was kept or is made").clone();
        let features = Tensor::cat(&pictures.iter().map(one).collect::<Vec<_>>(), 0)?;
        for (picture, features) in made {
            self.keep(picture, features);
        }
        Ok(features)
    }

    /// Keeps features in place of those made longest ago.
    fn keep(&mut self, picture: Digest, features: Tensor) {
        let most = FEATURE_ROOM / (4 * features.elem_count()).max(1);
        while self.kept.len() >= most.max(1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.kept.remove(&oldest);
        }
        self.order.push_back(picture);
        self.kept.insert(picture, features);
    }
}

/// An engine's error on its way through training.
pub(crate) fn of_engine(error: EngineError) -> TrainError {
    match error {
        EngineError::Cancelled => TrainError::Cancelled,
        EngineError::World(message) => TrainError::World(message),
        EngineError::Refused(message) => TrainError::Row(message),
    }
}
