//! What the stages need of engines, as traits. Engine crates implement them, the binary hands them in, tests script them.
//! No third-party type appears here, so that no stage ever sees a tensor, a session or a sandbox.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_core::stage::{Fault, StageError};
use serde::{Deserialize, Serialize};

use crate::records::{Dialogue, FoundBox, Mention, Pair, Sentence};

/// The engines, opened late. Opening may load gigabytes; the same thing opened twice is shared.
pub trait Engines: Send + Sync {
    /// Opens a vision-language model from a Hugging Face directory.
    fn vlm(&self, spec: &VlmSpec, exec: &Exec) -> Result<Arc<dyn Vlm>, EngineError>;
    /// Opens a model behind a server.
    fn server(&self, spec: &ServerSpec) -> Result<Arc<dyn Vlm>, EngineError>;
    /// Opens an object detector.
    fn detector(&self, spec: &DetectorSpec, exec: &Exec) -> Result<Arc<dyn Detector>, EngineError>;
    /// Opens an extractor plugin.
    fn extractor(&self, plugin: &PluginSpec) -> Result<Arc<dyn Extractor>, EngineError>;
    /// Opens a filter plugin.
    fn filter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Filter>, EngineError>;
    /// Returns over what a filter plugin decides, as its manifest says; nothing is run.
    fn filter_scope(&self, plugin: &PluginSpec) -> Result<FilterScope, EngineError>;
    /// Opens a converter plugin.
    fn converter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Converter>, EngineError>;
    /// Returns the trainer.
    fn trainer(&self, exec: &Exec) -> Result<Arc<dyn Trainer>, EngineError>;
    /// Returns the scene composer of the tiny world.
    fn scenes(&self) -> Arc<dyn Scenes>;
    /// Names, known without opening anything.
    fn catalogue(&self) -> &Catalogue;
}

/// The names of what engines offer, and their identities for keys.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Model families by `model_type`.
    pub families: Vec<&'static str>,
    /// Detector families.
    pub detectors: Vec<&'static str>,
    /// Losses.
    pub losses: Vec<&'static str>,
    /// Engine, version, device class and dtype of model code: enters the keys of sampling, captioning and training.
    pub model_engine: String,
    /// Engine and version of what talks to servers: enters the keys of sampling and captioning through them.
    pub server_engine: String,
    /// Engine and version of the detectors in use (ONNX Runtime or tract): enters the key of detection.
    pub detector_engine: String,
    /// Engine and version of the sandbox: enters the keys of plugin stages.
    pub plugin_engine: String,
    /// Version of the scene composer: enters the key of `scenes`.
    pub scenes_engine: String,
}

/// An entry of `models:` of kind `vlm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlmSpec {
    /// A Hugging Face checkpoint directory.
    pub path: PathBuf,
    /// A PEFT adapter directory that belongs to this entry.
    pub adapter: Option<PathBuf>,
}

/// An entry of `models:` of kind `vlm` behind an OpenAI-compatible server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// Up to `/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The name of the secret that is sent as bearer token.
    pub secret: Option<String>,
    /// How it is asked to go on with a description.
    pub continuation: Continuation,
    /// Most requests under way.
    pub concurrency: u32,
    /// Longest silence.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
}

/// How a server is asked to go on with a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Continuation {
    /// By an unfinished assistant turn where the server's program is known to go on with it, else by a quotation.
    #[default]
    Auto,
    /// The description so far is an unfinished assistant turn (`continue_final_message`).
    Turn,
    /// The description so far is quoted in the question.
    Quoted,
}

/// An entry of `models:` of kind `detector`.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorSpec {
    /// The name in the workflow.
    pub name: String,
    /// `yolo`, `detr`, …
    pub family: String,
    /// The ONNX file.
    pub path: PathBuf,
    /// Class names, one a line; by default those the file carries.
    pub labels: Option<PathBuf>,
    /// Least confidence of a box that counts; by default the family's.
    pub confidence: Option<f32>,
    /// Overlap above which the weaker box of a class is dropped; by default the family's.
    pub iou: Option<f32>,
}

/// An entry of `plugins:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// The name in the workflow.
    pub name: String,
    /// The component.
    pub path: PathBuf,
}

/// What long work tells while it goes, and asks.
pub trait Watch: Sync {
    /// Whether to stop.
    fn cancelled(&self) -> bool;
    /// `done` of `total`, with named readings.
    fn progress(&self, done: u64, total: u64, unit: &'static str, readings: &[(&'static str, f64)]);
}

/// Why an engine could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The thing itself is unusable: wrong weights, an unsupported family, an adapter of another base. Never retried.
    #[error("{0}")]
    Refused(String),
    /// The outside world failed: I/O, memory, a deadline. May pass.
    #[error("{0}")]
    World(String),
}

