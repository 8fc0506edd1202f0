//! What training leaves behind while it goes, to continue from after a crash: parameters, both moments and the number of steps,
//! in one safetensors file written aside and renamed, so that there is always a whole one or none.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use crate::TrainError;
use crate::optimizer::Moments;

const FILE: &str = "training.safetensors";

/// Writes a checkpoint, replacing the one before.
pub fn save(dir: &Path, vars: &BTreeMap<String, Var>, moments: &Moments) -> Result<(), TrainError> {
    let mut tensors = BTreeMap::new();
    for (name, var) in vars {
        tensors.insert(format!("value.{name}"), var.as_tensor().clone());
    }
    for (name, (first, second)) in &moments.of {
        tensors.insert(format!("first.{name}"), first.clone());
        tensors.insert(format!("second.{name}"), second.clone());
    }
    tensors.insert("steps".to_owned(), Tensor::new(moments.steps, &Device::Cpu)?);
    let (aside, path) = (dir.join("training.partial"), dir.join(FILE));
    let fail = |error: &dyn std::fmt::Display| TrainError::File { path: path.clone(), message: error.to_string() };
    safetensors::serialize_to_file(&tensors, None, &aside).map_err(|error| fail(&error))?;
    std::fs::rename(&aside, &path).map_err(|error| fail(&error))
}

/// Puts the values of a checkpoint into `vars` and returns its moments; `None` when there is no checkpoint of these variables.
pub fn load(dir: &Path, vars: &BTreeMap<String, Var>) -> Result<Option<Moments>, TrainError> {
    let path = dir.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let stored = candle_core::safetensors::load(&path, &Device::Cpu)?;
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
    let Some(steps) = stored.get("steps") else { return Ok(None) };
    let steps = steps.to_scalar::<u32>()?;
    let mut of = BTreeMap::new();
    for (name, var, value, moments) in found {
        var.set(&value)?;
        of.insert(name.clone(), moments);
    }
    Ok(Some(Moments { steps, of }))
}
