//! The published models by their configurations, without their weights: the tensors they are made of and the sizes of their
//! pictures, against transformers. `tests/reference/published.py` recorded them.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Device;
use sentinel_models::config::Config;
use sentinel_models::families::Family;
use sentinel_models::image::{AnyresProcessor, ImageError, QwenProcessor};
use sentinel_models::model::Model;
use sentinel_models::weights::{Checkpoint, canonical};
use serde::Deserialize;
use serde_json::{Value, json};

const NAMES: [&str; 8] = [
    "llava-1.5-13b",
    "llava-1.5-7b",
    "llava-v1.6-vicuna-13b",
    "llava-v1.6-vicuna-7b",
    "qwen2-vl-2b",
    "qwen2-vl-7b",
    "qwen2.5-vl-3b",
    "qwen2.5-vl-7b",
];

/// Count and shape by pattern: a layer's number is `*`.
type Patterns = BTreeMap<String, Vec<usize>>;

fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/published")
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(published().join(file)).unwrap()).unwrap()
}

fn config(name: &str) -> Config {
    Config::parse(&std::fs::read_to_string(published().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn patterns(tensors: &BTreeMap<String, Vec<usize>>) -> Patterns {
    let mut patterns = Patterns::new();
    for (name, shape) in tensors {
        let parts = name.split('.').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
        let mut pattern = parts.collect::<Vec<_>>().join(".");
        // The merger's two linears are numbered as layers are, and are of two shapes.
        if name.starts_with("visual.merger.") {
            pattern.clone_from(name);
        }
        let entry = patterns.entry(pattern).or_insert_with(|| [&[0], shape.as_slice()].concat());
        assert_eq!(entry[1..], *shape, "{name}");
        entry[0] += 1;
    }
    patterns
}

/// What transformers has and no answer needs: the tower's last norm and layer behind the hidden state LLaVA takes, and the head's
/// name where it is the embedding.
fn without_unused(mut theirs: Patterns, config: &Config) -> Patterns {
    if let Family::Llava(_) | Family::LlavaNext(_) = config.family {
        assert_eq!(theirs.remove("vision_tower.post_layernorm.weight"), Some(vec![1, 1024]));
        assert_eq!(theirs.remove("vision_tower.post_layernorm.bias"), Some(vec![1, 1024]));
        let layers = theirs.iter_mut().filter(|(pattern, _)| pattern.starts_with("vision_tower.encoder.layers.*."));
        layers.for_each(|(_, entry)| entry[0] -= 1);
    }
    if config.text.tied {
        assert_eq!(theirs.remove("lm_head.weight"), Some(vec![1, config.text.vocab, config.text.hidden]));
    }
    theirs
}

#[test]
fn models_are_made_of_the_tensors_transformers_gives_them() {
    let recorded: BTreeMap<String, Patterns> = read("tensors.json");
    assert!(recorded.keys().eq(NAMES));
    for (name, theirs) in recorded {
        let config = config(&name);
        let whole: Value = read(&format!("{name}.json"));
        assert_eq!(whole["model_type"], config.family.model_type(), "{name}");
        let theirs = theirs.into_iter().map(|(pattern, entry)| (canonical(&pattern), entry)).collect();
        assert_eq!(patterns(&Model::tensors(&config).unwrap()), without_unused(theirs, &config), "{name}");
    }
}

/// The name a tensor has in the files its makers published.
fn on_the_hub(name: &str) -> String {
    let rules = [
        ("vision_tower.", "vision_tower.vision_model."),
        ("multi_modal_projector.", "multi_modal_projector."),
        ("image_newline", "image_newline"),
        ("language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    ];
    let renamed = rules.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}

/// Writes a shard whose header names tensors and whose content is a hole.
fn write_shard(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let begin = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
}

#[test]
fn sharded_files_of_full_size_hold_what_is_asked_for() {
    for name in NAMES {
        let expected = Model::tensors(&config(name)).unwrap();
        let is_llava = name.starts_with("llava");
        let hub = |name: &str| match (is_llava, name.strip_prefix("language_model.")) {
            (true, _) => on_the_hub(name),
            (false, Some(rest)) => format!("model.{rest}"),
            (false, None) => name.to_owned(),
        };
        let stored: Vec<(String, Vec<usize>)> =
            expected.iter().map(|(name, shape)| (hub(name), shape.clone())).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut weight_map = BTreeMap::new();
        for (number, part) in stored.chunks(stored.len().div_ceil(3)).enumerate() {
            let shard = format!("model-{:05}-of-00003.safetensors", number + 1);
            write_shard(&dir.path().join(&shard), part);
            weight_map.extend(part.iter().map(|(name, _)| (name.clone(), shard.clone())));
        }
        let index = json!({"metadata": {}, "weight_map": weight_map}).to_string();
        std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let found = Checkpoint::open(dir.path(), &Device::Cpu).unwrap().shapes().unwrap();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn pictures_are_sized_as_transformers_sizes_them() {
    type Sized = (u32, u32, Option<(usize, usize)>, usize);
    let Family::Qwen2Vl(qwen) = config("qwen2-vl-2b").family else { panic!("another family") };
    let Family::LlavaNext(next) = config("llava-v1.6-vicuna-7b").family else { panic!("another family") };
    let qwen = QwenProcessor::fitting(&published().join("qwen"), &qwen).unwrap();
    let next = AnyresProcessor::fitting(&published().join("llava-next"), &next).unwrap();
    let rows: Vec<Sized> = read("sizes.json");
    assert!(rows.len() > 100 && rows.iter().any(|row| row.2.is_none()));
    for (height, width, size, tokens) in rows {
        match (qwen.resized(height, width), size) {
            (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs, "{height} × {width}"),
            (Err(ImageError::Narrow { .. }), None) => (),
            (ours, theirs) => panic!("{height} × {width}: {ours:?}, {theirs:?} expected"),
        }
        assert_eq!(next.place_of((height, width)).tokens, tokens, "{height} × {width}");
    }
}

/// Calls `change` with every number and text of a file, by reference.
fn leaves(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(entries) => entries.values_mut().for_each(|value| leaves(value, change)),
        Value::Array(values) => values.iter_mut().for_each(|value| leaves(value, change)),
        leaf => change(leaf),
    }
}

#[test]
fn whatever_a_configuration_says_it_is_read_or_refused() {
    let odd =
        [json!(0), json!(-1), json!(3), json!(u64::MAX), json!(1e300), json!("x"), json!(null), json!([]), json!({})];
    let (mut read_all, mut refused) = (0, 0);
    for name in NAMES {
        let whole: Value = read(&format!("{name}.json"));
        let mut count = 0;
        leaves(&mut whole.clone(), &mut |_| count += 1);
        for at in 0..count {
            for odd in &odd {
                let (mut changed, mut number) = (whole.clone(), 0);
                leaves(&mut changed, &mut |leaf| {
                    if number == at {
                        *leaf = odd.clone();
                    }
                    number += 1;
                });
                match Config::parse(&changed.to_string()) {
                    Ok(_) => read_all += 1,
                    Err(message) => {
                        assert!(!message.is_empty());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(read_all > 500 && refused > 1000, "{read_all} read, {refused} refused");
}
