//! The port from sentences and pictures to an adapter, against PyTorch, transformers and PEFT doing the same the usual way:
//! `tests/reference/preference.py` recorded the numbers. It covers the chat template, the tokenizer, what of a text is learnt, the
//! picture, the loss, the optimiser and its schedule.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{AdapterRef, EngineError, Optimisation, PreferenceTask, TrainLog, Trainer, VlmSpec};
use sentinel_domain::records::Pair;
use sentinel_train::CandleTrainer;
use serde::Deserialize;
use support::{Until, fixtures, model};

#[derive(Deserialize)]
struct Expected {
    question: String,
    pairs: Vec<ExpectedPair>,
    beta: f64,
    steps: u32,
    warmup: u32,
    peak: f64,
    clip: f64,
    decay: f64,
    without_end: Trained,
    with_end: Trained,
}

#[derive(Deserialize)]
struct ExpectedPair {
    picture: usize,
    context: Vec<String>,
    chosen: String,
    rejected: String,
    is_last: bool,
}

#[derive(Deserialize)]
struct Trained {
    steps: Vec<[f64; 5]>,
    trained_norms: BTreeMap<String, f64>,
}

fn expected() -> Expected {
    serde_json::from_slice(&std::fs::read(fixtures().join("preference/expected.json")).unwrap()).unwrap()
}

fn pairs(expected: &Expected, pictures: &[Vec<u8>]) -> Vec<Pair> {
    let pair = |(number, pair): (usize, &ExpectedPair)| Pair {
        id: format!("r{number}"),
        step: pair.context.len() as u32,
        picture: Digest::of(&pictures[pair.picture]),
        question: expected.question.clone(),
        context: pair.context.clone(),
        is_last: pair.is_last,
        ..support::pair(&pair.chosen, &pair.rejected)
    };
    expected.pairs.iter().enumerate().map(pair).collect()
}

fn train(expected: &Expected, learn_end: bool, out: &Path) -> TrainLog {
    let (model, checkpoints) = (model(), tempfile::tempdir().unwrap());
    let picture = |number: usize| std::fs::read(fixtures().join(format!("preference/picture-{number}.png"))).unwrap();
    let pictures = [picture(0), picture(1)];
    let pairs = pairs(expected, &pictures);
    let source = |digest| -> Result<Vec<u8>, EngineError> {
        Ok(pictures.iter().find(|picture| Digest::of(picture) == digest).unwrap().clone())
    };
    let start = AdapterRef { dir: fixtures().join("cdpo/adapter"), digest: Digest::of(b"start") };
    let task = PreferenceTask {
        base: &VlmSpec { path: model.path().to_owned(), adapter: None },
        start: Some(&start),
        pairs: &pairs,
        pictures: &source,
        loss: "c-dpo".into(),
        beta: expected.beta,
        rank: 4,
        alpha: 8.0,
        learn_end,
        optim: Optimisation {
            epochs: f64::from(expected.steps),
            batch: pairs.len() as u32,
            learning_rate: expected.peak,
            warmup: expected.warmup,
            max_steps: None,
            betas: (0.9, 0.999),
            weight_decay: expected.decay,
            clip: expected.clip,
            seed: 1,
            checkpoint_every: 100,
        },
        checkpoints: checkpoints.path(),
        out,
    };
    CandleTrainer::new(&Exec::default()).unwrap().preference(&task, &Until::done()).unwrap()
}

fn check(learn_end: bool, theirs: impl Fn(&Expected) -> &Trained) {
    let (expected, out) = (expected(), tempfile::tempdir().unwrap());
    let log = train(&expected, learn_end, out.path());
    let theirs = theirs(&expected);
    assert_eq!(log.readings, ["loss", "margin", "accuracy", "learning_rate", "gradient_norm"]);
    assert_eq!(log.steps.len(), theirs.steps.len());
    for (step, (ours, theirs)) in log.steps.iter().zip(&theirs.steps).enumerate() {
        for ((name, ours), theirs) in log.readings.iter().zip(ours).zip(theirs) {
            let allowed = 2e-4 * theirs.abs() + 1e-7;
            assert!((ours - theirs).abs() <= allowed, "{name} of step {step}: {ours}, recorded {theirs}");
        }
    }
    let trained = candle_core::safetensors::load(out.path().join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(trained.len(), theirs.trained_norms.len());
    for (name, theirs) in &theirs.trained_norms {
        let norm = trained[name].sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let ours = f64::from(norm).sqrt();
        assert!((ours / theirs - 1.0).abs() < 1e-4, "norm of `{name}`: {ours}, recorded {theirs}");
    }
}

#[test]
fn sentences_are_learnt_as_pytorch_learns_them() {
    check(false, |expected| &expected.without_end);
}

#[test]
fn the_end_is_learnt_after_a_last_sentence_only() {
    check(true, |expected| &expected.with_end);
}