impl From<EngineError> for StageError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Cancelled => Self::Cancelled,
            EngineError::Refused(message) => Self::Refused(message),
            EngineError::World(message) => Self::World(message, None),
        }
    }
}

/// The answer for one record: its own fault costs only itself.
pub type PerRecord<T> = Result<T, Fault>;

/// A vision-language model: immutable, shared; the adapter is an argument of each call.
pub trait Vlm: Send + Sync {
    /// Samples `n` candidate next sentences for each request.
    fn sample(
        &self,
        requests: &[Prompt<'_>],
        settings: &Sampling,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<Sentence>>>, EngineError>;
    /// Completes each description to its end.
    fn caption(
        &self,
        requests: &[Prompt<'_>],
        settings: &Captioning,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Captioned>>, EngineError>;
}

/// A picture, a question and what has been said so far.
#[derive(Debug, Clone)]
pub struct Prompt<'a> {
    /// The record's id: names random streams.
    pub id: &'a str,
    /// The loop step: names random streams.
    pub step: u32,
    /// Digest of the encoded picture: names cached features and prefixes.
    pub picture: Digest,
    /// The encoded picture (PNG, JPEG).
    pub bytes: Arc<Vec<u8>>,
    /// The question.
    pub question: &'a str,
    /// The sentences so far.
    pub context: &'a [String],
}

/// A PEFT adapter on disk, named by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterRef {
    /// The directory.
    pub dir: PathBuf,
    /// Digest of its files.
    pub digest: Digest,
}

/// How the next sentence is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Candidates a record.
    pub n: u32,
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus mass; 1 keeps all.
    pub top_p: f32,
    /// Most likely tokens kept; 0 keeps all.
    pub top_k: u32,
    /// Token limit a sentence.
    pub max_tokens: u32,
    /// What ends a sentence.
    pub sentence_end: SentenceEnd,
    /// The workflow's seed.
    pub seed: u64,
    /// The stream's name.
    pub stream: String,
}

/// What ends a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentenceEnd {
    /// An automaton over the text: abbreviations, decimals, closing quotes, ellipses.
    Text,
    /// The released code's rule: the token of `.`, `!` or `?`.
    Tokens,
}

/// How a caption is completed.
#[derive(Debug, Clone, PartialEq)]
pub struct Captioning {
    /// As in sampling; `n` is 1.
    pub sampling: Sampling,
    /// Token limit of the whole caption.
    pub max_tokens: u32,
    /// Sentence limit of the whole caption.
    pub max_sentences: u32,
}

/// A completed caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captioned {
    /// The sentences, those of the request's context included.
    pub sentences: Vec<String>,
    /// Whether a limit cut it.
    pub cut: bool,
    /// Generated tokens.
    pub tokens: u32,
}

/// An object detector.
pub trait Detector: Send + Sync {
    /// Names it can see; `None` for an open vocabulary.
    fn vocabulary(&self) -> Option<&[String]>;
    /// Finds objects in each picture. `phrases` (one list a picture) matter to open vocabularies only.
    fn detect(
        &self,
        pictures: &[Arc<Vec<u8>>],
        phrases: &[Vec<String>],
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<FoundBox>>>, EngineError>;
}

/// Finds named objects in sentences.
pub trait Extractor: Send + Sync {
    /// Answers each unit: mentions of all its sentences. `config` satisfies the plugin's schema.
    fn extract(&self, config: &str, units: &[Vec<Sentence>]) -> Result<Vec<PerRecord<Vec<Mention>>>, EngineError>;
}

/// Decides which records stay.
pub trait Filter: Send + Sync {
    /// Answers each unit: for each of its rows (canonical JSON), keep or why not.
    fn keep(&self, config: &str, units: &[Vec<&str>]) -> Result<Vec<PerRecord<Vec<Kept>>>, EngineError>;
}

/// Over what a filter decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterScope {
    /// One root record's rows at a time.
    Unit,
    /// Everything at once: global duplicates, class balance.
    Whole,
}

/// A filter's word on one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It stays.
    Yes,
    /// It is dropped, for this reason (a short stable word).
    No(String),
}

/// Writes records in another program's format.
pub trait Converter: Send + Sync {
    /// Writes the rows (canonical JSON) as files: relative path → content.
    fn convert(
        &self,
        config: &str,
        rows: &mut dyn Iterator<Item = &str>,
    ) -> Result<Vec<(String, Vec<u8>)>, EngineError>;
}

