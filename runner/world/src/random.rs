//! Seeded random streams and the few ways of drawing from them. Only integer arithmetic and single IEEE operations, so that a
//! draw is the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; two purposes of one scene never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which objects stand where.
    Layout = 0,
    /// The look of wall, floor and sprites.
    Look = 1,
    /// Dialogues about the scene.
    Talk = 2,
}

/// One stream of random numbers.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Opens the stream of one purpose of scene `index` of split number `split`.
    pub(crate) fn open(seed: u64, split: u32, index: u32, purpose: Purpose) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&split.to_le_bytes());
        key[12..16].copy_from_slice(&index.to_le_bytes());
        key[16..20].copy_from_slice(&(purpose as u32).to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Draws an integer in `0..count`; `count` is at least 1.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        // Multiply-shift: the bias is below 2⁻²⁵ for the two-digit counts drawn here.
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// Draws an integer in `low..=high`.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// Draws a number in `[0, 1)` with 24 random bits.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Draws a number in `[low, high)`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Is true with probability `p`.
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Draws an element.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Draws a position with probability proportional to its weight; the weights are not all zero.
    pub(crate) fn weighted(&mut self, weights: &[f32]) -> usize {
        let total: f32 = weights.iter().sum();
        let mut left = self.unit() * total;
        for (position, weight) in weights.iter().enumerate() {
            if left < *weight {
                return position;
            }
            left -= weight;
        }
        weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
    }

    /// Puts a list in random order (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}
