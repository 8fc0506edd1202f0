//! A token drawn under an adapter has the same logits, bit for bit, whatever is drawn beside it.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::path::Path;

use candle_core::{Device, Tensor};
use sentinel_models::adapter;
use sentinel_models::config::Config;
use sentinel_models::families::llama::{KeyValue, Llama, Positions};
use sentinel_models::layers::{Adapter, causal_mask};
use sentinel_models::model::Model;
use sentinel_models::ops::{Span, attend_shared};
use sentinel_models::weights::{Checkpoint, Weights};

/// What is said before each row's new tokens, over and over with other words.
const PREFIX: usize = 21;

/// Ids of a row: words of this model, another sequence for every row.
fn ids(row: usize, count: usize) -> Tensor {
    let ids: Vec<u32> = (0..count).map(|place| (3 + (row * 31 + place * 7) % 150) as u32).collect();
    Tensor::from_vec(ids, (1, count), &Device::Cpu).unwrap()
}

/// Keys and values of a row's prefix.
fn prefix(decoder: &Llama, adapter: Option<&Adapter>, row: usize) -> Vec<KeyValue> {
    let embedded = decoder.embed(&ids(row, PREFIX)).unwrap();
    let mask = causal_mask(PREFIX, PREFIX, &Device::Cpu).unwrap();
    let mut layers = Vec::new();
    decoder.forward(&embedded, Positions::From(0), Some(&mask), None, adapter, |kv| layers.push(kv)).unwrap();
    layers
}

/// Logits of some rows that make their first token together, as bits, a list a row.
fn step(decoder: &Llama, adapter: Option<&Adapter>, rows: &[usize]) -> Vec<Vec<u32>> {
    let prefixes: Vec<Vec<KeyValue>> = rows.iter().map(|&row| prefix(decoder, adapter, row)).collect();
    let last: Vec<Tensor> = rows.iter().map(|&row| ids(row + 100, 1)).collect();
    let embedded = decoder.embed(&Tensor::cat(&last, 1).unwrap()).unwrap(); // (1, R, C)
    let places = Tensor::full(PREFIX as u32, (1, rows.len()), &Device::Cpu).unwrap();
    let head_dim = decoder.config().head_dim;
    let hidden = decoder.forward_with(&embedded, Positions::Given(&places), adapter, |layer, q, k, v| {
        let row = |x: &Tensor, row| x.narrow(1, row, 1)?.contiguous();
        let own: Vec<KeyValue> =
            (0..rows.len()).map(|place| Ok((row(&k, place)?, row(&v, place)?))).collect::<candle_core::Result<_>>()?;
        let spans = prefixes
            .iter()
            .zip(&own)
            .map(|(prefix, (keys, values))| Span { prefix: (&prefix[layer].0, &prefix[layer].1), own: (keys, values) });
        attend_shared(&q.squeeze(0)?, &spans.collect::<Vec<_>>(), head_dim)?.unsqueeze(0)
    });
    let logits = decoder.logits(&hidden.unwrap()).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
    logits.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect()
}

#[test]
fn logits_under_an_adapter_are_the_same_in_any_company() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    // An adapter on all linears, and one on two of them.
    for (base, adapted) in [("llava-tiny", "cdpo/adapter"), ("generate/model", "generate/adapter")] {
        let (dir, device) = (fixtures.join(base), Device::Cpu);
        let config = Config::read(&dir).unwrap();
        let weights = Weights::Frozen(Checkpoint::open(&dir, &device).unwrap());
        let decoder = Model::take(&weights, &config, &device).unwrap().decoder;
        let adapter = adapter::read(&fixtures.join(adapted), &config.text, &device).unwrap();
        let rows: Vec<usize> = (0..8).collect();
        let together = step(&decoder, Some(&adapter), &rows);
        assert!(together != step(&decoder, None, &rows), "{adapted} changes nothing");
        for company in [&rows[..1], &rows[3..4], &rows[7..], &rows[2..4], &rows[..5], &rows[1..8]] {
            let ours = step(&decoder, Some(&adapter), company);
            assert!(ours == together[company[0]..][..company.len()], "{adapted}: rows {company:?}");
        }
    }
}
