//! A stage's connection to the run it works in: the one implementation of [`Job`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::context::Context;
use super::prepare::Prepared;
use crate::artifact::{FileEntry, FileSet};
use crate::cache::process::is_at;
use crate::digest::Digest;
use crate::job::{Absent, Exec, Files, Job};
use crate::reporter::Event;
use crate::stage::StageError;

/// One attempt at some work of one stage.
pub(crate) struct StageJob<'a> {
    context: &'a Context,
    stage: &'a Prepared,
    exec: &'a Exec,
    /// What checkpoints belong to.
    key: Digest,
    deadline: Option<Instant>,
    put: Mutex<BTreeSet<Digest>>,
    scratch: Mutex<Vec<PathBuf>>,
    checkpoints: OnceLock<Checkpoints>,
    /// What part of the stage's work this is, if it is a batch of units.
    share: OnceLock<Share>,
}

/// What part of a stage's work a batch of units is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Units answered before.
    pub(crate) before: u64,
    /// Units of the batch.
    pub(crate) units: u64,
    /// All units there are, as far as is known.
    pub(crate) total: u64,
    /// What they are called.
    pub(crate) unit: &'static str,
}

/// A folder for checkpoints. Another process at the same work has it locked; then this one has a passing one.
struct Checkpoints {
    path: PathBuf,
    _lock: Option<File>,
}

