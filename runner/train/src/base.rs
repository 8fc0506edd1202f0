//! A base model's directory, opened for training: configuration, text, pictures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sentinel_core::digest::Digest;
use sentinel_domain::ports::{BlobSource, EngineError, VlmSpec};
use sentinel_models::config::Config;
use sentinel_models::image::{ImageError, Picture, Processor};
use sentinel_models::model::{Model, Place};
use sentinel_models::text::{PromptIds, Text};

use crate::TrainError;

/// Bytes of image features kept in memory.
const FEATURE_ROOM: usize = 1 << 30;

/// What is read of a base model beside its weights.
pub(crate) struct Base {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) text: Text,
    pub(crate) images: Box<dyn Processor>,
    pub(crate) device: Device,
}

impl Base {
    pub(crate) fn open(spec: &VlmSpec) -> Result<Self, TrainError> {
        if let Some(adapter) = &spec.adapter {
            let message =
                format!("training starts from a plain checkpoint, and the entry names `{}`", adapter.display());
            return Err(TrainError::Row(format!("{message}; pass it through `needs.adapter` instead")));
        }
        let config = Config::read(&spec.path)?;
        let text = Text::read(&spec.path, config.image_token)?;
        let images = config.family.processor(&spec.path)?;
        Ok(Self { dir: spec.path.clone(), config, text, images, device: Device::Cpu })
    }

    /// Tokenises a prompt and the sentences after it.
    pub(crate) fn ids(&self, prompt: &PromptIds, sentences: &[String]) -> Result<Vec<u32>, TrainError> {
        let mut ids = prompt.ids.clone();
        for (number, sentence) in sentences.iter().enumerate() {
            ids.extend(self.sentence(sentence, number == 0)?);
        }
        Ok(ids)
    }

    /// Tokenises a sentence as it reads after the prompt, if it is the first, or after another.
    pub(crate) fn sentence(&self, sentence: &str, is_first: bool) -> Result<Vec<u32>, TrainError> {
        Ok(if is_first { self.text.opening(sentence)? } else { self.text.sentence(sentence)? })
    }

    /// Returns how a picture stands in its prompt.
    pub(crate) fn place(&self, picture: &Digest, source: &BlobSource<'_>) -> Result<Place, TrainError> {
        match self.images.fixed() {
            Some(place) => Ok(place),
            None => {
                self.images.place(&source(*picture).map_err(of_engine)?).map_err(|error| of_picture(picture, error))
            }
        }
    }

    /// Prepares pictures.
    pub(crate) fn pictures(&self, pictures: &[Digest], source: &BlobSource<'_>) -> Result<Vec<Picture>, TrainError> {
        let one = |digest: &Digest| {
            let bytes = source(*digest).map_err(of_engine)?;
            self.images.prepare(&bytes, &self.device).map_err(|error| of_picture(digest, error))
        };
        pictures.par_iter().map(one).collect()
    }
}

fn of_picture(picture: &Digest, error: ImageError) -> TrainError {
    TrainError::Row(format!("picture {}: {error}", picture.short()))
}

/// Prompts by question and number of picture tokens: there are few questions and many rows.
pub(crate) struct Prompts<'a> {
    base: &'a Base,
    source: &'a BlobSource<'a>,
    places: BTreeMap<Digest, Place>,
    known: BTreeMap<(String, usize), PromptIds>,
}

impl<'a> Prompts<'a> {
    pub(crate) fn of(base: &'a Base, source: &'a BlobSource<'a>) -> Self {
        Self { base, source, places: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// Returns the prompt of a question about a picture, and how the picture stands in it.
    pub(crate) fn get(&mut self, question: &str, picture: &Digest) -> Result<(&PromptIds, Place), TrainError> {
        let place = match self.places.get(picture) {
            Some(place) => *place,
            None => *self.places.entry(*picture).or_insert(self.base.place(picture, self.source)?),
        };
        let key = (question.to_owned(), place.tokens);
        if !self.known.contains_key(&key) {
            self.known.insert(key.clone(), self.base.text.prompt(question, place.tokens)?);
        }
        Ok((&self.known[&key], place))
    }
}

/// Image features by picture: the tower is frozen, so each is made once while there is room for it.
pub(crate) struct Features<'a> {
    base: &'a Base,
    model: &'a Model,
    source: &'a BlobSource<'a>,
    kept: BTreeMap<Digest, Tensor>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl<'a> Features<'a> {
    pub(crate) fn of(base: &'a Base, model: &'a Model, source: &'a BlobSource<'a>) -> Self {
        Self { base, model, source, kept: BTreeMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// Returns the features of pictures, (N, C) each, without gradient.
    pub(crate) fn get(&mut self, pictures: &[Digest]) -> Result<Vec<Tensor>, TrainError> {
        let missing: BTreeSet<Digest> =
            pictures.iter().filter(|picture| !self.kept.contains_key(*picture)).copied().collect();
        let missing: Vec<Digest> = missing.into_iter().collect();
        let mut made = BTreeMap::new();
        if !missing.is_empty() {
            let features = self.model.features(&self.base.pictures(&missing, self.source)?)?;
            for (picture, features) in missing.iter().zip(features) {
                made.insert(*picture, features.detach().force_contiguous()?);
            }
        }
        let one =
            |picture| made.get(picture).or_else(|| self.kept.get(picture)).expect("it was kept or is made").clone();
        let features = pictures.iter().map(one).collect();
        for (picture, features) in made {
            self.keep(picture, features);
        }
        Ok(features)
    }

    /// Keeps features in place of those made longest ago.
    fn keep(&mut self, picture: Digest, features: Tensor) {
        self.bytes += bytes(&features);
        while self.bytes > FEATURE_ROOM {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.kept.remove(&oldest).as_ref().map_or(0, bytes);
        }
        self.order.push_back(picture);
        self.kept.insert(picture, features);
    }
}

fn bytes(features: &Tensor) -> usize {
    size_of::<f32>() * features.elem_count()
}

/// An engine's error on its way through training.
pub(crate) fn of_engine(error: EngineError) -> TrainError {
    match error {
        EngineError::Cancelled => TrainError::Cancelled,
        EngineError::World(message) => TrainError::World(message),
        EngineError::Refused(message) => TrainError::Row(message),
    }
}
