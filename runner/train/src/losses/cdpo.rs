//! Context-aware direct preference optimisation, sigmoid form (arXiv 2507.12455 eq. 5; 2305.18290 eq. 7): the prompt and the
//! context stand before both sentences, so only the sentences' own log-probabilities enter.

use candle_core::{Result, Tensor};

/// The loss of a batch of pairs and what to tell of it.
#[derive(Debug, Clone)]
pub struct Preference {
    /// The mean loss, a scalar.
    pub loss: Tensor,
    /// `β · ((π_w − π_l) − (r_w − r_l))` of each pair (B): positive where the policy prefers the chosen sentence more than
    /// the reference does.
    pub margins: Tensor,
}

/// Returns `mean(−log σ(margin))`; every argument is (B), a sum of token log-probabilities.
pub fn c_dpo(
    policy_chosen: &Tensor,
    policy_rejected: &Tensor,
    reference_chosen: &Tensor,
    reference_rejected: &Tensor,
    beta: f64,
) -> Result<Preference> {
    let policy = (policy_chosen - policy_rejected)?;
    let reference = (reference_chosen - reference_rejected)?;
    let margins = ((policy - reference)? * beta)?;
    Ok(Preference { loss: softplus(&margins.neg()?)?.mean_all()?, margins })
}

/// `log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)`, which never overflows.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}
