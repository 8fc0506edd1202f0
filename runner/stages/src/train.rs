//! `train`: teaches a model. With the loss `c-dpo` it learns a LoRA adapter from preference pairs (SENTINEL eq. 5), with
//! `next-token` all parameters from dialogues. The work is the trainer's; this stage says what to learn from and keeps the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::{FileEntry, FileSet};
use sentinel_core::job::Job;
use sentinel_core::report::{ReportIo, Series, Widget};
use sentinel_core::stage::{Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work};
use sentinel_domain::config::VlmName;
use sentinel_domain::ports::{
    BlobSource, EngineError, Engines, NextTokenTask, Optimisation, Phase, PreferenceTask, TrainLog, Trainer,
};
use sentinel_domain::records::{Dialogue, Pair};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::{Entry, Given, JobWatch, Parsed, config, wrong};
use crate::models::{self, Model};

pub(crate) static ENTRY: Entry = Entry {
    name: "train",
    summary: "teaches a model: an adapter from preference pairs, or all parameters from dialogues",
    schema: || schema_for!(Config),
    parse,
};

/// Optimiser steps between two checkpoints; they change no result, only how much a kill costs.
const CHECKPOINT_EVERY: u32 = 20;
/// The file of the `log` output.
const LOG: &str = "log.json";

/// What `train` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "loss", rename_all = "kebab-case", deny_unknown_fields)]
enum Config {
    /// Context-aware direct preference optimisation of a LoRA adapter; only the sentence after the context is learnt.
    CDpo {
        /// The base model, an entry of `models:`; without it, `needs.model` takes a checkpoint another stage made.
        model: Option<VlmName>,
        /// The inverse temperature β: how far the model may leave the reference.
        #[serde(default = "beta")]
        #[schemars(range(min = 0.000_001, max = 100.0))]
        beta: f64,
        /// The adapter, on all linear layers of the language model.
        #[serde(default)]
        lora: Lora,
        /// Passes over the pairs.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 1000.0))]
        epochs: f64,
        /// Pairs of an optimiser step.
        #[serde(default = "batch")]
        #[schemars(range(min = 1, max = 65536))]
        batch: u32,
        /// Peak learning rate; it falls to zero along a cosine.
        #[serde(default = "learning_rate")]
        #[schemars(range(min = 0.0, max = 1.0))]
        learning_rate: f64,
        /// Optimiser steps until the peak.
        #[serde(default)]
        warmup: u32,
        /// Most optimiser steps; by default what the epochs give.
        #[schemars(range(min = 1))]
        max_steps: Option<u32>,
        /// AdamW's β₁ and β₂.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Decoupled weight decay.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 10.0))]
        weight_decay: f64,
        /// Greatest gradient norm; 0 clips nothing.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0))]
        clip: f64,
        /// Whether the end of the description is learnt too, after its last sentence.
        #[serde(default)]
        learn_end: bool,
    },
    /// Plain next-token training of all parameters.
    NextToken {
        /// Configuration, tokenizer and, unless `fresh`, weights to start from: an entry of `models:`, or `needs.model`.
        model: Option<VlmName>,
        /// Whether to start from random weights.
        #[serde(default)]
        fresh: bool,
        /// Whether weights are written as half-precision numbers.
        #[serde(default)]
        half: bool,
        /// Dialogues of an optimiser step.
        #[serde(default = "batch")]
        #[schemars(range(min = 1, max = 65536))]
        batch: u32,
        /// AdamW's β₁ and β₂.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Decoupled weight decay.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 10.0))]
        weight_decay: f64,
        /// Greatest gradient norm; 0 clips nothing.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0))]
        clip: f64,
        /// Phases, run one after the other.
        #[schemars(length(min = 1, max = 64))]
        phases: Vec<PhaseConfig>,
    },
}

/// The shape of a LoRA adapter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Lora {
    /// Its rank.
    #[schemars(range(min = 1, max = 4096))]
    rank: u32,
    /// Its alpha; the update is scaled by alpha/rank.
    #[schemars(range(min = 0.0, max = 65536.0))]
    alpha: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 128, alpha: 256.0 }
    }
}

/// One phase of a curriculum.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PhaseConfig {
    /// Optimiser steps.
    #[schemars(range(min = 1, max = 10_000_000))]
    steps: u32,
    /// Weight of each group of dialogues in a batch; their sum is of no importance.
    mixture: BTreeMap<String, f64>,
    /// Learning rate after warm-up.
    #[schemars(range(min = 0.0, max = 1.0))]
    learning_rate: f64,
    /// Learning rate at the end, along a cosine; by default 0.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_learning_rate: f64,
    /// Optimiser steps until the learning rate is reached.
    #[serde(default)]
    warmup: u32,
}

