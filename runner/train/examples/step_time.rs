//! How long preference training takes on this machine: the quickstart's settings on the model this repository ships, on pairs made
//! of what the tiny world tells of its pictures. `cargo run --release -p sentinel-train --example step_time -- [pairs] [threads]`

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::fakes;
use sentinel_domain::ports::{EngineError, Optimisation, PreferenceTask, Scenes, Trainer, VlmSpec, Watch};
use sentinel_domain::records::Pair;
use sentinel_train::CandleTrainer;
use sentinel_world::{DESCRIBE, TinyWorld};

/// Pairs a picture, as the quickstart keeps them.
const A_PICTURE: usize = 4;

/// Pictures as PNG.
type Pictures = BTreeMap<Digest, Vec<u8>>;

/// When each unit of work was first and last heard of.
struct Clock(Mutex<BTreeMap<&'static str, (Instant, Instant, u64)>>);

impl Watch for Clock {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, done: u64, _: u64, unit: &'static str, _: &[(&'static str, f64)]) {
        let now = Instant::now();
        let mut heard = self.0.lock().expect("no holder of the lock panics");
        let (_, last, count) = heard.entry(unit).or_insert((now, now, done));
        (*last, *count) = (now, done);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(1200), |count| count.parse::<usize>())?;
    let threads = arguments.next().map(|threads| threads.parse::<u32>()).transpose()?;
    let (pairs, pictures) = pairs(count)?;
    let (checkpoints, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tiny-world/model");
    let source = |digest: Digest| {
        pictures.get(&digest).cloned().ok_or_else(|| EngineError::World(format!("no picture {}", digest.short())))
    };
    let task = PreferenceTask {
        base: &VlmSpec { path: model, adapter: None },
        start: None,
        pairs: &pairs,
        pictures: &source,
        loss: "c-dpo".to_owned(),
        beta: 0.1,
        rank: 16,
        alpha: 32.0,
        learn_end: false,
        optim: Optimisation {
            epochs: 1.0,
            batch: 16,
            learning_rate: 1e-4,
            warmup: 10,
            max_steps: None,
            betas: (0.9, 0.999),
            weight_decay: 0.0,
            clip: 1.0,
            seed: 42,
            checkpoint_every: 20,
        },
        checkpoints: checkpoints.path(),
        out: out.path(),
    };
    let clock = Clock(Mutex::default());
    let start = Instant::now();
    let log = CandleTrainer::new(&Exec { threads, ..Exec::default() })?.preference(&task, &clock)?;
    let whole = start.elapsed();
    let heard = clock.0.into_inner()?;
    let (first, last, steps) = heard["steps"];
    let reference = heard["reference"].1 - start;
    let step = if steps > 1 { (last - first) / (steps as u32 - 1) } else { Duration::ZERO };
    println!(
        "{} pairs, {steps} steps: {whole:.1?} in all, {reference:.1?} for the reference, {step:.3?} a step",
        pairs.len()
    );
    println!("last step: {:?} {:.4?}", log.readings, log.steps.last());
    println!("adapter: {}", Digest::of(&std::fs::read(out.path().join("adapter_model.safetensors"))?));
    Ok(())
}

/// Makes pairs: a true description goes on with its own next sentence, or with that of a description full of imagined objects.
fn pairs(count: usize) -> Result<(Vec<Pair>, Pictures), EngineError> {
    let (mut pairs, mut pictures) = (Vec::with_capacity(count), Pictures::new());
    for index in 0..count.div_ceil(A_PICTURE) as u32 {
        let scene = TinyWorld.compose(42, "train", index)?;
        let describe = |hallucination| -> Result<Vec<String>, EngineError> {
            let talks = TinyWorld.dialogues(42, &scene, hallucination)?;
            Ok(talks.into_iter().find(|talk| talk.group == "describe").map(|talk| talk.answer).unwrap_or_default())
        };
        let (truthful, imagined) = (describe(0.0)?, describe(1.0)?);
        let picture = Digest::of(&scene.png);
        for step in 0..A_PICTURE {
            let at = step % truthful.len();
            let context: Vec<&str> = truthful[..at].iter().map(String::as_str).collect();
            let pair = fakes::pair(&scene.id, &context, &truthful[at], &imagined[at % imagined.len()]);
            pairs.push(Pair { picture, question: DESCRIBE.to_owned(), ..pair });
        }
        pictures.insert(picture, scene.png);
    }
    pairs.truncate(count);
    Ok((pairs, pictures))
}
