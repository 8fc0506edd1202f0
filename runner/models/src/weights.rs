//! The tensors of a checkpoint: mapped safetensors shards, by canonical name. It converts to f32 on the CPU, where narrower
//! products are slower than wide ones, and hands every tensor out once, checked against the shape the configuration asks for.
//!
//! Canonical names are those transformers 4.52 and later use in memory without the leading `model.`: `language_model.layers.N…`,
//! `vision_tower…`, `multi_modal_projector…`, `lm_head.weight`. What other layouts call them is in [`canonical`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor, Var};
use serde::Deserialize;

use crate::ModelError;
use crate::config::read_text;

/// A named tensor as a layer holds it.
#[derive(Debug, Clone)]
pub struct Param {
    /// The values.
    pub tensor: Tensor,
    /// Whether it receives gradients.
    pub trained: bool,
}

/// Where a model's tensors come from.
pub enum Weights {
    /// A checkpoint; nothing is trained.
    Frozen(Checkpoint),
    /// Nothing is read: what a model asks for is written down, and stands there as zeros that take no memory.
    Listed(RefCell<BTreeMap<String, Vec<usize>>>),
    /// Variables by canonical name; those a model asks for and that are missing are created by the initialiser.
    Trained(Variables),
}

/// Trainable tensors by canonical name.
pub struct Variables {
    device: Device,
    vars: RefCell<BTreeMap<String, Var>>,
    source: Source,
}

/// Makes the first values of a tensor from its canonical name and shape.
pub type Initialiser = dyn Fn(&str, &[usize], &Device) -> candle_core::Result<Tensor>;

enum Source {
    Checkpoint(Checkpoint),
    Fresh(Box<Initialiser>),
}

impl Variables {
    /// Makes variables from a checkpoint's values.
    pub fn of(checkpoint: Checkpoint) -> Self {
        Self { device: checkpoint.device.clone(), vars: RefCell::default(), source: Source::Checkpoint(checkpoint) }
    }

    /// Makes variables from an initialiser.
    pub fn fresh(device: &Device, initialiser: Box<Initialiser>) -> Self {
        Self { device: device.clone(), vars: RefCell::default(), source: Source::Fresh(initialiser) }
    }

    /// Returns all variables made so far, in name order.
    pub fn all(&self) -> BTreeMap<String, Var> {
        self.vars.borrow().clone()
    }
}

impl Weights {
    /// Returns the tensor of this canonical name, which must have this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Param, ModelError> {
        match self {
            Self::Frozen(checkpoint) => Ok(Param { tensor: checkpoint.get(name, shape)?, trained: false }),
            Self::Listed(asked) => {
                asked.borrow_mut().insert(name.to_owned(), shape.to_vec());
                let tensor = Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?;
                Ok(Param { tensor, trained: false })
            }
            Self::Trained(variables) => {
                let mut vars = variables.vars.borrow_mut();
                if !vars.contains_key(name) {
                    let tensor = match &variables.source {
                        Source::Checkpoint(checkpoint) => checkpoint.get(name, shape)?,
                        Source::Fresh(initialise) => initialise(name, shape, &variables.device)?,
                    };
                    vars.insert(name.to_owned(), Var::from_tensor(&tensor)?);
                }
                let tensor = vars[name].as_tensor().clone();
                check_shape(name, shape, tensor.dims())?;
                Ok(Param { tensor, trained: true })
            }
        }
    }
}

/// A checkpoint on disk.
pub struct Checkpoint {
    shards: MmapedSafetensors,
    stored: BTreeMap<String, String>,
    device: Device,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Maps `model.safetensors`, or the shards `model.safetensors.index.json` lists.
    pub fn open(dir: &Path, device: &Device) -> Result<Self, ModelError> {
        let files = shard_files(dir)?;
        // SAFETY: the files are mapped read-only for as long as `shards` lives; a checkpoint is content the runner has
        // digested, and one that is changed under a running program gives wrong numbers or a bus error, never a write.
        #[expect(unsafe_code, reason = "weights are mapped, not copied")]
        let shards = unsafe { MmapedSafetensors::multi(&files) }?;
        let stored = shards.tensors().into_iter().map(|(name, _)| (canonical(&name), name)).collect();
        Ok(Self { shards, stored, device: device.clone() })
    }

