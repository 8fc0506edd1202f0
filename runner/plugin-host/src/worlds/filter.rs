//! The world of filters.

use sentinel_domain::ports::{EngineError, Filter, Kept, PerRecord, PluginSpec};

use self::bindings::exports::sentinel::plugin::filter as wit;
use self::bindings::{FilterPlugin, FilterPluginPre};
use super::{link, misfit};
use crate::PluginError;
use crate::limits::{Cell, refused, shortened};
use crate::manifest::Scope;
use crate::sandbox::Shared;

mod bindings {
    wasmtime::component::bindgen!({ path: "../../plugins/wit", world: "filter-plugin" });
}

/// An opened filter.
pub(crate) struct Plugin {
    sandbox: Shared,
    pre: FilterPluginPre<Cell>,
    scope: Scope,
}

impl Plugin {
    pub(crate) fn open(sandbox: &Shared, plugin: &PluginSpec) -> Result<Self, PluginError> {
        let opened = sandbox.open(plugin, "filter")?;
        let pre = FilterPluginPre::new(link(&opened, &plugin.path)?);
        let pre = pre.map_err(|error| misfit("filter", &plugin.path, &error))?;
        Ok(Self { sandbox: sandbox.clone(), pre, scope: opened.manifest.scope.unwrap_or(Scope::Unit) })
    }
}

impl Filter for Plugin {
    fn keep(&self, config: &str, units: &[Vec<&str>]) -> Result<Vec<PerRecord<Vec<Kept>>>, EngineError> {
        match self.scope {
            Scope::Unit => units.iter().map(|rows| self.one(config, rows)).collect(),
            Scope::Whole => {
                let rows: Vec<&str> = units.iter().flatten().copied().collect();
                let mut words = match self.one(config, &rows)? {
                    Ok(words) => words.into_iter(),
                    Err(fault) => {
                        return Err(EngineError::Refused(format!("{}: {}", fault.reason, fault.detail)));
                    }
                };
                Ok(units.iter().map(|rows| Ok(words.by_ref().take(rows.len()).collect())).collect())
            }
        }
    }
}

impl Plugin {
    fn one(&self, config: &str, rows: &[&str]) -> Result<PerRecord<Vec<Kept>>, EngineError> {
        let given: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        let answer = self.sandbox.call(rows.len(), |store| {
            let instance: FilterPlugin = self.pre.instantiate(&mut *store)?;
            instance.sentinel_plugin_filter().call_decide(store, config, &given)
        });
        match answer {
            Ok(Ok(decisions)) if decisions.len() == rows.len() => Ok(decisions.into_iter().map(kept).collect()),
            Ok(Ok(decisions)) => {
                Ok(Err(refused(&format!("{} rows were asked about and {} decided", rows.len(), decisions.len()))))
            }
            Ok(Err(wit::Error::BadRecord(detail))) => Ok(Err(refused(&detail))),
            Ok(Err(wit::Error::BadConfig(detail))) => Err(EngineError::Refused(shortened(&detail))),
            Err(fault) => Ok(Err(fault)),
        }
    }
}

/// A reason is counted, so that it must be a word.
fn kept(decision: wit::Decision) -> PerRecord<Kept> {
    match decision {
        wit::Decision::Keep => Ok(Kept::Yes),
        wit::Decision::Drop(reason) => {
            let is_word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            if !reason.is_empty() && reason.len() <= 64 && reason.chars().all(is_word) {
                return Ok(Kept::No(reason));
            }
            let reason: String = reason.chars().take(80).collect();
            Err(refused(&format!(
                "`{reason}` is no reason: a word of lower-case letters, digits and hyphens is needed"
            )))
        }
    }
}
