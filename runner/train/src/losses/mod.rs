//! Losses: pure functions of log-probabilities.

mod cdpo;
mod next_token;

use candle_core::{Result, Tensor};

pub use cdpo::{Preference, c_dpo};
pub use next_token::next_token;

/// A loss a workflow may name.
pub struct Loss {
    /// The word after `loss:`.
    pub name: &'static str,
    /// What it is a function of.
    pub over: Over,
}

/// What a loss is a function of.
#[derive(Clone, Copy)]
pub enum Over {
    /// Preference pairs.
    Pairs(PairLoss),
    /// The learnt tokens of dialogues: [`next_token`], the one loss that whole models are trained with.
    Tokens,
}

/// A loss of the policy's log-probabilities of chosen and rejected sentences, the reference's of the same, (B) each, and β.
pub type PairLoss = fn(&Tensor, &Tensor, &Tensor, &Tensor, f64) -> Result<Preference>;

/// Every loss, sorted by name.
pub static LOSSES: &[Loss] =
    &[Loss { name: "c-dpo", over: Over::Pairs(c_dpo) }, Loss { name: "next-token", over: Over::Tokens }];
