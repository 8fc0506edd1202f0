//! What training leaves behind while it goes, to continue from after a crash: parameters, both moments, the number of steps and the
//! readings so far. A checkpoint is written aside, synced and renamed; its name carries the digest of its content, so that only a
//! whole one is ever continued from.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use sentinel_core::digest::Digest;

use crate::TrainError;
use crate::optimizer::Moments;

const ENDING: &str = "safetensors";

/// Where training stands.
pub struct Standing {
    /// Both moments, and how many steps they have seen.
    pub moments: Moments,
    /// What was read at every step so far.
    pub readings: Vec<Vec<f64>>,
}

/// Writes a checkpoint, and then removes those before.
pub fn save(
    dir: &Path,
    vars: &BTreeMap<String, Var>,
    moments: &Moments,
    readings: &[Vec<f64>],
) -> Result<(), TrainError> {
    let mut tensors = BTreeMap::new();
    for (name, var) in vars {
        tensors.insert(format!("value.{name}"), var.as_tensor().clone());
    }
    for (name, (first, second)) in &moments.of {
        tensors.insert(format!("first.{name}"), first.clone());
        tensors.insert(format!("second.{name}"), second.clone());
    }
    tensors.insert("steps".to_owned(), Tensor::new(moments.steps, &Device::Cpu)?);
    let width = readings.first().map_or(0, Vec::len);
    let flat: Vec<f64> = readings.iter().flatten().copied().collect();
    tensors.insert("readings".to_owned(), Tensor::from_vec(flat, (readings.len(), width), &Device::Cpu)?);
    let aside = dir.join("partial");
    let fail = |error: &dyn std::fmt::Display| TrainError::File { path: aside.clone(), message: error.to_string() };
    safetensors::serialize_to_file(&tensors, None, &aside).map_err(|error| fail(&error))?;
    File::open(&aside).and_then(|file| file.sync_all()).map_err(|error| fail(&error))?;
    let digest = Digest::of(&std::fs::read(&aside).map_err(|error| fail(&error))?);
    let path = dir.join(format!("{:08}-{digest}.{ENDING}", moments.steps));
    std::fs::rename(&aside, &path).map_err(|error| fail(&error))?;
    for old in list(dir).into_iter().filter(|old| *old != path) {
        // One too many costs room, not truth.
        let _ = std::fs::remove_file(old);
    }
    Ok(())
}

/// Puts the values of the last whole checkpoint into `vars`; `None` when there is none of these variables.
pub fn load(dir: &Path, vars: &BTreeMap<String, Var>) -> Result<Option<Standing>, TrainError> {
    for path in list(dir).into_iter().rev() {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_whole = name.split_once('-').is_some_and(|(_, digest)| digest == Digest::of(&bytes).to_string());
        if is_whole && let Some(standing) = restore(&bytes, vars)? {
            return Ok(Some(standing));
        }
    }
    Ok(None)
}

/// Returns the checkpoints of a folder, those of fewer steps first.
fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|is| is == ENDING)).collect();
    found.sort();
    found
}

fn restore(bytes: &[u8], vars: &BTreeMap<String, Var>) -> Result<Option<Standing>, TrainError> {
    let stored = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
    let get = |prefix: &str, name: &str, var: &Var| {
        stored.get(&format!("{prefix}.{name}")).filter(|tensor| tensor.dims() == var.dims()).cloned()
    };
    let mut found = Vec::with_capacity(vars.len());
    for (name, var) in vars {
        match (get("value", name, var), get("first", name, var), get("second", name, var)) {
            (Some(value), Some(first), Some(second)) => found.push((name, var, value, (first, second))),
            _ => return Ok(None),
        }
    }
    let (Some(steps), Some(readings)) = (stored.get("steps"), stored.get("readings")) else { return Ok(None) };
    let steps = steps.to_scalar::<u32>()?;
    let mut of = BTreeMap::new();
    for (name, var, value, moments) in found {
        var.set(&value)?;
        of.insert(name.clone(), moments);
    }
    Ok(Some(Standing { moments: Moments { steps, of }, readings: readings.to_vec2::<f64>()? }))
}
