//! C-DPO and its adapter against PyTorch, transformers and PEFT: `tests/reference/cdpo.py` recorded the numbers.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sentinel_models::config::Config;
use sentinel_models::image::Picture;
use sentinel_models::layers::TARGETS;
use sentinel_models::model::{Model, Place};
use sentinel_models::weights::{Checkpoint, Weights};
use sentinel_train::adapter;
use sentinel_train::fit::{Fit, Slope};
use sentinel_train::lora::{LoraVars, Shape};
use sentinel_train::losses::c_dpo;
use sentinel_train::optimizer::{AdamW, Moments, gradients};
use sentinel_train::pairs::{PairIds, pair_logps};
use sentinel_train::rows::{Row, row_logps};
use sentinel_train::schedule::Cosine;
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    rows: Vec<ExpectedRow>,
    losses: Vec<f64>,
    rank: usize,
    alpha: f64,
    beta: f64,
    steps: u32,
    warmup: u32,
    peak: f64,
    clip: f64,
    image_at: usize,
}

#[derive(Deserialize)]
struct ExpectedRow {
    ids: Vec<u32>,
    learnt: [usize; 2],
}

struct Fixture {
    model: Model,
    settings: Expected,
    tensors: HashMap<String, Tensor>,
    features: Vec<Tensor>,
    rows: Vec<Row>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// How a picture stands in the recorded prompts.
const PLACE: Place = Place { tokens: 16, grid: None };

fn pictures(pixels: &Tensor) -> Vec<Picture> {
    let one = |at| Picture { pixels: pixels.get(at).unwrap(), place: PLACE, size: (56, 56) };
    (0..pixels.dim(0).unwrap()).map(one).collect()
}

fn load() -> Fixture {
    let (device, base, dir) = (Device::Cpu, fixtures().join("llava-tiny"), fixtures().join("cdpo"));
    let config = Config::read(&base).unwrap();
    let model = Model::take(&Weights::Frozen(Checkpoint::open(&base, &device).unwrap()), &config, &device).unwrap();
    let settings: Expected =
        serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let tensors = candle_core::safetensors::load(dir.join("expected.safetensors"), &device).unwrap();
    let once = model.features(&pictures(&tensors["pixels"])).unwrap();
    let features = once.iter().chain(&once).map(Tensor::detach).collect();
    let rows = settings
        .rows
        .iter()
        .map(|row| Row {
            ids: row.ids.clone(),
            image_at: settings.image_at,
            place: PLACE,
            learnt: row.learnt[0]..row.learnt[1],
        })
        .collect();
    Fixture { model, settings, tensors, features, rows }
}

/// The adapter PEFT saved, by our names.
fn peft_adapter() -> BTreeMap<String, Tensor> {
    let saved = candle_core::safetensors::load(fixtures().join("cdpo/adapter/adapter_model.safetensors"), &Device::Cpu);
    let name = |key: &str| {
        key.strip_prefix("base_model.model.model.language_model.").unwrap().strip_suffix(".weight").unwrap().to_owned()
    };
    saved.unwrap().into_iter().map(|(key, tensor)| (name(&key), tensor)).collect()
}

impl Fixture {
    fn lora(&self) -> LoraVars {
        let shape = Shape { rank: self.settings.rank, alpha: self.settings.alpha };
        LoraVars::of(&peft_adapter(), &self.model.config().text, shape).unwrap()
    }

    /// The rows as pairs: chosen and rejected stand after one prefix.
    fn pairs(&self) -> [PairIds; 2] {
        [0, 1].map(|k| {
            let (chosen, rejected) = (&self.rows[k], &self.rows[k + 2]);
            let (start, end) = (chosen.learnt.start, chosen.learnt.end);
            assert_eq!(chosen.ids[..start], rejected.ids[..rejected.learnt.start]);
            PairIds {
                prefix: chosen.ids[..start].to_vec(),
                image_at: chosen.image_at,
                place: chosen.place,
                chosen: chosen.ids[start..end].to_vec(),
                rejected: rejected.ids[rejected.learnt.clone()].to_vec(),
            }
        })
    }

