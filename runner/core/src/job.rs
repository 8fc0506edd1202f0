//! What a stage may ask of the runner while it works: blobs, memoised work, files, progress, whether to stop.
//! It is a trait, so that stages are tested with a scripted job and never touch the file system themselves.

use std::path::{Path, PathBuf};

use crate::artifact::FileSet;
use crate::digest::Digest;
use crate::stage::StageError;

/// A stage's connection to the runner.
pub trait Job: Files + Sync {
    /// The workflow's seed (or `with.seed`); every random stream is keyed by it.
    fn seed(&self) -> u64;
    /// Settings that cannot change results.
    fn exec(&self) -> &Exec;
    /// Whether the user asked to stop; long work checks it and returns [`StageError::Cancelled`].
    fn cancelled(&self) -> bool;
    /// Tells how far the work is: `done` of `total` in `unit` (records, steps …), with a few named readings for the progress line
    /// and the run's log (for example `loss`).
    fn progress(&self, done: u64, total: u64, unit: &'static str, readings: &[(&'static str, f64)]);
    /// Returns content by digest: a blob of the store, or a source file that still has this content.
    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError>;
    /// Keeps content in the store.
    fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StageError>;
    /// Keeps every file below `dir` in the store.
    fn put_dir(&self, dir: &Path) -> Result<FileSet, StageError>;
    /// Returns a read-only directory that holds these files, for engines that load from disk.
    fn materialise(&self, files: &FileSet) -> Result<PathBuf, StageError>;
    /// Returns what was kept under `key`, or computes and keeps it. For work that outlives a unit: boxes of a picture by one detector.
    fn memo(
        &self,
        key: Digest,
        compute: &mut dyn FnMut() -> Result<Vec<u8>, StageError>,
    ) -> Result<Vec<u8>, StageError>;
    /// Returns a directory that survives a kill, belongs to this unit's key, and is deleted when the unit is done: for checkpoints.
    fn checkpoint_dir(&self) -> Result<PathBuf, StageError>;
    /// Returns a fresh directory, deleted when the call returns: for outputs under construction.
    fn scratch_dir(&self) -> Result<PathBuf, StageError>;
}

/// Reading the user's files, confined to the places the workflow may read.
pub trait Files {
    /// Reads a whole file of at most `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, StageError>;
    /// Returns the content digest of a file, remembered while the file stays as it is; the content is later served by [`Job::blob`].
    fn digest(&self, path: &Path) -> Result<Digest, StageError>;
    /// Returns the content digest of a file as [`Files::digest`] does, or why there is none to be had. A run sees a file that was not
    /// there when it began as not there until it ends.
    fn find(&self, path: &Path) -> Result<Result<Digest, Absent>, StageError>;
    /// Lists the regular files and links below a directory, sorted, hidden ones left out.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StageError>;
}

/// Why a file has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Absent {
    /// Nothing lies there.
    #[error("no such file")]
    Missing,
    /// A folder, pipe, socket or device.
    #[error("not a regular file")]
    Irregular,
    /// This user may not read it.
    #[error("reading it is not allowed")]
    Forbidden,
}

/// `exec:` — what cannot change results.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exec {
    /// Units handed to the stage at once; by default the stage decides.
    #[schemars(range(min = 1, max = 65536))]
    pub batch: Option<u32>,
    /// Records kept going at once in a loop; by default 64.
    #[schemars(range(min = 1, max = 65536))]
    pub in_flight: Option<u32>,
    /// Threads; by default all cores.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u32>,
    /// The device: `cpu`, or `cuda:0` in a CUDA build.
    pub device: Option<String>,
}
