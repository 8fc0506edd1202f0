//! One random choice, named by what it is for. A stage that chooses once a unit needs no generator: the digest of the stream's
//! name, the record and the step is as good, and depends on nothing else.

use sentinel_core::digest::Digest;

/// Returns a number below `count`, drawn by the seed for one record at one step.
pub(crate) fn choice(seed: u64, stream: &str, id: &str, step: u32, count: usize) -> usize {
    let parts: [&[u8]; 4] = [&seed.to_le_bytes(), stream.as_bytes(), id.as_bytes(), &step.to_le_bytes()];
    let [a, b, c, d, e, f, g, h, ..] = *Digest::of_parts(parts).as_bytes();
    // The remainder favours small numbers by less than one part in 2⁶⁴ / count.
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % count.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_even_and_independent_of_one_another() {
        let mut counts = [0_u32; 5];
        for step in 0..5000 {
            counts[choice(42, "extend", "a", step, 5)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        let equal = (0..1000).filter(|step| choice(1, "extend", "a", *step, 10) == choice(1, "extend", "b", *step, 10));
        assert!((50..150).contains(&equal.count()));
    }
}
