//! The training loop: batch, forward, loss, backward, clip, step, log. What a step's loss is, the caller says.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::TrainError;
use crate::optimizer::{AdamW, Moments, clip, gradients};
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
    /// Runs the steps that `moments` has not seen. `loss` gives the loss of a step; `after` is told its reading and may stop the
    /// training by an error, for example [`TrainError::Cancelled`].
    pub fn run(
        &self,
        moments: &mut Moments,
        mut loss: impl FnMut(u32) -> Result<Tensor, TrainError>,
        mut after: impl FnMut(&Reading, &Moments) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        for step in moments.steps..self.schedule.steps() {
            let scalar = loss(step)?;
            let value = f64::from(scalar.to_scalar::<f32>()?);
            if !value.is_finite() {
                return Err(TrainError::Diverged { step, loss: value });
            }
            let mut gradients = gradients(self.vars, &scalar.backward()?);
            let gradient_norm = clip(&mut gradients, self.clip)?;
            let learning_rate = self.schedule.at(step);
            self.optimizer.step(self.vars, &gradients, moments, learning_rate)?;
            after(&Reading { step, loss: value, gradient_norm, learning_rate }, moments)?;
        }
        Ok(())
    }
}
