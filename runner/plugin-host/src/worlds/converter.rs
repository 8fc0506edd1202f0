//! The world of converters.

use sentinel_domain::ports::{Converter, EngineError, PluginSpec};

use self::bindings::exports::sentinel::plugin::converter as wit;
use self::bindings::{ConverterPlugin, ConverterPluginPre};
use super::{link, misfit};
use crate::PluginError;
use crate::limits::{Cell, shortened};
use crate::sandbox::Shared;

mod bindings {
    wasmtime::component::bindgen!({ path: "../../plugins/wit", world: "converter-plugin" });
}

/// An opened converter.
pub(crate) struct Plugin {
    sandbox: Shared,
    pre: ConverterPluginPre<Cell>,
}

impl Plugin {
    pub(crate) fn open(sandbox: &Shared, plugin: &PluginSpec) -> Result<Self, PluginError> {
        let opened = sandbox.open(plugin, "converter")?;
        let pre = ConverterPluginPre::new(link(&opened, &plugin.path)?);
        let pre = pre.map_err(|error| misfit("converter", &plugin.path, &error))?;
        Ok(Self { sandbox: sandbox.clone(), pre })
    }
}

impl Converter for Plugin {
    fn convert(
        &self,
        config: &str,
        rows: &mut dyn Iterator<Item = &str>,
    ) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let given: Vec<String> = rows.map(str::to_owned).collect();
        let answer = self.sandbox.call(given.len(), |store| {
            let instance: ConverterPlugin = self.pre.instantiate(&mut *store)?;
            instance.sentinel_plugin_converter().call_convert(store, config, &given)
        });
        match answer {
            Ok(Ok(files)) => Ok(files.into_iter().map(|wit::File { path, content }| (path, content)).collect()),
            Ok(Err(wit::Error::BadRecord(detail) | wit::Error::BadConfig(detail))) => {
                Err(EngineError::Refused(shortened(&detail)))
            }
            Err(fault) => Err(EngineError::Refused(format!("{}: {}", fault.reason, fault.detail))),
        }
    }
}
