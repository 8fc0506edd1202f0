//! What is done after every optimiser step: readings are kept and told, checkpoints are written, the user's wish to stop is heard.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Var;
use sentinel_domain::ports::{TrainLog, Watch};

use crate::optimizer::Moments;
use crate::{TrainError, checkpoint};

/// The log of a training.
pub(crate) struct Log<'a> {
    names: &'static [&'static str],
    rows: Vec<Vec<f64>>,
    steps: u32,
    checkpoints: &'a Path,
    every: u32,
    watch: &'a dyn Watch,
}

impl<'a> Log<'a> {
    /// Goes on with the readings of the steps before.
    pub(crate) fn new(
        names: &'static [&'static str],
        rows: Vec<Vec<f64>>,
        steps: u32,
        checkpoints: &'a Path,
        every: u32,
        watch: &'a dyn Watch,
    ) -> Self {
        Self { names, rows, steps, checkpoints, every: every.max(1), watch }
    }

    /// Takes the readings of a step, in the order of the names.
    pub(crate) fn after(
        &mut self,
        row: Vec<f64>,
        vars: &BTreeMap<String, Var>,
        moments: &Moments,
    ) -> Result<(), TrainError> {
        let named: Vec<(&'static str, f64)> = self.names.iter().copied().zip(row.iter().copied()).collect();
        self.rows.push(row);
        self.watch.progress(u64::from(moments.steps), u64::from(self.steps), "steps", &named);
        let cancelled = self.watch.cancelled();
        if cancelled || moments.steps.is_multiple_of(self.every) {
            checkpoint::save(self.checkpoints, vars, moments, &self.rows)?;
        }
        if cancelled && moments.steps < self.steps { Err(TrainError::Cancelled) } else { Ok(()) }
    }

    /// Returns the log of all steps.
    pub(crate) fn done(self) -> TrainLog {
        TrainLog { readings: self.names.iter().map(|name| (*name).to_owned()).collect(), steps: self.rows }
    }
}
