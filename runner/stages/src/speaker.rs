//! What `sample` and `caption` speak with: a model as files, with an adapter or without, or one behind a server.

use std::sync::Arc;

use sentinel_core::job::Job;
use sentinel_core::stage::{ConfigError, Slot, StageError, Unit};
use sentinel_domain::config::VlmName;
use sentinel_domain::ports::{AdapterRef, Engines, ServerSpec, Vlm};
use serde_json::Value;

use crate::kind::{Given, wrong};
use crate::models::{Model, VlmEntry, adapter, entry};
use crate::served::Served;

/// What `sample` and `caption` speak with.
pub(crate) enum Speaker {
    /// A model as files.
    Files(Model),
    /// A model behind a server.
    Served(ServerSpec),
}

/// The slot of an adapter.
const ADAPTER: Slot = Slot::files("adapter", "adapter").optional();

impl Speaker {
    /// Returns the model that `with.model` names, or the promise of one on an edge.
    pub(crate) fn of(name: Option<&VlmName>, given: &Given<'_>) -> Result<Self, Vec<ConfigError>> {
        let Some(VlmName(name)) = name else { return Ok(Self::Files(Model::Needed)) };
        Ok(match entry(name, given, "/model")?.1 {
            VlmEntry::Files(files) => Self::Files(Model::Entry(files.spec())),
            VlmEntry::Served(Served { server }) => {
                let spec = server.spec().map_err(|error| wrong("/model", format!("model `{name}`: {error}"), None));
                Self::Served(spec?)
            }
        })
    }

    /// Returns the slots it needs. A served model takes no adapter: the tuned model is served as another.
    pub(crate) fn inputs(&self) -> Vec<Slot> {
        match self {
            Self::Files(model) => model.slot().into_iter().chain([ADAPTER]).collect(),
            Self::Served(_) => Vec::new(),
        }
    }

    /// Returns what [`Self::inputs`] may be, where `with` may lack a `model` that is wrong.
    pub(crate) fn possible(with: &Value) -> impl Iterator<Item = Vec<Slot>> + use<> {
        let files = Model::slots(with).map(|model| model.into_iter().chain([ADAPTER]).collect());
        files.chain([Vec::new()])
    }

    /// Returns the identity of what computes.
    pub(crate) fn engine(&self, engines: &dyn Engines) -> String {
        match self {
            Self::Files(_) => engines.catalogue().model_engine.clone(),
            Self::Served(_) => engines.catalogue().server_engine.clone(),
        }
    }

    /// Opens it, and the adapter that came in. `unit` is any of the units: all have the same files.
    pub(crate) fn open(
        &self,
        unit: &Unit,
        engines: &dyn Engines,
        job: &dyn Job,
    ) -> Result<(Arc<dyn Vlm>, Option<AdapterRef>), StageError> {
        match self {
            Self::Files(model) => {
                let base = model.spec(unit.files("model"), job)?;
                let adapter = adapter(unit.files("adapter"), &base, job)?;
                Ok((engines.vlm(&base, job.exec())?, adapter))
            }
            Self::Served(server) => Ok((engines.server(server)?, None)),
        }
    }
}
