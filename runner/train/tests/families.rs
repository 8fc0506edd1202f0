//! Learning through every family whose pictures have no fixed size, against transformers and PEFT: `tests/reference/families.py`
//! recorded log-probabilities and gradients.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

#[expect(dead_code, reason = "this test has models of its own")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{EngineError, NextTokenTask, Optimisation, PreferenceTask, TrainLog, Trainer, VlmSpec};
use sentinel_domain::records::Pair;
use sentinel_models::config::Config;
use sentinel_models::image::Picture;
use sentinel_models::model::Model;
use sentinel_models::text::Text;
use sentinel_models::weights::{Checkpoint, Weights};
use sentinel_train::CandleTrainer;
use sentinel_train::lora::{LoraVars, Shape};
use sentinel_train::optimizer::gradients;
use sentinel_train::pairs::{PairIds, pair_logps};
use sentinel_train::rows::{Row, row_logps};
use serde_json::Value;
use support::{Until, fixtures};

const FAMILIES: [&str; 3] = ["llava-next", "qwen2-vl", "qwen2.5-vl"];
/// Pictures in the order in which their texts were recorded; no two take the same number of tokens.
const ASKED: [&str; 3] = ["odd", "long", "narrow"];
/// What stands before `layers.N…` in PEFT's keys.
const PREFIX: &str = "base_model.model.model.language_model.";

struct Fixture {
    model: Model,
    lora: LoraVars,
    /// Of each text: prompt and what was said.
    rows: Vec<Row>,
    features: Vec<Tensor>,
    expected: BTreeMap<String, Tensor>,
}

fn load(name: &str) -> Fixture {
    let (dir, device) = (fixtures().join("families").join(name), Device::Cpu);
    let config = Config::read(&dir).unwrap();
    let model = Model::take(&Weights::Frozen(Checkpoint::open(&dir, &device).unwrap()), &config, &device).unwrap();
    let (images, text) = (config.family.processor(&dir).unwrap(), Text::read(&dir, config.image_token).unwrap());
    let said = candle_core::safetensors::load(dir.join("expected.safetensors"), &device).unwrap();
    let expected = candle_core::safetensors::load(dir.join("adapter/expected.safetensors"), &device).unwrap();
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let picture = |name: &&str| {
        let bytes = std::fs::read(fixtures().join("pictures").join(format!("{name}.png"))).unwrap();
        images.prepare(&bytes, &device).unwrap()
    };
    let pictures: Vec<Picture> = ASKED.iter().map(picture).collect();
    let row = |(name, picture): (&&str, &Picture)| {
        let prompt = text.prompt(recorded["question"].as_str().unwrap(), picture.place.tokens).unwrap();
        let greedy = said[&format!("{name}.greedy")].to_dtype(DType::U32).unwrap().flatten_all().unwrap();
        let (start, mut ids) = (prompt.ids.len(), prompt.ids);
        ids.extend(greedy.to_vec1::<u32>().unwrap());
        Row { learnt: start..ids.len(), ids, image_at: prompt.image_at, place: picture.place }
    };
    let rows = ASKED.iter().zip(&pictures).map(row).collect();
    let features = model.features(&pictures).unwrap().iter().map(Tensor::detach).collect();
    let adapter = sentinel_models::adapter::read(&dir.join("adapter"), &config.text, &device).unwrap();
    let lora = LoraVars::from(&adapter, &config.text, Shape { rank: 4, alpha: 8.0 }).unwrap();
    Fixture { model, lora, rows, features, expected: expected.into_iter().collect() }
}

/// Greatest difference over greatest magnitude.
fn relative(ours: &Tensor, theirs: &Tensor) -> f32 {
    assert_eq!(ours.dims(), theirs.dims());
    let peak = |t: &Tensor| t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    peak(&(ours - theirs).unwrap()) / peak(theirs)
}

#[test]
fn log_probabilities_and_gradients_are_those_of_transformers_and_peft() {
    for name in FAMILIES {
        let f = load(name);
        let logps = row_logps(&f.model, &f.features, &f.rows, Some(&f.lora.adapter())).unwrap();
        let difference = relative(&logps, &f.expected["logps"]);
        assert!(difference < 1e-5, "{name}: log-probabilities differ by {difference:e}");
        let ours = gradients(&f.lora.vars, &logps.mean_all().unwrap().backward().unwrap());
        assert_eq!((ours.len(), f.expected.len()), (28, 29), "{name}");
        let mut worst = 0.0f32;
        for (key, gradient) in &ours {
            let difference = relative(gradient, &f.expected[&format!("{PREFIX}{key}.weight")]);
            worst = worst.max(difference);
            assert!(difference < 1e-4, "{name}: the gradient of `{key}` differs by {difference:e}");
        }
        println!("{name}: log-probabilities differ by {difference:e}, gradients by {worst:e}");
    }
}

