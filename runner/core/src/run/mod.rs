//! A run: nodes are worked on as soon as what they need is there, several at once; what is missing is computed and kept, results
//! are put in their place, and the run is recorded. Whatever stops it, what was done stays done.
//!
//! # Reading order
//! [`prepare`] (fingerprints and wires) → [`schedule`] (who works when) → [`node`] (one node: joining its inputs) →
//! [`units`], [`whole`], [`looped`] (the three ways of working) → [`attempt`] (one piece of work) → [`job`] (what a stage may ask
//! for) → [`publish`] (results in their place).

pub(crate) mod again;
pub(crate) mod attempt;
mod cases;
pub(crate) mod context;
pub(crate) mod error;
pub(crate) mod flow;
mod job;
mod looped;
pub(crate) mod node;
pub(crate) mod prepare;
pub(crate) mod publish;
pub(crate) mod schedule;
mod select;
mod stop;
pub(crate) mod units;
mod whole;

pub use again::{Compared, Repeated, Repeats};
pub use cases::{Outcome, test};
pub use error::{Ending, RunError, TooMany};
pub use publish::write_whole;
pub use select::{Selection, narrow};
pub use stop::Stop;