    fn loss(&self, lora: &LoraVars) -> Tensor {
        let policy = row_logps(&self.model, &self.features, &self.rows, Some(&lora.adapter())).unwrap();
        let reference = &self.tensors["reference"];
        let half = |t: &Tensor, at| t.narrow(0, at, 2).unwrap();
        let (chosen, rejected) = (half(&policy, 0), half(&policy, 2));
        c_dpo(&chosen, &rejected, &half(reference, 0), &half(reference, 2), self.settings.beta).unwrap().loss
    }
}

/// Greatest difference over greatest magnitude.
fn relative(ours: &Tensor, theirs: &Tensor) -> f32 {
    assert_eq!(ours.dims(), theirs.dims());
    let peak = |t: &Tensor| t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    peak(&(ours - theirs).unwrap()) / peak(theirs)
}

#[test]
fn log_probabilities_with_and_without_the_adapter_agree() {
    let f = load();
    let reference = row_logps(&f.model, &f.features, &f.rows, None).unwrap();
    assert!(relative(&reference, &f.tensors["reference"]) < 1e-5);
    let policy = row_logps(&f.model, &f.features, &f.rows, Some(&f.lora().adapter())).unwrap();
    assert!(relative(&policy, &f.tensors["policy"]) < 1e-5);
    assert!(relative(&policy, &reference) > 1e-3, "the adapter changes nothing");
}

#[test]
fn a_shared_prefix_gives_the_same_loss_and_gradients() {
    let f = load();
    let (pairs, lora) = (f.pairs(), f.lora());
    let (chosen, rejected) = pair_logps(&f.model, &f.features[..2], &pairs.each_ref(), Some(&lora.adapter())).unwrap();
    assert!(relative(&Tensor::cat(&[&chosen, &rejected], 0).unwrap(), &f.tensors["policy"]) < 1e-5);
    let half = |at| f.tensors["reference"].narrow(0, at, 2).unwrap();
    let loss = c_dpo(&chosen, &rejected, &half(0), &half(2), f.settings.beta).unwrap().loss;
    let value = f64::from(loss.to_scalar::<f32>().unwrap());
    assert!((value / f.settings.losses[0] - 1.0).abs() < 1e-5, "loss {value} is not {}", f.settings.losses[0]);
    for (name, gradient) in &gradients(&lora.vars, &loss.backward().unwrap()) {
        let difference = relative(gradient, &f.tensors[&format!("gradient.{name}")]);
        assert!(difference < 1e-4, "`{name}` differs by {difference:e}");
    }
}

#[test]
fn a_pair_has_the_same_bits_in_any_company() {
    let (f, adapter) = (load(), load().lora().adapter());
    let logps = |pairs: &[&PairIds], first: usize| {
        let features = &f.features[first..first + pairs.len()];
        let (chosen, rejected) = pair_logps(&f.model, features, pairs, Some(&adapter)).unwrap();
        let bits = |t: Tensor| t.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        (bits(chosen), bits(rejected))
    };
    let pairs = f.pairs();
    assert_ne!(pairs[0].len(), pairs[1].len(), "one is padded to the other");
    let (chosen, rejected) = logps(&pairs.each_ref(), 0);
    for k in [0, 1] {
        assert_eq!(logps(&[&pairs[k]], k), (vec![chosen[k]], vec![rejected[k]]), "pair {k}");
    }
}

#[test]
fn the_loss_and_every_gradient_agree() {
    let f = load();
    let lora = f.lora();
    let loss = f.loss(&lora);
    let value = f64::from(loss.to_scalar::<f32>().unwrap());
    assert!((value / f.settings.losses[0] - 1.0).abs() < 1e-5, "loss {value} is not {}", f.settings.losses[0]);
    let ours = gradients(&lora.vars, &loss.backward().unwrap());
    assert_eq!(ours.len(), 3 * 7 * 2);
    for (name, gradient) in &ours {
        let difference = relative(gradient, &f.tensors[&format!("gradient.{name}")]);
        assert!(difference < 1e-4, "gradient of {name}: {difference:e}");
    }
}

#[test]
fn ten_steps_of_training_agree() {
    let f = load();
    let lora = f.lora();
    let s = &f.settings;
    let fit = Fit {
        vars: &lora.vars,
        optimizer: AdamW { beta_1: 0.9, beta_2: 0.999, eps: 1e-8, weight_decay: 0.01 },
        schedule: Cosine { peak: s.peak, floor: 0.0, warmup: s.warmup, steps: s.steps }.into(),
        clip: s.clip,
    };
    let mut losses = Vec::new();
    let mut moments = Moments::zero(&lora.vars).unwrap();
    fit.run(
        &mut moments,
        |_| Slope::of(&lora.vars, &f.loss(&lora)),
        |reading, _| {
            losses.push(reading.loss);
            Ok(())
        },
    )
    .unwrap();
    for (ours, theirs) in losses.iter().zip(&s.losses) {
        assert!((ours / theirs - 1.0).abs() < 1e-4, "losses {losses:?}, recorded {:?}", s.losses);
    }
    for (name, var) in &lora.vars {
        let difference = relative(var.as_tensor(), &f.tensors[&format!("trained.{name}")]);
        assert!(difference < 1e-3, "{name} after {} steps: {difference:e}", s.steps);
    }
}

#[test]
fn an_exported_adapter_is_the_file_peft_itself_writes() {
    let f = load();
    let dir = tempfile::tempdir().unwrap();
    adapter::write(dir.path(), &f.lora(), "base").unwrap();
    let read = |path: &Path| -> BTreeMap<String, Tensor> {
        candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
    };
    let ours = read(&dir.path().join("adapter_model.safetensors"));
    let theirs = read(&fixtures().join("cdpo/adapter/adapter_model.safetensors"));
    assert_eq!(ours.len(), theirs.len());
    for (key, tensor) in &theirs {
        let same = ours.get(key).unwrap_or_else(|| panic!("`{key}` is not exported"));
        assert_eq!(
            same.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
    }
    let config =
        |path: &Path| -> serde_json::Value { serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
    let ours = config(&dir.path().join("adapter_config.json"));
    let theirs = config(&fixtures().join("cdpo/adapter/adapter_config.json"));
    for key in ["r", "peft_type", "task_type", "bias", "target_modules", "use_dora", "use_rslora", "fan_in_fan_out"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["lora_alpha"].as_f64(), theirs["lora_alpha"].as_f64());
}

#[test]
fn an_exported_adapter_is_read_back_as_what_peft_saved() {
    let f = load();
    let config = Config::read(&fixtures().join("llava-tiny")).unwrap().text;
    let (dir, peft) = (tempfile::tempdir().unwrap(), peft_adapter());
    adapter::write(dir.path(), &f.lora(), "base").unwrap();
    let read = sentinel_models::adapter::read(dir.path(), &config, &Device::Cpu).unwrap();
    let values = |tensor: &Tensor| (tensor.dims().to_vec(), tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    let mut found = 0;
    for (layer, updates) in read.layers.iter().enumerate() {
        for (target, update) in TARGETS.iter().zip(updates) {
            let update = update.as_ref().unwrap_or_else(|| panic!("layer {layer}, `{target}` is not read"));
            assert_eq!(update.scale, f.settings.alpha / f.settings.rank as f64, "layer {layer}, `{target}`");
            for (part, tensor) in [("lora_A", &update.a), ("lora_B", &update.b)] {
                let name = format!("layers.{layer}.{target}.{part}");
                assert_eq!(values(tensor), values(&peft[&name]), "{name}");
                found += 1;
            }
        }
    }
    assert_eq!(found, peft.len());
    // The scale is read, not assumed.
    let shape = Shape { rank: f.settings.rank, alpha: 3.0 * f.settings.alpha };
    let dir = tempfile::tempdir().unwrap();
    adapter::write(dir.path(), &LoraVars::of(&peft, &config, shape).unwrap(), "base").unwrap();
    let read = sentinel_models::adapter::read(dir.path(), &config, &Device::Cpu).unwrap();
    assert_eq!(read.of(0, 0).unwrap().scale, 3.0 * f.settings.alpha / f.settings.rank as f64);
}

#[test]
fn the_context_may_be_learnt_or_not_the_sigmoid_loss_is_the_same() {
    let mut f = load();
    let lora = f.lora();
    let masked = f.loss(&lora);
    let before = gradients(&lora.vars, &masked.backward().unwrap());
    // The first pair's five context tokens stand before both answers; learning them adds the same to both sides.
    for row in [0, 2] {
        f.rows[row].learnt.start -= 5;
    }
    let plain = row_logps(&f.model, &f.features, &f.rows, None).unwrap();
    f.tensors.insert("reference".into(), plain.detach());
    let learnt = f.loss(&lora);
    assert!(relative(&learnt, &masked) < 1e-6);
    let after = gradients(&lora.vars, &learnt.backward().unwrap());
    for (name, gradient) in &before {
        assert!(relative(&after[name], gradient) < 1e-3, "{name}");
    }
}
