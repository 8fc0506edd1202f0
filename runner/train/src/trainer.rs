//! The port `Trainer`.

use sentinel_core::job::Exec;
use sentinel_domain::ports::{EngineError, NextTokenTask, PreferenceTask, TrainLog, Trainer, Watch};

use crate::{TrainError, dialogues, preference};

/// The trainer on candle.
pub struct CandleTrainer {
    threads: rayon::ThreadPool,
}

impl CandleTrainer {
    /// Returns the trainer; `exec` says on how many threads it works.
    pub fn new(exec: &Exec) -> Result<Self, EngineError> {
        if let Some(device) = exec.device.as_deref().filter(|device| *device != "cpu") {
            return Err(EngineError::Refused(format!("this build has no device `{device}`; there is `cpu`")));
        }
        let threads = rayon::ThreadPoolBuilder::new().num_threads(exec.threads.unwrap_or(0) as usize).build();
        let threads = threads.map_err(|error| EngineError::World(format!("threads cannot be started: {error}")))?;
        Ok(Self { threads })
    }
}

impl Trainer for CandleTrainer {
    fn preference(&self, task: &PreferenceTask<'_>, watch: &dyn Watch) -> Result<TrainLog, EngineError> {
        self.threads.install(|| preference::train(task, watch)).map_err(of_train)
    }

    fn next_token(&self, task: &NextTokenTask<'_>, watch: &dyn Watch) -> Result<TrainLog, EngineError> {
        self.threads.install(|| dialogues::train(task, watch)).map_err(of_train)
    }
}

fn of_train(error: TrainError) -> EngineError {
    match error {
        TrainError::Cancelled => EngineError::Cancelled,
        TrainError::World(message) => EngineError::World(message),
        error @ TrainError::File { .. } => EngineError::World(error.to_string()),
        error => EngineError::Refused(error.to_string()),
    }
}
