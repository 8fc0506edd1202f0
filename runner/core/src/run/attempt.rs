//! One piece of work of a stage, tried as often as the workflow says: the world's failures pass, all others do not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::context::Context;
use super::error::{RunError, is_lost};
use super::job::StageJob;
use super::prepare::Prepared;
use crate::digest::Digest;
use crate::reporter::Event;
use crate::stage::{Stage, StageError};
use crate::workflow::Common;

/// The first pause before work is tried again; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A pause looks this often whether the run should stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A stage at work.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'a> {
    pub(crate) context: &'a Context,
    pub(crate) stage: &'a dyn Stage,
    pub(crate) common: &'a Common,
    pub(crate) prepared: &'a Prepared,
}

impl Worker<'_> {
    /// Does some work, and keeps what comes out. Only `work` is timed and tried again. `key` names the work for its checkpoints.
    pub(crate) fn attempt<T, K>(
        &self,
        key: Digest,
        work: impl Fn(&StageJob<'_>) -> Result<T, StageError>,
        keep: impl FnOnce(T, Vec<Digest>) -> Result<K, RunError>,
    ) -> Result<K, RunError> {
        let attempts = self.common.retries + 1;
        for attempt in 1..=attempts {
            let turn = self.stage.uses_device().then(|| self.context.device.lock());
            // Its time begins with its turn.
            let job = StageJob::new(self.context, self.prepared, &self.common.exec, key, self.common.timeout);
            let began = Instant::now();
            let result = if self.context.is_stopping() { Err(StageError::Cancelled) } else { caught(|| work(&job)) };
            drop(turn);
            // What the stage took of a run; the rest is the runner's.
            tracing::debug!(stage = self.prepared.id, worked_ns = began.elapsed().as_nanos());
            match result.and_then(|done| self.unchanged().map(|()| done)) {
                Ok(done) => {
                    let kept = keep(done, job.blobs())?;
                    job.forget_checkpoints();
                    return Ok(kept);
                }
                Err(error) => {
                    let error = self.in_time(error, &job);
                    // What was lost does not come back by trying: the run has to make it anew.
                    if attempt == attempts || !matches!(error, StageError::World(..)) || is_lost(&error) {
                        return Err(self.failed(after(attempt, error)));
                    }
                    let text = error.to_string();
                    let stage = &self.prepared.id;
                    self.context.tell(&Event::Retry { stage, error: &text, attempt, attempts });
                    self.pause(attempt);
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Returns this stage's error.
    pub(crate) fn failed(&self, error: StageError) -> RunError {
        RunError::Stage { stage: self.prepared.id.clone(), error }
    }

    /// What a stage computed from files that changed meanwhile is not kept.
    fn unchanged(&self) -> Result<(), StageError> {
        let changed = self.prepared.opens.iter().find_map(|path| self.context.files.first_changed(Path::new(path)));
        match changed {
            Some(path) => {
                let story = format!("`{}` has changed since this run began; run again", path.display());
                Err(StageError::Refused(story))
            }
            None => Ok(()),
        }
    }

    /// A stage that stopped because its time was over was failed by the world, not stopped by the user.
    fn in_time(&self, error: StageError, job: &StageJob<'_>) -> StageError {
        match (error, self.common.timeout) {
            (StageError::Cancelled, Some(timeout)) if job.is_late() && !self.context.is_stopping() => {
                StageError::World(format!("not done within {} s", timeout.as_secs_f64()), None)
            }
            (error, _) => error,
        }
    }

    fn pause(&self, attempt: u32) {
        let mut left = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_PAUSE);
        while !left.is_zero() && !self.context.is_stopping() {
            let look = left.min(LOOK_EVERY);
            std::thread::sleep(look);
            left -= look;
        }
    }
}

/// A panic is a bug of the stage, and no other's.
fn caught<T>(work: impl FnOnce() -> Result<T, StageError>) -> Result<T, StageError> {
    // What a stage leaves half done is dropped with its job.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(StageError::Bug(format!("it panicked: {}", text.unwrap_or("it did not say why"))))
    })
}

/// Says how often something was tried.
fn after(attempts: u32, error: StageError) -> StageError {
    match error {
        StageError::World(story, source) if attempts > 1 => {
            StageError::World(format!("{story}; tried {attempts} times"), source)
        }
        error => error,
    }
}
