//! Warped distributions against transformers': `tests/reference/sampler.py` recorded the numbers.

use std::collections::BTreeMap;

use sentinel_models::sampler::Warp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    logits: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    logits: usize,
    temperature: f32,
    top_p: f32,
    top_k: u32,
    /// The tokens kept, with their probabilities.
    kept: BTreeMap<usize, f64>,
}

#[test]
fn the_same_tokens_are_kept_with_the_same_probabilities() {
    let recorded: Recorded = serde_json::from_str(include_str!("../../../tests/fixtures/sampler.json")).unwrap();
    assert_eq!(recorded.cases.len(), 32);
    for Case { logits, temperature, top_p, top_k, kept } in recorded.cases {
        let weights = Warp { temperature, top_p, top_k }.weights(&recorded.logits[logits]);
        let total: f64 = weights.iter().sum();
        for (token, weight) in weights.iter().enumerate() {
            let expected = kept.get(&token).copied().unwrap_or(0.0);
            let (ours, case) = (weight / total, (logits, temperature, top_p, top_k, token));
            assert_eq!(ours == 0.0, expected == 0.0, "{case:?}: {ours} where {expected} was recorded");
            // Temperatures and masses are f32 here and f64 there.
            assert!((ours - expected).abs() < 1e-6, "{case:?}: {ours} where {expected} was recorded");
        }
    }
}
