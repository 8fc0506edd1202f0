//! A LoRA adapter in memory: low-rank updates of the language model's linears, layer by layer. Reading and writing PEFT
//! directories is done elsewhere.

use candle_core::Tensor;

/// The linears of a decoder layer an adapter can touch, as PEFT names them, in the order of [`LayerAdapter`].
pub const TARGETS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// A low-rank update: `scale · B A`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// (rank, inputs).
    pub a: Tensor,
    /// (outputs, rank).
    pub b: Tensor,
    /// alpha / rank.
    pub scale: f64,
}

/// The updates of one decoder layer, in the order of [`TARGETS`].
pub type LayerAdapter = [Option<LowRank>; 7];

/// A LoRA adapter of a language model.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    /// One entry a decoder layer.
    pub layers: Vec<LayerAdapter>,
}

impl Adapter {
    /// Returns the update of one linear of one layer.
    pub fn of(&self, layer: usize, target: usize) -> Option<&LowRank> {
        self.layers.get(layer)?[target].as_ref()
    }
}
