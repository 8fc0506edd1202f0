//! What the tests of detectors share: fixtures, engines, and a watch that only listens.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers may do what tests may")]

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_core::job::Exec;
use sentinel_detect::{Engine, search};
use sentinel_domain::ports::{Detector, DetectorSpec, EngineError, PerRecord, Watch};
use sentinel_domain::records::FoundBox;

/// A file below the repository's root.
pub(crate) fn root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// A file of `tests/fixtures/detect`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    root("tests/fixtures/detect").join(name)
}

/// An encoded picture of the fixtures.
pub(crate) fn picture(name: &str) -> Arc<Vec<u8>> {
    Arc::new(std::fs::read(fixture(&format!("{name}.png"))).unwrap())
}

/// tract always, and ONNX Runtime where its library is found.
pub(crate) fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::Tract];
    match &search().engine {
        found @ Engine::OnnxRuntime(_) => engines.push(found.clone()),
        Engine::Tract => println!("not tested with ONNX Runtime: {}", search()),
    }
    engines
}

/// An entry of `models:`.
pub(crate) fn spec(family: &str, path: PathBuf) -> DetectorSpec {
    DetectorSpec {
        name: "probe".to_owned(),
        family: family.to_owned(),
        path,
        labels: None,
        confidence: None,
        iou: None,
    }
}

/// A detector of the fixtures: `yolo*` carry their names, the others take them from `labels.txt`.
pub(crate) fn open(name: &str, engine: &Engine, threads: Option<u32>) -> Arc<dyn Detector> {
    let family = if name.starts_with("yolo") { "yolo" } else { name };
    let mut spec = spec(family, fixture(&format!("{name}.onnx")));
    spec.labels = (family != "yolo").then(|| fixture("labels.txt"));
    sentinel_detect::open(&spec, &Exec { threads, ..Exec::default() }, engine).unwrap()
}

/// Runs a detector that sees no phrases.
pub(crate) fn detect(
    detector: &dyn Detector,
    pictures: &[Arc<Vec<u8>>],
) -> Result<Vec<PerRecord<Vec<FoundBox>>>, EngineError> {
    detector.detect(pictures, &vec![Vec::new(); pictures.len()], &Quiet)
}

/// Never asks to stop.
pub(crate) struct Quiet;

impl Watch for Quiet {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}
}
