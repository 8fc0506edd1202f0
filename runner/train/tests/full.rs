//! Training all parameters with next-token loss against PyTorch and transformers (`tests/reference/next_token.py` recorded the
//! numbers), and continuing from a checkpoint against not having stopped.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use sentinel_models::config::Config;
use sentinel_models::families::Family;
use sentinel_models::image::Picture;
use sentinel_models::model::{Model, Place};
use sentinel_models::weights::{Checkpoint, Variables, Weights};
use sentinel_train::full::{Curriculum, Lessons, Phase, train};
use sentinel_train::optimizer::{AdamW, Moments};
use sentinel_train::rows::Row;
use sentinel_train::schedule::Cosine;
use sentinel_train::{TrainError, checkpoint, fresh, model};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    pictures: Vec<BTreeMap<String, ExpectedRow>>,
    phases: Vec<ExpectedPhase>,
    clip: f64,
    betas: (f64, f64),
    weight_decay: f64,
    image_at: usize,
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
    trained_norms: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct ExpectedRow {
    ids: Vec<u32>,
    learnt: [usize; 2],
}

#[derive(Deserialize)]
struct ExpectedPhase {
    group: String,
    steps: u32,
    warmup: u32,
    peak: f64,
    floor: f64,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

struct Fixture {
    expected: Expected,
    tensors: HashMap<String, Tensor>,
    lessons: Vec<Lessons>,
    curriculum: Curriculum,
}

/// How a picture stands in the recorded prompts.
const PLACE: Place = Place { tokens: 16, grid: None };

fn load() -> Fixture {
    let dir = fixtures().join("next-token");
    let expected: Expected = serde_json::from_slice(&std::fs::read(dir.join("expected.json")).unwrap()).unwrap();
    let tensors = candle_core::safetensors::load(dir.join("expected.safetensors"), &Device::Cpu).unwrap();
    let row = |row: &ExpectedRow| Row {
        ids: row.ids.clone(),
        image_at: expected.image_at,
        place: PLACE,
        learnt: row.learnt[0]..row.learnt[1],
    };
    let lessons = |picture: &BTreeMap<String, ExpectedRow>| -> Lessons {
        picture.iter().map(|(group, expected)| (group.clone(), vec![row(expected)])).collect()
    };
    let phase = |phase: &ExpectedPhase| Phase {
        mixture: vec![(phase.group.clone(), 1.0)],
        schedule: Cosine { peak: phase.peak, floor: phase.floor, warmup: phase.warmup, steps: phase.steps },
    };
    let (beta_1, beta_2) = expected.betas;
    let curriculum = Curriculum {
        phases: expected.phases.iter().map(phase).collect(),
        batch: 2,
        optimizer: AdamW { beta_1, beta_2, eps: 1e-8, weight_decay: expected.weight_decay },
        clip: expected.clip,
        seed: 3,
    };
    Fixture { lessons: expected.pictures.iter().map(lessons).collect(), expected, tensors, curriculum }
}

/// The tiny LLaVA with its weights as variables.
fn trained_model() -> (Model, BTreeMap<String, Var>) {
    let base = fixtures().join("llava-tiny");
    let weights = Weights::Trained(Variables::of(Checkpoint::open(&base, &Device::Cpu).unwrap()));
    of(&weights)
}

fn of(weights: &Weights) -> (Model, BTreeMap<String, Var>) {
    let config = Config::read(&fixtures().join("llava-tiny")).unwrap();
    let model = Model::take(weights, &config, &Device::Cpu).unwrap();
    let Weights::Trained(variables) = weights else { unreachable!("the tests make variables") };
    (model, variables.all())
}

impl Fixture {
    /// Trains to the end, or to an interruption after `stop` steps with a checkpoint in `dir`; returns losses and norms.
    fn run(
        &self,
        model: &Model,
        vars: &BTreeMap<String, Var>,
        moments: &mut Moments,
        stop: Option<(u32, &Path)>,
    ) -> Vec<[f64; 2]> {
        let mut readings = Vec::new();
        let pixels = |numbers: &[usize]| -> Result<Vec<Picture>, TrainError> {
            let one = |number: &usize| {
                Ok(Picture { pixels: self.tensors["pixels"].get(*number)?, place: PLACE, size: (56, 56) })
            };
            numbers.iter().map(one).collect()
        };
        let result = train(model, vars, &self.lessons, &self.curriculum, moments, pixels, |reading, moments| {
            readings.push([reading.loss, reading.gradient_norm]);
            match stop {
                Some((step, dir)) if step == moments.steps => {
                    checkpoint::save(dir, vars, moments, &[])?;
                    Err(TrainError::Cancelled)
                }
                _ => Ok(()),
            }
        });
        assert_eq!(result.is_err(), stop.is_some(), "{result:?}");
        readings
    }
}

fn norm(tensor: &Tensor) -> f64 {
    tensor.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().map(f64::from).unwrap().sqrt()
}

fn bits(vars: &BTreeMap<String, Var>) -> BTreeMap<String, Vec<u32>> {
    let of = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    vars.iter().map(|(name, var)| (name.clone(), of(var))).collect()
}

#[test]
fn two_phases_agree_with_pytorch() {
    let f = load();
    let (model, vars) = trained_model();
    let readings = f.run(&model, &vars, &mut Moments::zero(&vars).unwrap(), None);
    assert_eq!(readings.len(), f.expected.losses.len());
    for (step, [loss, gradient_norm]) in readings.into_iter().enumerate() {
        let (their_loss, their_norm) = (f.expected.losses[step], f.expected.gradient_norms[step]);
        assert!((loss / their_loss - 1.0).abs() < 1e-4, "loss of step {step}: {loss}, recorded {their_loss}");
        assert!(
            (gradient_norm / their_norm - 1.0).abs() < 1e-3,
            "norm of step {step}: {gradient_norm}, recorded {their_norm}"
        );
    }
    for (name, var) in &vars {
        let (ours, theirs) = (norm(var), f.expected.trained_norms[name]);
        assert!((ours / theirs - 1.0).abs() < 1e-4, "norm of `{name}`: {ours}, recorded {theirs}");
    }
    for (name, theirs) in f.tensors.iter().filter(|(name, _)| *name != "pixels") {
        let difference = norm(&(vars[name].as_tensor() - theirs).unwrap()) / norm(theirs);
        assert!(difference < 1e-3, "`{name}`: {difference:e}");
    }
}

#[test]
fn continuing_from_a_checkpoint_gives_the_same_bits() {
    let f = load();
    let (model, vars) = trained_model();
    f.run(&model, &vars, &mut Moments::zero(&vars).unwrap(), None);
    let whole = bits(&vars);
    for stop in [1, 4] {
        let dir = tempfile::tempdir().unwrap();
        let (model, vars) = trained_model();
        assert!(checkpoint::load(dir.path(), &vars).unwrap().is_none());
        f.run(&model, &vars, &mut Moments::zero(&vars).unwrap(), Some((stop, dir.path())));
        let (model, vars) = trained_model();
        let mut moments = checkpoint::load(dir.path(), &vars).unwrap().unwrap().moments;
        assert_eq!(moments.steps, stop);
        f.run(&model, &vars, &mut moments, None);
        assert!(bits(&vars) == whole, "stopped after {stop} steps");
    }
}

#[test]
fn a_fresh_model_has_the_spread_transformers_gives_it() {
    let config = Config::read(&fixtures().join("llava-tiny")).unwrap();
    let Family::Llava(config) = config.family else { panic!("the fixture is a LLaVA") };
    let weights = Weights::Trained(Variables::fresh(&Device::Cpu, fresh::initialiser(&config, 5)));
    let (_, vars) = of(&weights);
    let (hidden, layers) = (config.vision.hidden as f64, config.vision.layers as f64);
    for (name, expected) in [
        ("language_model.embed_tokens.weight", 0.02),
        ("vision_tower.embeddings.position_embedding.weight", 0.02),
        ("vision_tower.encoder.layers.0.self_attn.q_proj.weight", (hidden * 2.0 * layers).powf(-0.5)),
        ("vision_tower.encoder.layers.0.self_attn.out_proj.weight", hidden.powf(-0.5)),
        ("vision_tower.encoder.layers.0.mlp.fc1.weight", (2.0 * hidden).powf(-0.5)),
    ] {
        let found = norm(&vars[name]) / (vars[name].elem_count() as f64).sqrt();
        assert!((found / expected - 1.0).abs() < 0.1, "{name}: {found}, {expected} expected");
    }
    assert_eq!(norm(&vars["vision_tower.pre_layrnorm.bias"]), 0.0);
    let ones = &vars["language_model.norm.weight"];
    assert_eq!(ones.sum_all().unwrap().to_scalar::<f32>().unwrap(), ones.elem_count() as f32);
}

#[test]
fn a_written_model_is_read_back() {
    let (_, vars) = trained_model();
    let dir = tempfile::tempdir().unwrap();
    model::write(dir.path(), &vars, false).unwrap();
    let (_, again) = of(&Weights::Trained(Variables::of(Checkpoint::open(dir.path(), &Device::Cpu).unwrap())));
    assert!(bits(&again) == bits(&vars));
}

#[test]
fn a_group_that_a_picture_lacks_is_refused_before_the_first_step() {
    let mut f = load();
    f.lessons[1].remove("short");
    let (model, vars) = trained_model();
    let pixels = |_: &[usize]| panic!("a step was taken");
    let mut moments = Moments::zero(&vars).unwrap();
    let error = train(&model, &vars, &f.lessons, &f.curriculum, &mut moments, pixels, |_, _| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "picture 1 has no dialogue of group `short`");
}
