//! Next-token prediction: the mean negative log-probability of the learnt tokens.

use candle_core::{Result, Tensor};

/// Returns the mean over all learnt tokens (L) of the batch, as transformers' causal language-model loss does.
pub fn next_token(logps: &Tensor) -> Result<Tensor> {
    logps.mean_all()?.neg()
}
