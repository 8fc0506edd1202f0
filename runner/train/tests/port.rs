//! The port as a whole, on the tiny LLaVA: training leaves an adapter that does what it learnt, and continues bit
//! for bit wherever it was stopped.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

mod support;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, Rgb, RgbImage};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{
    AdapterRef, EngineError, NextTokenTask, Optimisation, Phase, PreferenceTask, TrainLog, Trainer, VlmSpec, Watch,
};
use sentinel_domain::records::{Dialogue, Pair};
use sentinel_train::CandleTrainer;
use support::{Until, model};

fn picture() -> Vec<u8> {
    let picture = RgbImage::from_fn(112, 112, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, (x + y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn pair(number: u32) -> Pair {
    let context = ["A cat sleeps.", "A table!"];
    Pair {
        id: format!("r{number}"),
        step: number % 3,
        picture: Digest::of(&picture()),
        context: context[..(number % 3) as usize].iter().map(|&sentence| sentence.into()).collect(),
        is_last: number % 3 == 2,
        ..support::pair("A dog.", "The cat is on the table.")
    }
}

fn optimisation() -> Optimisation {
    Optimisation {
        epochs: 2.0,
        batch: 5,
        learning_rate: 2e-3,
        warmup: 1,
        max_steps: None,
        betas: (0.9, 0.999),
        weight_decay: 0.01,
        clip: 1.0,
        seed: 11,
        checkpoint_every: 2,
    }
}

fn blobs(_: Digest) -> Result<Vec<u8>, EngineError> {
    Ok(picture())
}

fn learn_pairs(threads: u32, checkpoints: &Path, out: &Path, watch: &dyn Watch) -> Result<TrainLog, EngineError> {
    let (model, pairs): (_, Vec<Pair>) = (model(), (0..12).map(pair).collect());
    let task = PreferenceTask {
        base: &VlmSpec { path: model.path().into(), adapter: None },
        start: None,
        pairs: &pairs,
        pictures: &blobs,
        loss: "c-dpo".into(),
        beta: 0.1,
        rank: 4,
        alpha: 8.0,
        learn_end: true,
        optim: optimisation(),
        checkpoints,
        out,
    };
    let exec = Exec { threads: Some(threads), ..Exec::default() };
    CandleTrainer::new(&exec).unwrap().preference(&task, watch)
}

fn learn_dialogues(checkpoints: &Path, out: &Path, watch: &dyn Watch) -> Result<TrainLog, EngineError> {
    let dialogue = |(number, group): (u32, &str)| Dialogue {
        id: format!("{number}/{group}"),
        picture: Digest::of(&number.to_le_bytes()),
        image_path: String::new(),
        question: "What is here?".into(),
        answer: vec!["A dog sleeps on the table.".into()],
        group: group.into(),
    };
    let dialogues: Vec<Dialogue> = (0..4).flat_map(|k| [(k, "describe"), (k, "places")]).map(dialogue).collect();
    let phase = |steps, group: &str| Phase {
        steps,
        mixture: vec![(group.into(), 1.0)],
        learning_rate: 1e-3,
        final_learning_rate: 1e-4,
        warmup: 1,
    };
    let model = model();
    let task = NextTokenTask {
        base: &VlmSpec { path: model.path().into(), adapter: None },
        fresh: true,
        dialogues: &dialogues,
        pictures: &blobs,
        phases: vec![phase(3, "places"), phase(4, "describe")],
        optim: Optimisation { batch: 2, ..optimisation() },
        half: true,
        checkpoints,
        out,
    };
    CandleTrainer::new(&Exec::default()).unwrap().next_token(&task, watch)
}

fn bytes(dir: &Path, file: &str) -> Vec<u8> {
    std::fs::read(dir.join(file)).unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn preference_training_widens_the_margin_and_continues_bit_for_bit() {
    let (checkpoints, out) = (folder(), folder());
    let log = learn_pairs(2, checkpoints.path(), out.path(), &Until::done()).unwrap();
    assert_eq!(log.readings, ["loss", "margin", "accuracy", "learning_rate", "gradient_norm"]);
    assert_eq!(log.steps.len(), 6);
    // Before the first step the policy is the reference: margin 0, loss ln 2.
    assert!((log.steps[0][0] - std::f64::consts::LN_2).abs() < 1e-6 && log.steps[0][1] == 0.0, "{:?}", log.steps[0]);
    assert!(log.steps[5][1] > 0.05, "{:?}", log.steps);
    for stop in [1, 3, 5] {
        let (checkpoints, again) = (folder(), folder());
        let first = learn_pairs(1, checkpoints.path(), again.path(), &Until::step(stop));
        assert!(matches!(first, Err(EngineError::Cancelled)), "stopped at {stop}");
        let continued = learn_pairs(2, checkpoints.path(), again.path(), &Until::done()).unwrap();
        assert_eq!(continued, log, "stopped at {stop}");
        let file = "adapter_model.safetensors";
        assert_eq!(bytes(again.path(), file), bytes(out.path(), file), "stopped at {stop}");
    }
}

/// Dies when it hears of this step.
struct Death(u64);

impl Watch for Death {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, done: u64, _: u64, unit: &'static str, _: &[(&'static str, f64)]) {
        assert!(unit != "steps" || done < self.0, "dead at step {done}");
    }
}

#[test]
fn what_was_killed_between_checkpoints_ends_in_the_same_bytes() {
    let (checkpoints, out) = (folder(), folder());
    let log = learn_pairs(2, checkpoints.path(), out.path(), &Until::done()).unwrap();
    // Checkpoints are written after steps 2 and 4.
    for death in [2, 4, 6] {
        let (checkpoints, again) = (folder(), folder());
        let run = || learn_pairs(1, checkpoints.path(), again.path(), &Death(death));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        let continued = learn_pairs(2, checkpoints.path(), again.path(), &Until::done()).unwrap();
        assert_eq!(continued, log, "killed at {death}");
        let file = "adapter_model.safetensors";
        assert_eq!(bytes(again.path(), file), bytes(out.path(), file), "killed at {death}");
    }
}

#[test]
fn a_damaged_checkpoint_is_not_continued_from() {
    let (checkpoints, out, again) = (folder(), folder(), folder());
    learn_pairs(1, checkpoints.path(), out.path(), &Until::step(3)).unwrap_err();
    let found: Vec<PathBuf> =
        std::fs::read_dir(checkpoints.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let mut content = std::fs::read(&found[0]).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&found[0], content).unwrap();
    let steps = learn_pairs(1, checkpoints.path(), again.path(), &Until::done()).unwrap().steps.len();
    assert_eq!(steps, 6);
}

#[test]
fn next_token_training_learns_and_continues_bit_for_bit() {
    let (checkpoints, out) = (folder(), folder());
    let log = learn_dialogues(checkpoints.path(), out.path(), &Until::done()).unwrap();
    assert_eq!(log.steps.len(), 7);
    assert!(log.steps[6][0] < log.steps[0][0], "{:?}", log.steps);
    let (checkpoints, again) = (folder(), folder());
    learn_dialogues(checkpoints.path(), again.path(), &Until::step(4)).unwrap_err();
    assert_eq!(learn_dialogues(checkpoints.path(), again.path(), &Until::done()).unwrap(), log);
    for file in ["model.safetensors", "config.json", "tokenizer.json", "preprocessor_config.json"] {
        assert_eq!(bytes(again.path(), file), bytes(out.path(), file), "{file}");
    }
}

/// Tells what comes of a task that `change` has spoilt.
fn mistake(pairs: &[Pair], start: Option<&AdapterRef>, change: impl FnOnce(&mut PreferenceTask<'_>)) -> String {
    let (model, checkpoints, out) = (model(), folder(), folder());
    let base = VlmSpec { path: model.path().into(), adapter: None };
    let mut task = PreferenceTask {
        base: &base,
        start,
        pairs,
        pictures: &blobs,
        loss: "c-dpo".into(),
        beta: 0.1,
        rank: 4,
        alpha: 8.0,
        learn_end: false,
        optim: optimisation(),
        checkpoints: checkpoints.path(),
        out: out.path(),
    };
    change(&mut task);
    let error = CandleTrainer::new(&Exec::default()).unwrap().preference(&task, &Until::done()).unwrap_err();
    assert!(matches!(error, EngineError::Refused(_)), "{error:?}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "something was written");
    error.to_string()
}

#[test]
fn mistakes_are_told_with_their_values() {
    let check = |told: String, expected: &str| assert!(told.contains(expected), "{told}");
    let pairs = [pair(0), pair(1)];
    let of_task = |change: fn(&mut PreferenceTask<'_>)| mistake(&pairs, None, change);
    check(of_task(|task| task.loss = "next-token".into()), "`next-token`");
    check(of_task(|task| task.pairs = &[]), "no pairs");
    check(of_task(|task| task.rank = 0), "rank 0");
    check(of_task(|task| task.beta = f64::NAN), "beta is NaN");
    check(of_task(|task| task.optim.learning_rate = f64::MAX), "training diverged: the ");
    check(of_task(|task| task.pictures = &|_| Ok(b"no picture".to_vec())), "cannot read the picture");
    let of_pair = |change: fn(&mut Pair)| {
        let mut pairs = pairs.clone();
        change(&mut pairs[1]);
        mistake(&pairs, None, |_| ())
    };
    let told = of_pair(|pair| pair.context = vec!["A cat sleeps on the table.".into(); 40]);
    check(told, "the model has room for 256");
    check(of_pair(|pair| pair.chosen.clear()), "the pair of `r1` at step 1 has an empty sentence");
    let start = AdapterRef { dir: support::fixtures().join("cdpo/adapter"), digest: Digest::of(b"start") };
    let told = mistake(&pairs, Some(&start), |task| (task.rank, task.alpha) = (8, 16.0));
    check(told, "has shape [4, 48], (8, 48) expected");
    let exec = Exec { device: Some("cuda:0".into()), ..Exec::default() };
    check(CandleTrainer::new(&exec).map(|_| ()).unwrap_err().to_string(), "no device `cuda:0`");
}
