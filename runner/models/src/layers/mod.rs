//! What the families are built of: linears with room for a low-rank adapter, norms, masks and positions.

mod adapter;
mod attention;
mod linear;
mod norm;

pub use adapter::{Adapter, LayerAdapter, LowRank, TARGETS};
pub use attention::{Rotary, causal_mask};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
