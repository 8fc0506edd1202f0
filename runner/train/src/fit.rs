//! The training loop: loss, gradients, clip, step, log. What a step's loss is, the caller says.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};

use crate::TrainError;
use crate::optimizer::{AdamW, Gradients, Moments, clip, gradients};
use crate::schedule::Phases;

/// What is optimised and how.
pub struct Fit<'a> {
    /// The variables, by name.
    pub vars: &'a BTreeMap<String, Var>,
    /// The optimiser.
    pub optimizer: AdamW,
    /// Its learning rates.
    pub schedule: Phases,
    /// Greatest gradient norm; 0 clips nothing.
    pub clip: f64,
}

/// The loss of a step and its gradients.
#[derive(Debug, Clone)]
pub struct Slope {
    /// The loss.
    pub loss: f64,
    /// The gradients of the variables it reaches.
    pub gradients: Gradients,
}

impl Slope {
    /// Runs a loss backwards.
    pub fn of(vars: &BTreeMap<String, Var>, loss: &Tensor) -> Result<Self, TrainError> {
        Ok(Self { loss: f64::from(loss.to_scalar::<f32>()?), gradients: gradients(vars, &loss.backward()?) })
    }

    /// Adds another part of the same step.
    pub fn plus(mut self, other: Self) -> Result<Self, TrainError> {
        self.loss += other.loss;
        for (name, gradient) in other.gradients {
            let sum = match self.gradients.get(&name) {
                Some(before) => (before + gradient)?,
                None => gradient,
            };
            self.gradients.insert(name, sum);
        }
        Ok(self)
    }
}

/// One optimiser step's readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The step, from 0.
    pub step: u32,
    /// The loss.
    pub loss: f64,
    /// The gradient norm before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

impl Fit<'_> {
    /// Runs the steps that `moments` has not seen. `slope` gives a step's loss and gradients; `after` is told its reading and may
    /// stop the training by an error, for example [`TrainError::Cancelled`].
    pub fn run(
        &self,
        moments: &mut Moments,
        mut slope: impl FnMut(u32) -> Result<Slope, TrainError>,
        mut after: impl FnMut(&Reading, &Moments) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        for step in moments.steps..self.schedule.steps() {
            let Slope { loss, mut gradients } = slope(step)?;
            let gradient_norm = clip(&mut gradients, self.clip)?;
            // A gradient that is no number would spoil the parameters before any loss shows it.
            for (reading, value) in [("loss", loss), ("gradient norm", gradient_norm)] {
                if !value.is_finite() {
                    return Err(TrainError::Diverged { step, reading, value });
                }
            }
            let learning_rate = self.schedule.at(step);
            self.optimizer.step(self.vars, &gradients, moments, learning_rate)?;
            after(&Reading { step, loss, gradient_norm, learning_rate }, moments)?;
        }
        // No loss has seen what the last step made.
        let total = magnitude(self.vars.values().map(Var::as_tensor))?;
        match total.is_finite() {
            true => Ok(()),
            false => Err(TrainError::Diverged { step: moments.steps, reading: "sum of all parameters", value: total }),
        }
    }
}

/// Returns the sum of all absolute values: finite if and only if every number is.
pub(crate) fn magnitude<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<f64, TrainError> {
    let mut total = 0.0;
    for tensor in tensors {
        total += tensor.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(total)
}