fn beta() -> f64 {
    0.1
}
fn one() -> f64 {
    1.0
}
fn batch() -> u32 {
    64
}
fn learning_rate() -> f64 {
    2e-6
}
fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let config: Config = config(with)?;
    let (name, (first, second)) = match &config {
        Config::CDpo { model, betas, .. } | Config::NextToken { model, betas, .. } => (model.as_ref(), *betas),
    };
    if !(0.0..1.0).contains(&first) || !(0.0..1.0).contains(&second) {
        return Err(wrong("/betas", format!("`{first}` and `{second}` must be at least 0 and below 1"), None));
    }
    if let Config::NextToken { phases, .. } = &config {
        phases.iter().enumerate().try_for_each(|(index, phase)| check_mixture(index, phase))?;
    }
    let model = Model::of(name, given)?;
    Ok(Box::new(Teach { config, model, engines: given.engines.clone() }))
}

fn check_mixture(index: usize, phase: &PhaseConfig) -> Result<(), Vec<sentinel_core::stage::ConfigError>> {
    let pointer = format!("/phases/{index}/mixture");
    if let Some((group, weight)) = phase.mixture.iter().find(|(_, weight)| !(0.0..f64::INFINITY).contains(*weight)) {
        return Err(wrong(&pointer, format!("the weight of `{group}` is {weight}, and must be 0 or more"), None));
    }
    if phase.mixture.values().sum::<f64>() > 0.0 {
        return Ok(());
    }
    Err(wrong(&pointer, "no group of dialogues has any weight", None))
}

struct Teach {
    config: Config,
    model: Model,
    engines: Arc<dyn Engines>,
}

impl Stage for Teach {
    fn inputs(&self) -> Vec<Slot> {
        let mut slots = match self.config {
            Config::CDpo { .. } => vec![Slot::rows("pairs", "pairs"), Slot::files("adapter", "adapter").optional()],
            Config::NextToken { .. } => vec![Slot::rows("dialogues", "dialogues")],
        };
        slots.extend(self.model.slot());
        slots
    }
    fn outputs(&self) -> Vec<Slot> {
        let learnt = match self.config {
            Config::CDpo { .. } => Slot::files("adapter", "adapter"),
            Config::NextToken { .. } => Slot::files("checkpoint", "checkpoint"),
        };
        vec![learnt, Slot::files("log", "tables")]
    }
    fn version(&self) -> u32 {
        1
    }
    fn draws(&self) -> bool {
        true
    }
    fn engine(&self) -> Option<String> {
        Some(self.engines.catalogue().model_engine.clone())
    }
    fn uses_device(&self) -> bool {
        true
    }
    fn work(&self) -> Work<'_> {
        Work::Whole(self)
    }

    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        let log = io.files("log")?.and_then(|files| files.files.get(LOG).cloned());
        let Some(FileEntry { digest, .. }) = log else { return Ok(Vec::new()) };
        let log: TrainLog =
            serde_json::from_slice(&io.blob(digest)?).map_err(|error| StageError::Bug(format!("`{LOG}`: {error}")))?;
        Ok(curves(&log))
    }
}

impl WholeStage for Teach {
    fn run(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let trainer = self.engines.trainer(job.exec())?;
        let out = job.scratch_dir()?;
        let log = match &self.config {
            Config::CDpo { .. } => self.preference(&*trainer, inputs, &out, job)?,
            Config::NextToken { .. } => self.next_token(&*trainer, inputs, &out, job)?,
        };
        if let Some(step) = log.steps.iter().position(|step| step.iter().any(|reading| !reading.is_finite())) {
            return Err(StageError::Refused(format!(
                "training diverged at step {}: a reading is not a number",
                step + 1
            )));
        }
        let text = serde_json::to_vec(&log).expect("readings are finite");
        let entry = FileEntry { digest: job.put_blob(&text)?, bytes: text.len() as u64 };
        let log = FileSet { files: [(LOG.to_owned(), entry)].into() };
        Ok(vec![WholeOutput::Files(job.put_dir(&out)?), WholeOutput::Files(log)])
    }
}

