//! `train`: teaches a model. With the loss `c-dpo` it learns a LoRA adapter from preference pairs (SENTINEL eq. 5), with
//! `next-token` all parameters from dialogues. The work is the trainer's; this stage says what to learn from and keeps the log.

mod config;

use std::path::Path;
use std::sync::Arc;

use schemars::schema_for;
use sentinel_core::artifact::{FileEntry, FileSet};
use sentinel_core::job::Job;
use sentinel_core::report::{ReportIo, Series, Widget};
use sentinel_core::stage::{Shape, Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work};
use sentinel_domain::ports::{
    BlobSource, EngineError, Engines, NextTokenTask, Optimisation, PreferenceTask, TrainLog, Trainer,
};
use sentinel_domain::records::{Dialogue, Pair};
use serde_json::Value;

use crate::kind::{self, Entry, Given, JobWatch, Parsed};
use crate::models::{self, Model};
use config::Config;

pub(crate) static ENTRY: Entry = Entry {
    name: "train",
    summary: "teaches a model: an adapter from preference pairs, or all parameters from dialogues",
    schema: || schema_for!(Config),
    parse,
    shapes,
};

/// Optimiser steps between two checkpoints; they change no result, only how much a kill costs.
const CHECKPOINT_EVERY: u32 = 20;
/// The file of the `log` output.
const LOG: &str = "log.json";

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let config: Config = kind::config(with)?;
    config.check()?;
    let model = Model::of(config.model(), given)?;
    Ok(Box::new(Teach { config, model, engines: given.engines.clone() }))
}

fn shapes(with: &Value) -> Vec<Shape> {
    let takes_pairs = match with.get("loss").and_then(Value::as_str) {
        Some("c-dpo") => &[true][..],
        Some("next-token") => &[false],
        _ => &[true, false],
    };
    takes_pairs.iter().flat_map(|takes_pairs| Model::slots(with).map(|model| shape(*takes_pairs, model))).collect()
}

fn shape(takes_pairs: bool, model: Option<Slot>) -> Shape {
    let (mut inputs, learnt) = if takes_pairs {
        let inputs = vec![Slot::rows("pairs", "pairs"), Slot::files("adapter", "adapter").optional()];
        (inputs, Slot::files("adapter", "adapter"))
    } else {
        (vec![Slot::rows("dialogues", "dialogues")], Slot::files("checkpoint", "checkpoint"))
    };
    inputs.extend(model);
    Shape::whole(inputs, [learnt, Slot::files("log", "tables")])
}

struct Teach {
    config: Config,
    model: Model,
    engines: Arc<dyn Engines>,
}

impl Stage for Teach {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.config.takes_pairs(), self.model.slot()).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.config.takes_pairs(), self.model.slot()).outputs
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
        out: &Path,
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
        out: &Path,
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
            phases: phases.iter().map(Into::into).collect(),
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
