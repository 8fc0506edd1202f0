//! The arithmetic of the layers, every operation with its gradient. On the CPU in f32 the operations are our own fused, vectorised
//! kernels with a fixed order of summation; elsewhere they are composed of candle's.
//!
//! candle's own fused kernels (`softmax_last_dim`, `rms_norm`, `layer_norm`, `rope`) drop gradients silently and are not used.
//! Reference numbers: `tests/reference/ops.py`.

mod attention;
mod dots;
mod kernel;
mod linear;
mod logp;
mod norm;
mod pointwise;
mod rope;
mod shared;

pub use attention::attention;
pub use linear::linear;
pub use logp::{log_sigmoid, token_logp};
pub use norm::{layer_norm, rms_norm};
pub use pointwise::{activate, silu_mul};
pub use rope::rope;
pub use shared::{Span, attend_shared};