impl<'a> StageJob<'a> {
    pub(crate) fn new(
        context: &'a Context,
        stage: &'a Prepared,
        exec: &'a Exec,
        key: Digest,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            context,
            stage,
            exec,
            key,
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            put: Mutex::default(),
            scratch: Mutex::default(),
            checkpoints: OnceLock::new(),
            share: OnceLock::new(),
        }
    }

    /// The same job, which tells how far it is as a part of the stage's work.
    pub(crate) fn with_share(&self, share: Share) -> &Self {
        // A job is one attempt at one batch.
        let _ = self.share.set(share);
        self
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns the blobs put so far.
    pub(crate) fn blobs(&self) -> Vec<Digest> {
        self.put.lock().expect("no holder of the lock panics").iter().copied().collect()
    }

    /// Removes the checkpoints: the work is done and kept.
    pub(crate) fn forget_checkpoints(&self) {
        if let Some(checkpoints) = self.checkpoints.get() {
            // What cannot be removed costs room, not truth.
            let _ = std::fs::remove_dir_all(&checkpoints.path);
            let _ = std::fs::remove_file(lock_path(&checkpoints.path));
        }
    }

    fn open_checkpoints(&self) -> Result<Checkpoints, StageError> {
        if self.context.again.is_some() {
            return Ok(Checkpoints { path: self.scratch_dir()?, _lock: None });
        }
        let all = self.context.store.path("checkpoints");
        std::fs::create_dir_all(&all).map_err(|error| broken(&all, error))?;
        let path = all.join(self.key.to_string());
        let at = lock_path(&path);
        let lock = File::create(&at).map_err(|error| broken(&at, error))?;
        // Whoever had it may have removed it between the two: then the next to come would lock another file of this name.
        if lock.try_lock().is_err() || !is_at(&lock, &at) {
            return Ok(Checkpoints { path: self.scratch_dir()?, _lock: None });
        }
        std::fs::create_dir_all(&path).map_err(|error| broken(&path, error))?;
        Ok(Checkpoints { path, _lock: Some(lock) })
    }

    fn put_below(&self, root: &Path, dir: &Path, files: &mut BTreeMap<String, FileEntry>) -> Result<(), StageError> {
        for entry in std::fs::read_dir(dir).map_err(|error| broken(dir, error))? {
            let path = entry.map_err(|error| broken(dir, error))?.path();
            if path.is_dir() {
                self.put_below(root, &path, files)?;
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_str();
            let name = name.ok_or_else(|| StageError::Bug(format!("`{}` is not UTF-8", path.display())))?.to_owned();
            let (digest, bytes) = self.context.store.put_file(&path)?;
            self.note(digest);
            files.insert(name, FileEntry { digest, bytes });
        }
        Ok(())
    }

    fn note(&self, digest: Digest) {
        self.put.lock().expect("no holder of the lock panics").insert(digest);
    }
}

impl Drop for StageJob<'_> {
    fn drop(&mut self) {
        for path in self.scratch.lock().expect("no holder of the lock panics").drain(..) {
            // What stays is swept with the process's folder.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

impl Job for StageJob<'_> {
    fn seed(&self) -> u64 {
        self.context.workflow.seed
    }

    fn exec(&self) -> &Exec {
        self.exec
    }

    fn cancelled(&self) -> bool {
        self.context.is_stopping() || self.is_late()
    }

    fn progress(&self, done: u64, total: u64, unit: &'static str, readings: &[(&'static str, f64)]) {
        let stage = &self.stage.id;
        let (done, total, unit) = match self.share.get() {
            // Whatever it counts, it is through with so much of its batch.
            Some(share) => {
                let through = share.units as f64 * (done as f64 / total.max(1) as f64).min(1.0);
                (share.before + through as u64, share.total, share.unit)
            }
            None => (done, total, unit),
        };
        self.context.tell(&Event::Progress { stage, done, total, unit, readings });
    }

    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError> {
        self.context.files.content(&digest)
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StageError> {
        let digest = self.context.store.put_blob(bytes)?;
        self.note(digest);
        Ok(digest)
    }

    fn put_dir(&self, dir: &Path) -> Result<FileSet, StageError> {
        let mut files = BTreeMap::new();
        self.put_below(dir, dir, &mut files)?;
        Ok(FileSet { files })
    }

    fn materialise(&self, files: &FileSet) -> Result<PathBuf, StageError> {
        let mut made = self.context.materialised.lock().expect("no holder of the lock panics");
        let digest = files.digest();
        if let Some(path) = made.get(&digest) {
            return Ok(path.clone());
        }
        let folder = self.context.store.work()?.fresh();
        for (name, file) in &files.files {
            let place = folder.join(name);
            let parent = place.parent().unwrap_or(&folder);
            std::fs::create_dir_all(parent).map_err(|error| broken(parent, error))?;
            // Reading it checks it.
            let bytes = self.blob(file.digest)?;
            let kept = self.context.store.blob_path(&file.digest);
            if std::fs::hard_link(kept, &place).is_err() {
                std::fs::write(&place, bytes).map_err(|error| broken(&place, error))?;
            }
        }
        made.insert(digest, folder.clone());
        Ok(folder)
    }

    fn memo(
        &self,
        key: Digest,
        compute: &mut dyn FnMut() -> Result<Vec<u8>, StageError>,
    ) -> Result<Vec<u8>, StageError> {
        // What is computed again must not be looked up.
        if self.context.again.is_some() {
            return compute();
        }
        match self.context.store.memo(&key)? {
            Some(value) => Ok(value),
            None => self.context.store.keep_memo(&key, compute()?).map_err(StageError::from),
        }
    }

    fn checkpoint_dir(&self) -> Result<PathBuf, StageError> {
        if self.checkpoints.get().is_none() {
            // Two threads of one stage may both come here; the first stays.
            let _ = self.checkpoints.set(self.open_checkpoints()?);
        }
        Ok(self.checkpoints.get().expect("set above").path.clone())
    }

    fn scratch_dir(&self) -> Result<PathBuf, StageError> {
        let path = self.context.store.work()?.fresh();
        std::fs::create_dir_all(&path).map_err(|error| broken(&path, error))?;
        self.scratch.lock().expect("no holder of the lock panics").push(path.clone());
        Ok(path)
    }
}

impl Files for StageJob<'_> {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, StageError> {
        self.context.files.read(path, limit)
    }

    fn digest(&self, path: &Path) -> Result<Digest, StageError> {
        self.context.files.digest(path)
    }

    fn find(&self, path: &Path) -> Result<Result<Digest, Absent>, StageError> {
        self.context.files.find(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StageError> {
        self.context.files.list(dir)
    }
}

fn lock_path(checkpoints: &Path) -> PathBuf {
    checkpoints.with_extension("lock")
}

fn broken(path: &Path, error: io::Error) -> StageError {
    StageError::World(format!("`{}`: {error}", path.display()), Some(Box::new(error)))
}