    /// Returns the canonical names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str)
    }

    /// Returns the shapes of all tensors by canonical name, from the files' headers.
    pub fn shapes(&self) -> Result<BTreeMap<String, Vec<usize>>, ModelError> {
        let shape = |(name, stored): (&String, &String)| Ok((name.clone(), self.shards.get(stored)?.shape().to_vec()));
        self.stored.iter().map(shape).collect()
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let stored = self.stored.get(name).ok_or_else(|| ModelError::Missing(name.to_owned()))?;
        let found = self.shards.get(stored)?.shape().to_vec();
        check_shape(name, shape, &found)?;
        Ok(self.shards.load(stored, &self.device)?.to_dtype(DType::F32)?)
    }
}

fn check_shape(name: &str, expected: &[usize], found: &[usize]) -> Result<(), ModelError> {
    if expected == found {
        return Ok(());
    }
    Err(ModelError::Shape { name: name.to_owned(), expected: expected.to_vec(), found: found.to_vec() })
}

fn shard_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = dir.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let path = dir.join("model.safetensors.index.json");
    if !path.is_file() {
        let message = "neither `model.safetensors` nor `model.safetensors.index.json` is there".to_owned();
        return Err(ModelError::Format { path: dir.to_owned(), message });
    }
    let fail = |message: String| ModelError::Format { path: path.clone(), message };
    let index: Index = serde_json::from_str(&read_text(&path)?).map_err(|error| fail(error.to_string()))?;
    let names: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
    if names.is_empty() {
        return Err(fail("no shard is listed".to_owned()));
    }
    names
        .into_iter()
        .map(|name| match Path::new(&name).components().count() {
            1 if !name.starts_with('.') => Ok(dir.join(name)),
            _ => Err(fail(format!("shard `{name}` is not a plain file name"))),
        })
        .collect()
}

/// Returns the canonical name of a tensor in any of the published layouts: `llava-hf` as saved before and after
/// transformers 4.52, the names held in memory since then, and the original `liuhaotian` files.
pub fn canonical(name: &str) -> String {
    let name = name.strip_prefix("model.").filter(|rest| is_part(rest)).unwrap_or(name);
    let rules = [
        ("language_model.model.", "language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.vision_tower.vision_model.", "vision_tower."),
        ("vision_tower.vision_model.", "vision_tower."),
        ("mm_projector.0.", "multi_modal_projector.linear_1."),
        ("mm_projector.2.", "multi_modal_projector.linear_2."),
        ("model.", "language_model."),
    ];
    for (from, to) in rules {
        if let Some(rest) = name.strip_prefix(from) {
            return format!("{to}{rest}");
        }
    }
    name.to_owned()
}

/// Whether a name without its leading `model.` begins with a part of the composed model, and not with the decoder's own tensors.
fn is_part(rest: &str) -> bool {
    ["language_model.", "vision_tower.", "multi_modal_projector.", "mm_projector.", "visual.", "image_newline"]
        .iter()
        .any(|part| rest.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn every_published_layout_has_one_canonical_name() {
        let q = "language_model.layers.3.self_attn.q_proj.weight";
        for name in [
            "language_model.model.layers.3.self_attn.q_proj.weight",
            "model.language_model.layers.3.self_attn.q_proj.weight",
            "model.layers.3.self_attn.q_proj.weight",
        ] {
            assert_eq!(canonical(name), q);
        }
        let norm = "vision_tower.pre_layrnorm.weight";
        for name in [
            "vision_tower.pre_layrnorm.weight",
            "vision_tower.vision_model.pre_layrnorm.weight",
            "model.vision_tower.pre_layrnorm.weight",
            "model.vision_tower.vision_tower.vision_model.pre_layrnorm.weight",
        ] {
            assert_eq!(canonical(name), norm);
        }
        assert_eq!(canonical("model.mm_projector.2.bias"), "multi_modal_projector.linear_2.bias");
        assert_eq!(canonical("language_model.lm_head.weight"), "lm_head.weight");
        assert_eq!(canonical("lm_head.weight"), "lm_head.weight");
    }
}
