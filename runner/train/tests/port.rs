//! The port as a whole, on the model this repository ships: training leaves an adapter that does what it learnt, and continues bit
//! for bit wherever it was stopped.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use image::{ImageFormat, Rgb, RgbImage};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{
    EngineError, NextTokenTask, Optimisation, Phase, PreferenceTask, TrainLog, Trainer, VlmSpec, Watch,
};
use sentinel_domain::records::{Dialogue, Pair, PairType};
use sentinel_train::CandleTrainer;

/// Wants to stop after so many steps.
struct Until(u64, AtomicU64);

impl Until {
    fn step(step: u64) -> Self {
        Self(step, AtomicU64::new(0))
    }
}

impl Watch for Until {
    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
    fn progress(&self, done: u64, _: u64, unit: &'static str, _: &[(&'static str, f64)]) {
        if unit == "steps" {
            self.1.store(done, Ordering::Relaxed);
        }
    }
}

fn base() -> VlmSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tiny-world/model");
    VlmSpec { path, adapter: None }
}

fn picture() -> Vec<u8> {
    let picture = RgbImage::from_fn(112, 112, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, (x + y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn pair(number: u32) -> Pair {
    let context = ["In the top left, there is a cat.", "In the middle, there is a chair."];
    Pair {
        id: format!("r{number}"),
        step: number % 3,
        picture: Digest::of(&picture()),
        image_path: "picture.png".into(),
        question: "Describe this picture.".into(),
        context: context[..(number % 3) as usize].iter().map(|&sentence| sentence.into()).collect(),
        chosen: "In the middle, there is a dog.".into(),
        rejected: "In the bottom right, there is a cup.".into(),
        objects_of_chosen: vec!["dog".into()],
        hallucinated_in_rejected: vec!["cup".into()],
        factual: Vec::new(),
        named: Vec::new(),
        named_hallucinated: Vec::new(),
        is_last: number % 3 == 2,
        pair_type: PairType::Agnostic,
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
    let pairs: Vec<Pair> = (0..12).map(pair).collect();
    let task = PreferenceTask {
        base: &base(),
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
        question: "Describe this picture.".into(),
        answer: vec!["In the middle, there is a dog.".into()],
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
    let task = NextTokenTask {
        base: &base(),
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
    let log = learn_pairs(2, checkpoints.path(), out.path(), &Until::step(u64::MAX)).unwrap();
    assert_eq!(log.readings, ["loss", "margin", "accuracy", "learning_rate", "gradient_norm"]);
    assert_eq!(log.steps.len(), 6);
    // Before the first step the policy is the reference: margin 0, loss ln 2.
    assert!((log.steps[0][0] - std::f64::consts::LN_2).abs() < 1e-6 && log.steps[0][1] == 0.0, "{:?}", log.steps[0]);
    assert!(log.steps[5][1] > 0.05, "{:?}", log.steps);
    for stop in [1, 3, 5] {
        let (checkpoints, again) = (folder(), folder());
        let first = learn_pairs(1, checkpoints.path(), again.path(), &Until::step(stop));
        assert!(matches!(first, Err(EngineError::Cancelled)), "stopped at {stop}");
        let continued = learn_pairs(2, checkpoints.path(), again.path(), &Until::step(u64::MAX)).unwrap();
        assert_eq!(continued, log, "stopped at {stop}");
        let file = "adapter_model.safetensors";
        assert_eq!(bytes(again.path(), file), bytes(out.path(), file), "stopped at {stop}");
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
    let steps = learn_pairs(1, checkpoints.path(), again.path(), &Until::step(u64::MAX)).unwrap().steps.len();
    assert_eq!(steps, 6);
}

#[test]
fn next_token_training_learns_and_continues_bit_for_bit() {
    let (checkpoints, out) = (folder(), folder());
    let log = learn_dialogues(checkpoints.path(), out.path(), &Until::step(u64::MAX)).unwrap();
    assert_eq!(log.steps.len(), 7);
    assert!(log.steps[6][0] < log.steps[0][0], "{:?}", log.steps);
    let (checkpoints, again) = (folder(), folder());
    learn_dialogues(checkpoints.path(), again.path(), &Until::step(4)).unwrap_err();
    assert_eq!(learn_dialogues(checkpoints.path(), again.path(), &Until::step(u64::MAX)).unwrap(), log);
    for file in ["model.safetensors", "config.json", "tokenizer.json", "preprocessor_config.json"] {
        assert_eq!(bytes(again.path(), file), bytes(out.path(), file), "{file}");
    }
}

#[test]
fn mistakes_in_the_data_are_told_with_their_values() {
    let (checkpoints, out) = (folder(), folder());
    let mut pairs = vec![pair(0)];
    pairs[0].context = vec!["In the middle, there is a dog.".into(); 60];
    let (base, optim) = (base(), optimisation());
    let task = |pairs, loss: &str| PreferenceTask {
        base: &base,
        start: None,
        pairs,
        pictures: &blobs,
        loss: loss.into(),
        beta: 0.1,
        rank: 4,
        alpha: 8.0,
        learn_end: false,
        optim: optim.clone(),
        checkpoints: checkpoints.path(),
        out: out.path(),
    };
    let trainer = CandleTrainer::new(&Exec::default()).unwrap();
    let error = |task: &PreferenceTask<'_>| trainer.preference(task, &Until::step(u64::MAX)).unwrap_err().to_string();
    let told = error(&task(&pairs, "c-dpo"));
    assert!(told.contains("the model has room for 256"), "{told}");
    let told = error(&task(&pairs, "next-token"));
    assert!(told.contains("`next-token`") && told.contains("c-dpo"), "{told}");
}