/// Trains adapters and models. Long; leaves checkpoints; continues from the last valid one bit for bit.
pub trait Trainer: Send + Sync {
    /// Trains a LoRA adapter on preference pairs with C-DPO and writes it to `task.out` in PEFT layout.
    fn preference(&self, task: &PreferenceTask<'_>, watch: &dyn Watch) -> Result<TrainLog, EngineError>;
    /// Trains all parameters on dialogues with next-token loss and writes a Hugging Face directory to `task.out`.
    fn next_token(&self, task: &NextTokenTask<'_>, watch: &dyn Watch) -> Result<TrainLog, EngineError>;
}

/// Content by digest.
pub type BlobSource<'a> = dyn Fn(Digest) -> Result<Vec<u8>, EngineError> + Sync + 'a;

/// C-DPO training.
pub struct PreferenceTask<'a> {
    /// The base model.
    pub base: &'a VlmSpec,
    /// An adapter to start from; by default a fresh one.
    pub start: Option<&'a AdapterRef>,
    /// The pairs, in order.
    pub pairs: &'a [Pair],
    /// The pictures.
    pub pictures: &'a BlobSource<'a>,
    /// `c-dpo`.
    pub loss: String,
    /// The inverse temperature β of the loss.
    pub beta: f64,
    /// LoRA rank.
    pub rank: u32,
    /// LoRA alpha; the update is scaled by alpha/rank.
    pub alpha: f64,
    /// Whether the end-of-sequence token is learnt after a description's last sentence.
    pub learn_end: bool,
    /// Optimisation.
    pub optim: Optimisation,
    /// Where checkpoints live between attempts.
    pub checkpoints: &'a Path,
    /// An empty directory for the result.
    pub out: &'a Path,
}

/// Full-parameter next-token training.
pub struct NextTokenTask<'a> {
    /// A directory with `config.json`, tokenizer and processor files; weights too, unless `fresh`.
    pub base: &'a VlmSpec,
    /// Whether to start from random weights.
    pub fresh: bool,
    /// The rows.
    pub dialogues: &'a [Dialogue],
    /// The pictures.
    pub pictures: &'a BlobSource<'a>,
    /// Phases, run one after the other, each with its own schedule.
    pub phases: Vec<Phase>,
    /// Optimisation; its schedule fields are those of the phases.
    pub optim: Optimisation,
    /// Whether weights are written as f16.
    pub half: bool,
    /// Where checkpoints live between attempts.
    pub checkpoints: &'a Path,
    /// An empty directory for the result.
    pub out: &'a Path,
}

/// One phase of a curriculum.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Optimiser steps.
    pub steps: u32,
    /// Share of each group of dialogues in a batch.
    pub mixture: Vec<(String, f64)>,
    /// Learning rate after warm-up.
    pub learning_rate: f64,
    /// Learning rate at the end of the phase (cosine in between).
    pub final_learning_rate: f64,
    /// Warm-up steps.
    pub warmup: u32,
}

/// AdamW and its schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimisation {
    /// Passes over the data (preference training).
    pub epochs: f64,
    /// Rows an optimiser step.
    pub batch: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Warm-up steps.
    pub warmup: u32,
    /// Most optimiser steps; by default what the epochs give.
    pub max_steps: Option<u32>,
    /// β1 and β2.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Greatest gradient norm; 0 clips nothing.
    pub clip: f64,
    /// Orders the data and initialises the adapter.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u32,
}

/// What training tells when it is done: one entry an optimiser step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainLog {
    /// Names of the readings, for example `loss`, `margin`, `accuracy`, `learning_rate`, `gradient_norm`.
    pub readings: Vec<String>,
    /// One row a step, in the order of `readings`.
    pub steps: Vec<Vec<f64>>,
}

/// The parts of the tiny world, in the order that numbers their random streams; no two have a picture in common.
pub const SPLITS: [&str; 7] = ["base", "detectors-a", "detectors-b", "detectors-test", "held-out", "pilot", "train"];

/// Composes the tiny world's scenes.
pub trait Scenes: Send + Sync {
    /// Composes scene `index` of a split, one of [`SPLITS`].
    fn compose(&self, seed: u64, split: &str, index: u32) -> Result<Scene, EngineError>;
    /// COCO instances annotations of some scenes, as JSON; `file_name` is `<id>.png`.
    fn annotations(&self, scenes: &[Scene]) -> Result<Vec<u8>, EngineError>;
    /// Training dialogues about a scene; `hallucination` is the share of describing sentences that name an absent prior object.
    fn dialogues(&self, seed: u64, scene: &Scene, hallucination: f64) -> Result<Vec<SceneDialogue>, EngineError>;
}

/// A question about a scene and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneDialogue {
    /// What a curriculum weighs, for example `describe`.
    pub group: String,
    /// What is asked.
    pub question: String,
    /// The sentences of the answer.
    pub answer: Vec<String>,
}

/// A composed scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The record's id.
    pub id: String,
    /// The picture as PNG.
    pub png: Vec<u8>,
    /// The composer's own account of what is in it, opaque JSON.
    pub truth: String,
}
