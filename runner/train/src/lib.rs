//! Training on candle's autograd: LoRA adapters with C-DPO, whole models with next-token loss. The only crate that calls
//! `backward()`. It knows no workflow and no file of the user's.
//!
//! Reading order: [`rows`] (token rows and the log-probability of what is learnt in them), [`losses`], [`lora`] and [`adapter`]
//! (what is trained and how it is written), [`optimizer`] and [`schedule`], [`fit`], the loop, and [`checkpoint`], from which it
//! continues. Adapters: [`pairs`] and `preference`. Whole models: [`fresh`] (first values), [`full`] (the curriculum), `dialogues`,
//! [`model`] (how they are written). [`CandleTrainer`] is the port.

pub mod adapter;
mod base;
pub mod checkpoint;
mod dialogues;
mod error;
pub mod fit;
pub mod fresh;
pub mod full;
mod log;
pub mod lora;
pub mod losses;
pub mod model;
pub mod optimizer;
pub mod pairs;
mod preference;
mod random;
pub mod rows;
pub mod schedule;
mod trainer;

pub use error::TrainError;
pub use trainer::CandleTrainer;
