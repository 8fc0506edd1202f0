//! Losses: pure functions of log-probabilities.

mod cdpo;
mod next_token;

pub use cdpo::{Preference, c_dpo};
pub use next_token::next_token;

/// The names a workflow may write after `loss:`, sorted.
pub const LOSSES: &[&str] = &["c-dpo", "next-token"];
