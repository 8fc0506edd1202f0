//! The composition root: which engine stands behind which port. Nothing is opened before a stage asks for it, and the same thing
//! asked for twice is opened once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, OnceLock};

use sentinel_core::job::Exec;
use sentinel_domain::ports::{
    Catalogue, Converter, Detector, DetectorSpec, EngineError, Engines, Extractor, Filter, FilterScope, PluginSpec,
    Scenes, ServerSpec, Trainer, Vlm, VlmSpec,
};
use sentinel_plugin_host::PluginHost;
use sentinel_train::CandleTrainer;
use sentinel_world::TinyWorld;

use crate::printer;
use crate::secrets::Secrets;

/// The engines of this program.
pub(crate) struct NativeEngines {
    catalogue: Catalogue,
    models: Mutex<BTreeMap<ModelKey, Arc<dyn Vlm>>>,
    detectors: Mutex<BTreeMap<String, Arc<dyn Detector>>>,
    servers: Mutex<BTreeMap<String, Arc<dyn Vlm>>>,
    plugins: OnceLock<PluginHost>,
    secrets: Secrets,
    /// Whether what runs detectors was told: only who runs one needs to know.
    noted: Once,
}

/// By what a model is known to be opened already: where it lies, its own adapter, how many threads it was given.
type ModelKey = (PathBuf, Option<PathBuf>, Option<u32>);

impl NativeEngines {
    /// Looks what there is; opens nothing.
    pub(crate) fn new(secrets: Secrets) -> Self {
        let catalogue = Catalogue {
            families: sentinel_models::families().collect(),
            detectors: sentinel_detect::DETECTORS.iter().map(|family| family.name).collect(),
            losses: sentinel_train::losses::LOSSES.iter().map(|loss| loss.name).collect(),
            model_engine: sentinel_models::ENGINE.to_owned(),
            server_engine: sentinel_remote::ENGINE.to_owned(),
            detector_engine: sentinel_detect::search().engine.identity(),
            plugin_engine: sentinel_plugin_host::ENGINE.to_owned(),
            scenes_engine: sentinel_world::ENGINE.to_owned(),
        };
        Self {
            catalogue,
            models: Mutex::default(),
            detectors: Mutex::default(),
            servers: Mutex::default(),
            plugins: OnceLock::new(),
            secrets,
            noted: Once::new(),
        }
    }

    fn plugins(&self) -> Result<&PluginHost, EngineError> {
        if self.plugins.get().is_none() {
            // Two stages may both come here; the first host stays.
            let _ = self.plugins.set(PluginHost::new(sentinel_plugin_host::Limits::default())?);
        }
        Ok(self.plugins.get().expect("set above"))
    }
}

impl Engines for NativeEngines {
    fn vlm(&self, spec: &VlmSpec, exec: &Exec) -> Result<Arc<dyn Vlm>, EngineError> {
        let key = (spec.path.clone(), spec.adapter.clone(), exec.threads);
        once(&self.models, key, || {
            let opened = sentinel_models::vlm::open(spec, exec);
            Ok(Arc::new(opened.map_err(|error| EngineError::Refused(error.to_string()))?))
        })
    }

    fn server(&self, spec: &ServerSpec) -> Result<Arc<dyn Vlm>, EngineError> {
        once(&self.servers, format!("{spec:?}"), || {
            let secret = spec.secret.as_deref().map(|name| self.secrets.of(name)).transpose()?;
            Ok(Arc::new(sentinel_remote::open(spec, secret)?))
        })
    }

    fn detector(&self, spec: &DetectorSpec, exec: &Exec) -> Result<Arc<dyn Detector>, EngineError> {
        once(&self.detectors, format!("{spec:?} {:?}", exec.threads), || {
            let search = sentinel_detect::search();
            if let Some(note) = search.note() {
                self.noted.call_once(|| printer::say(&format!("note: {note}")));
            }
            sentinel_detect::open(spec, exec, &search.engine).map_err(|error| EngineError::Refused(error.to_string()))
        })
    }

    fn extractor(&self, plugin: &PluginSpec) -> Result<Arc<dyn Extractor>, EngineError> {
        self.plugins()?.extractor(plugin)
    }

    fn filter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Filter>, EngineError> {
        self.plugins()?.filter(plugin)
    }

    fn filter_scope(&self, plugin: &PluginSpec) -> Result<FilterScope, EngineError> {
        sentinel_plugin_host::filter_scope(plugin)
    }

    fn converter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Converter>, EngineError> {
        self.plugins()?.converter(plugin)
    }

    fn trainer(&self, exec: &Exec) -> Result<Arc<dyn Trainer>, EngineError> {
        Ok(Arc::new(CandleTrainer::new(exec)?))
    }

    fn scenes(&self) -> Arc<dyn Scenes> {
        Arc::new(TinyWorld)
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

/// Returns what was opened under a key, or opens it; whoever asks meanwhile waits.
fn once<K: Ord, T: ?Sized>(
    opened: &Mutex<BTreeMap<K, Arc<T>>>,
    key: K,
    open: impl FnOnce() -> Result<Arc<T>, EngineError>,
) -> Result<Arc<T>, EngineError> {
    let mut opened = opened.lock().expect("no holder of the lock panics");
    if let Some(there) = opened.get(&key) {
        return Ok(there.clone());
    }
    let fresh = open()?;
    opened.insert(key, fresh.clone());
    Ok(fresh)
}