impl Teach {
    fn preference(
        &self,
        trainer: &dyn Trainer,
        inputs: &WholeInputs,
        out: &std::path::Path,
        job: &dyn Job,
    ) -> Result<TrainLog, StageError> {
        let Config::CDpo {
            beta,
            lora,
            epochs,
            batch,
            learning_rate,
            warmup,
            max_steps,
            betas,
            weight_decay,
            clip,
            learn_end,
            model: _,
        } = &self.config
        else {
            return Err(StageError::Bug("preference training without its settings".to_owned()));
        };
        let pairs: Vec<Pair> = inputs.list("pairs")?;
        if pairs.is_empty() {
            return Err(StageError::Refused("no pairs to learn from".to_owned()));
        }
        let base = self.model.spec(inputs.files.get("model"), job)?;
        let start = models::adapter(inputs.files.get("adapter"), &base, job)?;
        let optim = Optimisation {
            epochs: *epochs,
            batch: *batch,
            learning_rate: *learning_rate,
            warmup: *warmup,
            max_steps: *max_steps,
            betas: *betas,
            weight_decay: *weight_decay,
            clip: *clip,
            seed: job.seed(),
            checkpoint_every: CHECKPOINT_EVERY,
        };
        let task = PreferenceTask {
            base: &base,
            start: start.as_ref(),
            pairs: &pairs,
            pictures: &pictures(job),
            loss: "c-dpo".to_owned(),
            beta: *beta,
            rank: lora.rank,
            alpha: lora.alpha,
            learn_end: *learn_end,
            optim,
            checkpoints: &job.checkpoint_dir()?,
            out,
        };
        Ok(trainer.preference(&task, &JobWatch(job))?)
    }

    fn next_token(
        &self,
        trainer: &dyn Trainer,
        inputs: &WholeInputs,
        out: &std::path::Path,
        job: &dyn Job,
    ) -> Result<TrainLog, StageError> {
        let Config::NextToken { fresh, half, batch, betas, weight_decay, clip, phases, model: _ } = &self.config else {
            return Err(StageError::Bug("next-token training without its settings".to_owned()));
        };
        let dialogues: Vec<Dialogue> = inputs.list("dialogues")?;
        if dialogues.is_empty() {
            return Err(StageError::Refused("no dialogues to learn from".to_owned()));
        }
        // The schedule is the phases'.
        let (epochs, learning_rate, warmup, max_steps) = (1.0, 0.0, 0, None);
        let (seed, checkpoint_every) = (job.seed(), CHECKPOINT_EVERY);
        let (batch, betas, weight_decay, clip) = (*batch, *betas, *weight_decay, *clip);
        let optim = Optimisation {
            epochs,
            batch,
            learning_rate,
            warmup,
            max_steps,
            betas,
            weight_decay,
            clip,
            seed,
            checkpoint_every,
        };
        let task = NextTokenTask {
            base: &self.model.spec(inputs.files.get("model"), job)?,
            fresh: *fresh,
            dialogues: &dialogues,
            pictures: &pictures(job),
            phases: phases.iter().map(phase).collect(),
            optim,
            half: *half,
            checkpoints: &job.checkpoint_dir()?,
            out,
        };
        Ok(trainer.next_token(&task, &JobWatch(job))?)
    }
}

/// Returns the runner's blobs as a trainer asks for them.
fn pictures(job: &dyn Job) -> Box<BlobSource<'_>> {
    Box::new(move |digest| {
        job.blob(digest).map_err(|error| match error {
            StageError::Cancelled => EngineError::Cancelled,
            StageError::World(message, _) => EngineError::World(message),
            other => EngineError::Refused(other.to_string()),
        })
    })
}

fn phase(config: &PhaseConfig) -> Phase {
    let PhaseConfig { steps, mixture, learning_rate, final_learning_rate, warmup } = config;
    Phase {
        steps: *steps,
        mixture: mixture.iter().map(|(group, weight)| (group.clone(), *weight)).collect(),
        learning_rate: *learning_rate,
        final_learning_rate: *final_learning_rate,
        warmup: *warmup,
    }
}

/// Returns one curve a reading, over the optimiser's steps.
fn curves(log: &TrainLog) -> Vec<Widget> {
    let curve = |(column, name): (usize, &String)| {
        let points = (1..)
            .zip(&log.steps)
            .filter_map(|(step, readings)| Some((f64::from(step), *readings.get(column)?)))
            .collect();
        Widget::Curve {
            title: name.replace('_', " "),
            x: "step".to_owned(),
            series: vec![Series { name: name.clone(), points }],
        }
    };
    log.readings.iter().enumerate().map(curve).collect()
}
