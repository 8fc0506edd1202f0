//! Entries of `models:` and `plugins:` as stages use them. Which model a stage works with may also be decided by an edge: a
//! checkpoint that another stage made.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::FileSet;
use sentinel_core::diag::advice;
use sentinel_core::job::Job;
use sentinel_core::stage::{Asset, ConfigError, Slot, StageError};
use sentinel_core::workflow::AssetKind;
use sentinel_domain::config::{DetectorName, DirPath, FilePath, VlmName};
use sentinel_domain::ports::{AdapterRef, DetectorSpec, PluginSpec, VlmSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kind::{Given, wrong};
use crate::served::Served;

/// Every kind of entry of `models:`, sorted by name.
pub static ASSETS: &[AssetKind] = &[
    AssetKind {
        name: "detector",
        summary: "an object detector as an ONNX file",
        schema: || schema_for!(DetectorEntry),
    },
    AssetKind {
        name: "vlm",
        summary: "a vision-language model: a Hugging Face checkpoint directory, or a server that has it",
        schema: || schema_for!(VlmEntry),
    },
];

/// A vision-language model.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum VlmEntry {
    Files(VlmFiles),
    Served(Served),
}

/// A vision-language model as files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VlmFiles {
    /// A Hugging Face checkpoint directory: `config.json`, safetensors, tokenizer and processor files.
    path: DirPath,
    /// A PEFT adapter directory that goes with it.
    adapter: Option<DirPath>,
}

/// An object detector.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DetectorEntry {
    /// What its outputs look like, for example `yolo` or `detr`.
    family: String,
    /// The ONNX file.
    path: FilePath,
    /// A text file with the class names, one a line; by default those the ONNX file carries.
    labels: Option<FilePath>,
    /// Least confidence of a box that counts, 0 to 1; by default the family's.
    #[schemars(range(min = 0.0, max = 1.0))]
    confidence: Option<f32>,
    /// Overlap (intersection over union) above which the weaker of two boxes of a class is dropped; by default the family's.
    #[schemars(range(min = 0.0, max = 1.0))]
    iou: Option<f32>,
}

/// An entry of `plugins:`.
#[derive(Deserialize)]
struct PluginEntry {
    path: PathBuf,
}

/// Returns the entry of this name, parsed. The runner has checked that it is there and of the right kind.
pub(crate) fn entry<'a, T: DeserializeOwned>(
    name: &str,
    given: &'a Given<'_>,
    pointer: &str,
) -> Result<(&'a Asset, T), Vec<ConfigError>> {
    let asset = given.assets.get(name).ok_or_else(|| wrong(pointer, format!("nothing is called `{name}`"), None))?;
    let parsed = serde_json::from_value(asset.value.clone());
    let parsed = parsed.map_err(|error| wrong(pointer, format!("entry `{name}`: {error}"), None))?;
    Ok((asset, parsed))
}

/// Returns what the engines need to open a plugin.
pub(crate) fn plugin(name: &str, given: &Given<'_>) -> Result<PluginSpec, Vec<ConfigError>> {
    let (asset, PluginEntry { path }) = entry(name, given, "/plugin")?;
    Ok(PluginSpec { name: asset.name.clone(), path })
}

/// Returns what the engines need to open a detector.
pub(crate) fn detector(
    name: &DetectorName,
    given: &Given<'_>,
    pointer: &str,
) -> Result<DetectorSpec, Vec<ConfigError>> {
    let (asset, DetectorEntry { family, path, labels, confidence, iou }) = entry(&name.0, given, pointer)?;
    let families = &given.engines.catalogue().detectors;
    if !families.contains(&family.as_str()) {
        let hint = advice(&family, "there are", families.iter().copied());
        return Err(wrong(pointer, format!("detector `{}` is of unknown family `{family}`", name.0), Some(hint)));
    }
    let labels = labels.map(|labels| labels.0);
    Ok(DetectorSpec { name: asset.name.clone(), family, path: path.0, labels, confidence, iou })
}

/// The slot of a model that another stage made.
const CHECKPOINT: Slot = Slot::files("model", "checkpoint");

/// The model a stage works with.
pub(crate) enum Model {
    /// An entry of `models:`.
    Entry(VlmSpec),
    /// A checkpoint that comes in through `needs.model`.
    Needed,
}

impl Model {
    /// Returns the model that `with.model` names, or the promise of one on an edge.
    pub(crate) fn of(name: Option<&VlmName>, given: &Given<'_>) -> Result<Self, Vec<ConfigError>> {
        let Some(VlmName(name)) = name else { return Ok(Self::Needed) };
        match entry(name, given, "/model")?.1 {
            VlmEntry::Files(files) => Ok(Self::Entry(files.spec())),
            VlmEntry::Served(_) => {
                let message = format!("`{name}` is a model behind a server, and such a one cannot be trained");
                Err(wrong("/model", message, None))
            }
        }
    }

    /// Returns the slot for a checkpoint: there is one exactly when `with.model` names no entry.
    pub(crate) fn slot(&self) -> Option<Slot> {
        matches!(self, Self::Needed).then_some(CHECKPOINT)
    }

    /// Returns what [`Self::slot`] may be, where `with` may lack a `model` that is wrong.
    pub(crate) fn slots(with: &Value) -> impl Iterator<Item = Option<Slot>> + use<> {
        let needed = with.get("model").is_none().then_some(Some(CHECKPOINT));
        std::iter::once(None).chain(needed)
    }

    /// Returns what the engines need to open it. `checkpoint` is what came in through the slot.
    pub(crate) fn spec(&self, checkpoint: Option<&Arc<FileSet>>, job: &dyn Job) -> Result<VlmSpec, StageError> {
        match (self, checkpoint) {
            (Self::Entry(spec), _) => Ok(spec.clone()),
            (Self::Needed, Some(files)) => Ok(VlmSpec { path: job.materialise(files)?, adapter: None }),
            (Self::Needed, None) => Err(StageError::Bug("nothing in slot `model`".to_owned())),
        }
    }
}

impl VlmFiles {
    /// Returns what the engines need to open it.
    pub(crate) fn spec(self) -> VlmSpec {
        VlmSpec { path: self.path.0, adapter: self.adapter.map(|adapter| adapter.0) }
    }
}

/// Returns the adapter that came in through `needs.adapter`, on disk.
pub(crate) fn adapter(
    files: Option<&Arc<FileSet>>,
    base: &VlmSpec,
    job: &dyn Job,
) -> Result<Option<AdapterRef>, StageError> {
    let Some(files) = files else { return Ok(None) };
    if let Some(own) = &base.adapter {
        let message = format!("the model's entry has an adapter of its own, `{}`, and another comes in", own.display());
        return Err(StageError::Refused(message));
    }
    Ok(Some(AdapterRef { dir: job.materialise(files)?, digest: files.digest() }))
}