#[test]
fn rows_of_pictures_of_several_sizes_have_the_same_bits_alone_and_as_pairs() {
    for name in FAMILIES {
        let f = load(name);
        let adapter = f.lora.adapter();
        let bits = |t: Tensor| t.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let together = row_logps(&f.model, &f.features, &f.rows, Some(&adapter)).unwrap();
        let pair = |row: &Row| PairIds {
            prefix: row.ids[..row.learnt.start].to_vec(),
            image_at: row.image_at,
            place: row.place,
            chosen: row.ids[row.learnt.clone()].to_vec(),
            rejected: row.ids[row.learnt.clone()].iter().rev().copied().take(7).collect(),
        };
        let pairs: Vec<PairIds> = f.rows.iter().map(pair).collect();
        let asked: Vec<&PairIds> = pairs.iter().collect();
        let (chosen, rejected) = pair_logps(&f.model, &f.features, &asked, Some(&adapter)).unwrap();
        assert!(relative(&chosen, &together) < 1e-5, "{name}");
        let last = |(row, pair): (&Row, &PairIds)| Row {
            ids: pair.prefix.iter().chain(&pair.rejected).copied().collect(),
            learnt: pair.prefix.len()..pair.prefix.len() + pair.rejected.len(),
            ..row.clone()
        };
        let others: Vec<Row> = f.rows.iter().zip(&pairs).map(last).collect();
        let other = row_logps(&f.model, &f.features, &others, Some(&adapter)).unwrap();
        assert!(relative(&rejected, &other) < 1e-5, "{name}");
        let together = (bits(chosen), bits(rejected));
        for (at, pair) in asked.iter().enumerate() {
            let (chosen, rejected) = pair_logps(&f.model, &f.features[at..=at], &[pair], Some(&adapter)).unwrap();
            assert_eq!((bits(chosen)[0], bits(rejected)[0]), (together.0[at], together.1[at]), "{name} {at}");
        }
    }
}

fn optimisation() -> Optimisation {
    Optimisation {
        epochs: 3.0,
        batch: 4,
        learning_rate: 4e-3,
        warmup: 1,
        max_steps: None,
        betas: (0.9, 0.999),
        weight_decay: 0.01,
        clip: 1.0,
        seed: 11,
        checkpoint_every: 100,
    }
}

/// A picture by the digest of its name.
fn blobs(asked: Digest) -> Result<Vec<u8>, EngineError> {
    let name = ASKED.iter().find(|name| Digest::of(name.as_bytes()) == asked).unwrap();
    Ok(std::fs::read(fixtures().join("pictures").join(format!("{name}.png"))).unwrap())
}

fn learn_pairs(name: &str, threads: u32, out: &Path) -> TrainLog {
    let pair = |number: usize| Pair {
        id: format!("r{number}"),
        step: (number % 2) as u32,
        picture: Digest::of(ASKED[number % 3].as_bytes()),
        context: vec!["babo gage.".to_owned(); number % 2],
        question: "bab babe babi?".to_owned(),
        ..support::pair("bibi babu 17.", "babe bab.")
    };
    let (pairs, checkpoints): (Vec<Pair>, _) = ((0..12).map(pair).collect(), tempfile::tempdir().unwrap());
    let task = PreferenceTask {
        base: &VlmSpec { path: fixtures().join("families").join(name), adapter: None },
        start: None,
        pairs: &pairs,
        pictures: &blobs,
        loss: "c-dpo".into(),
        beta: 0.1,
        rank: 4,
        alpha: 8.0,
        learn_end: true,
        optim: optimisation(),
        checkpoints: checkpoints.path(),
        out,
    };
    let exec = Exec { threads: Some(threads), ..Exec::default() };
    CandleTrainer::new(&exec).unwrap().preference(&task, &Until::done()).unwrap()
}

#[test]
fn preference_training_widens_the_margin_with_the_same_bytes_on_any_number_of_threads() {
    for name in FAMILIES {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = learn_pairs(name, 1, one.path());
        let margin = |row: &Vec<f64>| row[log.readings.iter().position(|name| name == "margin").unwrap()];
        let (first, last) = (margin(log.steps.first().unwrap()), margin(log.steps.last().unwrap()));
        assert!(first == 0.0 && last > 0.1, "{name}: from {first} to {last}");
        learn_pairs(name, 2, two.path());
        let bytes = |dir: &Path| std::fs::read(dir.join("adapter_model.safetensors")).unwrap();
        assert!(bytes(one.path()) == bytes(two.path()), "{name}");
    }
}

#[test]
fn a_whole_model_of_another_family_is_not_trained() {
    let (checkpoints, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, model_type) in FAMILIES.iter().zip(["llava_next", "qwen2_vl", "qwen2_5_vl"]) {
        let task = NextTokenTask {
            base: &VlmSpec { path: fixtures().join("families").join(name), adapter: None },
            fresh: false,
            dialogues: &[],
            pictures: &blobs,
            phases: vec![],
            optim: optimisation(),
            half: true,
            checkpoints: checkpoints.path(),
            out: out.path(),
        };
        let refused = CandleTrainer::new(&Exec::default()).unwrap().next_token(&task, &Until::done());
        let Err(EngineError::Refused(message)) = refused else { panic!("{name}: {refused:?}") };
        assert!(message.contains(&format!("whole models of type `{model_type}` cannot be trained")), "{message}");
    }
}
