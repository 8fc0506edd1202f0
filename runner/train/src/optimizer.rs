//! AdamW with decoupled weight decay (arXiv 1711.05101), step for step as `torch.optim.AdamW`, and gradient clipping as
//! `torch.nn.utils.clip_grad_norm_`. Moments are f32.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// Gradients by variable name.
pub type Gradients = BTreeMap<String, Tensor>;

/// Settings of AdamW other than the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// ε, added outside the root.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// The two moments of each variable, and how many steps they have seen.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Steps taken.
    pub steps: u32,
    /// First and second moment by variable name.
    pub of: BTreeMap<String, (Tensor, Tensor)>,
}

impl Moments {
    /// Returns zero moments.
    pub fn zero(vars: &BTreeMap<String, Var>) -> Result<Self> {
        let of = vars.iter().map(|(name, var)| Ok((name.clone(), (var.zeros_like()?, var.zeros_like()?))));
        Ok(Self { steps: 0, of: of.collect::<Result<_>>()? })
    }
}

/// Takes the variables' gradients out of a backward pass; a variable the loss does not reach has none.
pub fn gradients(vars: &BTreeMap<String, Var>, store: &GradStore) -> Gradients {
    vars.iter().filter_map(|(name, var)| Some((name.clone(), store.get(var.as_tensor())?.clone()))).collect()
}

/// Scales gradients so that their joint norm is at most `limit` (0: no limit), and returns the norm before.
pub fn clip(gradients: &mut Gradients, limit: f64) -> Result<f64> {
    let mut squares = 0.0;
    for gradient in gradients.values() {
        squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    let norm = squares.sqrt();
    if limit > 0.0 && norm > limit {
        for gradient in gradients.values_mut() {
            *gradient = (&*gradient * (limit / (norm + 1e-6)))?;
        }
    }
    Ok(norm)
}

impl AdamW {
    /// Takes one step.
    pub fn step(
        &self,
        vars: &BTreeMap<String, Var>,
        gradients: &Gradients,
        moments: &mut Moments,
        learning_rate: f64,
    ) -> Result<()> {
        moments.steps += 1;
        let steps = f64::from(moments.steps);
        let (bias_1, bias_2) = (1.0 - self.beta_1.powf(steps), 1.0 - self.beta_2.powf(steps));
        for (name, gradient) in gradients {
            let var = &vars[name];
            let (first, second) = moments.of.get_mut(name).expect("every variable has moments");
            *first = ((&*first * self.beta_1)? + (gradient * (1.0 - self.beta_1))?)?.detach();
            *second = ((&*second * self.beta_2)? + (gradient.sqr()? * (1.0 - self.beta_2))?)?.detach();
            let root = ((&*second / bias_2)?.sqrt()? + self.eps)?;
            let update = ((&*first / bias_1)? / root)?;
            let kept = (var.as_tensor() * (1.0 - learning_rate * self.weight_decay))?;
            var.set(&(kept - (update * learning_rate)?)?.detach())?;
        }
        Ok(())
    }
}
