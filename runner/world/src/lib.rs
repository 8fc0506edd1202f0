//! The tiny world: procedural pictures whose content is known exactly, with everything needed to teach a small model to
//! describe them, and to misdescribe them. It is no engine and knows no tensor.
//!
//! # Steps
//! 1. [`objects`]: what there is, and where one expects it;
//! 2. [`scene`]: a seed, a split and a number become a picture and its truth, byte for byte the same everywhere;
//! 3. [`annotations`]: truths become COCO instances, for evaluation;


mod annotations;
mod background;
pub mod objects;
mod random;
pub mod scene;
mod sprite;

pub use annotations::annotations;
pub use scene::{SPLITS, Scene, Truth, WorldError, compose};
