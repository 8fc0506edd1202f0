//! A detector at work: opens its session when first needed, and answers each picture on its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::ThreadPoolBuilder;
use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};
use sentinel_domain::ports::{Detector, EngineError, PerRecord, Watch};
use sentinel_domain::records::FoundBox;
use sentinel_pictures::{Transparency, decode};

use crate::detectors::Family;
use crate::engine::Engine;
use crate::error::DetectError;
use crate::onnx::Model;
use crate::session::{Session, open_onnx_runtime, open_tract};

pub(crate) struct Served {
    model: Arc<Model>,
    family: Box<dyn Family>,
    labels: Vec<String>,
    engine: Engine,
    /// For pictures side by side and, in ONNX Runtime, within one; 0 means all cores.
    threads: usize,
    session: OnceLock<Result<Box<dyn Session>, String>>,
}

impl Served {
    pub(crate) fn new(
        model: Arc<Model>,
        family: Box<dyn Family>,
        labels: Vec<String>,
        engine: Engine,
        threads: usize,
    ) -> Self {
        Self { model, family, labels, engine, threads, session: OnceLock::new() }
    }

    fn session(&self) -> Result<&dyn Session, EngineError> {
        let open = || match &self.engine {
            Engine::OnnxRuntime(runtime) => {
                open_onnx_runtime(&runtime.environment, Arc::clone(&self.model), self.threads)
                    .map_err(|error| error.to_string())
            }
            Engine::Tract => Ok(open_tract(Arc::clone(&self.model))),
        };
        let session = self.session.get_or_init(open);
        session.as_ref().map(AsRef::as_ref).map_err(|reason| EngineError::Refused(reason.clone()))
    }

    fn answer(&self, session: &dyn Session, bytes: &[u8]) -> Result<Vec<FoundBox>, DetectError> {
        let picture = decode(bytes, Transparency::Dropped)?;
        let outputs = session.run(self.family.inputs(&picture))?;
        let found = self.family.boxes(&picture, &outputs)?;
        let named = |found: crate::boxes::Candidate| FoundBox {
            name: self.labels[found.class].clone(),
            score: found.score,
            xyxy: found.xyxy,
        };
        Ok(found.into_iter().map(named).collect())
    }
}

impl Detector for Served {
    fn vocabulary(&self) -> Option<&[String]> {
        Some(&self.labels)
    }

    fn detect(
        &self,
        pictures: &[Arc<Vec<u8>>],
        _phrases: &[Vec<String>],
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<FoundBox>>>, EngineError> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session()?;
        let done = AtomicU64::new(0);
        let answer = |bytes: &Arc<Vec<u8>>| {
            if watch.cancelled() {
                return Err(EngineError::Cancelled);
            }
            let answer = match self.answer(session, bytes) {
                Ok(found) => Ok(found),
                Err(error) => Err(error.fault().ok_or(error)?),
            };
            watch.progress(done.fetch_add(1, Ordering::Relaxed) + 1, pictures.len() as u64, "pictures", &[]);
            Ok(answer)
        };
        // Collected before it is searched for errors, so that the first one in order is told, whichever came first.
        let pool = ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|error| EngineError::World(format!("cannot start threads: {error}")))?;
        let answers: Vec<Result<PerRecord<Vec<FoundBox>>, EngineError>> =
            pool.install(|| pictures.par_iter().map(answer).collect());
        answers.into_iter().collect()
    }
}
