//! Training on candle's autograd: LoRA adapters with C-DPO, whole models with next-token loss. The only crate that calls
//! `backward()`. It knows no workflow and no file of the user's.
//!
//! Reading order: [`rows`] (token rows and the log-probability of what is learnt in them), [`losses`], [`lora`] and [`adapter`]
//! (what is trained and how it is written), [`optimizer`] and [`schedule`], [`fit`], the loop, and [`checkpoint`], from which it
//! continues. Whole models: [`fresh`] (first values), [`full`] (the curriculum), [`model`] (how they are written).

pub mod adapter;
pub mod checkpoint;
mod error;
pub mod fit;
pub mod fresh;
pub mod full;
pub mod lora;
pub mod losses;
pub mod model;
pub mod optimizer;
pub mod rows;
pub mod schedule;

pub use error::TrainError;
