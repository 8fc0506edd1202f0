//! The tiny world: procedural pictures whose content is known exactly, with everything needed to teach a small model to
//! describe them, and to misdescribe them. It is no engine and knows no tensor.
//!
//! # Steps
//! 1. [`objects`]: what there is, and where one expects it;
//! 2. [`scene`]: a seed, a split and a number become a picture and its truth, byte for byte the same everywhere;
//! 3. [`annotations`]: truths become COCO instances, for evaluation;
//! 4. [`dialogues`]: a truth becomes questions and answers, for training a base model;
//! 5. [`TinyWorld`]: all of it behind the port the stages know.

mod annotations;
mod background;
mod dialogues;
pub mod objects;
mod port;
mod random;
pub mod scene;
mod speech;
mod sprite;

pub use annotations::annotations;
pub use dialogues::{DESCRIBE, Talk, dialogues};
pub use port::{ENGINE, TinyWorld};
pub use scene::{Scene, Truth, WorldError, compose};
