//! What the tests of the port share: a small model that reads words and pictures, a pair, someone who watches.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sentinel_domain::fakes;
use sentinel_domain::ports::Watch;
use sentinel_domain::records::Pair;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The tiny LLaVA's weights beside the files that turn words and pictures into tokens and pixels.
pub(crate) fn model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join("preference/model")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::copy(fixtures().join("llava-tiny/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    dir
}

/// A pair about a picture of no bytes.
pub(crate) fn pair(chosen: &str, rejected: &str) -> Pair {
    Pair { question: "What is here?".to_owned(), ..fakes::pair("", &[], chosen, rejected) }
}

/// Wants to stop after so many steps.
pub(crate) struct Until(u64, AtomicU64);

impl Until {
    pub(crate) fn step(step: u64) -> Self {
        Self(step, AtomicU64::new(0))
    }

    pub(crate) fn done() -> Self {
        Self::step(u64::MAX)
    }
}

impl Watch for Until {
    fn cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
    fn progress(&self, done: u64, _: u64, unit: &'static str, _: &[(&'static str, f64)]) {
        if unit == "steps" {
            self.1.store(done, Ordering::Relaxed);
        }
    }
}
