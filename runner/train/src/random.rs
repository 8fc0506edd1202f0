//! Seeded streams: everything training draws follows from the seed and from what a stream is named by, never from how much was
//! drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Opens the stream of a seed and two numbers.
pub(crate) fn stream(seed: u64, purpose: u64, number: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose.to_le_bytes());
    key[16..24].copy_from_slice(&number.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Draws a number in [0, 1) with 32 random bits.
pub(crate) fn unit(stream: &mut ChaCha8Rng) -> f64 {
    f64::from(stream.next_u32()) / 4_294_967_296.0
}

/// Draws an order of the numbers below `length` (Fisher and Yates).
pub(crate) fn permutation(length: usize, mut stream: ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        order.swap(last, (unit(&mut stream) * (last + 1) as f64) as usize);
    }
    order
}
