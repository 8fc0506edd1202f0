//! The world of extractors.

use sentinel_domain::ports::{EngineError, Extractor, PerRecord, PluginSpec};
use sentinel_domain::records::{Mention, Sentence};

use self::bindings::exports::sentinel::plugin::extractor as wit;
use self::bindings::{ExtractorPlugin, ExtractorPluginPre};
use super::{link, misfit};
use crate::PluginError;
use crate::limits::{Cell, refused, shortened};
use crate::sandbox::Shared;

mod bindings {
    wasmtime::component::bindgen!({ path: "../../plugins/wit", world: "extractor-plugin" });
}

/// An opened extractor.
pub(crate) struct Plugin {
    sandbox: Shared,
    pre: ExtractorPluginPre<Cell>,
}

impl Plugin {
    pub(crate) fn open(sandbox: &Shared, plugin: &PluginSpec) -> Result<Self, PluginError> {
        let opened = sandbox.open(plugin, "extractor")?;
        let pre = ExtractorPluginPre::new(link(&opened, &plugin.path)?);
        let pre = pre.map_err(|error| misfit("extractor", &plugin.path, &error))?;
        Ok(Self { sandbox: sandbox.clone(), pre })
    }
}

impl Extractor for Plugin {
    fn extract(&self, config: &str, units: &[Vec<Sentence>]) -> Result<Vec<PerRecord<Vec<Mention>>>, EngineError> {
        units.iter().map(|sentences| self.one(config, sentences)).collect()
    }
}

impl Plugin {
    fn one(&self, config: &str, sentences: &[Sentence]) -> Result<PerRecord<Vec<Mention>>, EngineError> {
        let given: Vec<wit::Sentence> = sentences
            .iter()
            .map(|sentence| wit::Sentence { candidate: sentence.candidate, text: sentence.text.clone() })
            .collect();
        let answer = self.sandbox.call(sentences.len(), |store| {
            let instance: ExtractorPlugin = self.pre.instantiate(&mut *store)?;
            instance.sentinel_plugin_extractor().call_extract(store, config, &given)
        });
        match answer {
            Ok(Ok(mentions)) => Ok(Ok(mentions.into_iter().map(Mention::from).collect())),
            Ok(Err(wit::Error::BadRecord(detail))) => Ok(Err(refused(&detail))),
            Ok(Err(wit::Error::BadConfig(detail))) => Err(EngineError::Refused(shortened(&detail))),
            Err(fault) => Ok(Err(fault)),
        }
    }
}

impl From<wit::Mention> for Mention {
    fn from(mention: wit::Mention) -> Self {
        let wit::Mention { candidate, name, surface, start, end } = mention;
        Self { candidate, name, surface, start, end }
    }
}
