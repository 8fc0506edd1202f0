//! A job whose store is a map in memory, and whose user files are a map of paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sentinel_core::artifact::{FileEntry, FileSet};
use sentinel_core::digest::Digest;
use sentinel_core::job::{Absent, Exec, Files, Job};
use sentinel_core::stage::StageError;

/// A job in memory. Directories that engines need are real and temporary.
pub struct MemoryJob {
    seed: u64,
    exec: Exec,
    files: BTreeMap<PathBuf, Vec<u8>>,
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    memo: Mutex<BTreeMap<Digest, Vec<u8>>>,
    computed: Mutex<u64>,
    directory: tempfile::TempDir,
}

impl MemoryJob {
    /// Returns an empty job.
    pub fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().expect("the system's temporary directory can be written");
        let (files, blobs, memo) = (BTreeMap::new(), Mutex::default(), Mutex::default());
        Self { seed, exec: Exec::default(), files, blobs, memo, computed: Mutex::default(), directory }
    }

    /// Adds a file of the user's.
    pub fn file(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Keeps files, as a stage's output would be kept.
    pub fn file_set<'a>(&self, files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> FileSet {
        let mut set = FileSet::default();
        for (name, content) in files {
            let bytes = content.len() as u64;
            let digest = self.put_blob(&content).expect("memory takes every blob");
            set.files.insert(name.to_owned(), FileEntry { digest, bytes });
        }
        set
    }

    /// Returns how often [`Job::memo`] had to compute.
    pub fn computed(&self) -> u64 {
        *self.computed.lock().expect("no holder of the lock panics")
    }

    fn fresh_directory(&self, prefix: &str) -> Result<PathBuf, StageError> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(self.directory.path());
        made.map(tempfile::TempDir::keep).map_err(|error| StageError::World(error.to_string(), None))
    }
}

fn world(path: &Path, error: std::io::Error) -> StageError {
    StageError::World(format!("`{}`: {error}", path.display()), None)
}

impl Files for MemoryJob {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, StageError> {
        let content = self.files.get(path);
        let content = content.ok_or_else(|| StageError::World(format!("`{}` does not exist", path.display()), None))?;
        if content.len() as u64 > limit {
            return Err(StageError::Refused(format!("`{}` is larger than {limit} bytes", path.display())));
        }
        Ok(content.clone())
    }

    fn digest(&self, path: &Path) -> Result<Digest, StageError> {
        self.put_blob(&self.read(path, u64::MAX)?)
    }

    fn find(&self, path: &Path) -> Result<Result<Digest, Absent>, StageError> {
        if self.files.contains_key(path) { self.digest(path).map(Ok) } else { Ok(Err(Absent::Missing)) }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StageError> {
        Ok(self.files.keys().filter(|path| path.starts_with(dir)).cloned().collect())
    }
}

impl Job for MemoryJob {
    fn seed(&self) -> u64 {
        self.seed
    }
    fn exec(&self) -> &Exec {
        &self.exec
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}

    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError> {
        let blobs = self.blobs.lock().expect("no holder of the lock panics");
        blobs.get(&digest).cloned().ok_or_else(|| StageError::World(format!("no blob {digest}"), None))
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StageError> {
        let digest = Digest::of(bytes);
        self.blobs.lock().expect("no holder of the lock panics").insert(digest, bytes.to_vec());
        Ok(digest)
    }

    fn put_dir(&self, dir: &Path) -> Result<FileSet, StageError> {
        let mut set = FileSet::default();
        let mut waiting = vec![dir.to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| world(&folder, error))? {
                let path = entry.map_err(|error| world(&folder, error))?.path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                let content = std::fs::read(&path).map_err(|error| world(&path, error))?;
                let name = path.strip_prefix(dir).expect("the walk stays below its root");
                let entry = FileEntry { digest: self.put_blob(&content)?, bytes: content.len() as u64 };
                set.files.insert(name.to_string_lossy().replace('\\', "/"), entry);
            }
        }
        Ok(set)
    }

    fn materialise(&self, files: &FileSet) -> Result<PathBuf, StageError> {
        let directory = self.fresh_directory("files")?;
        for (name, file) in &files.files {
            let path = directory.join(name);
            let folder = path.parent().expect("a joined path has a parent");
            std::fs::create_dir_all(folder).map_err(|error| world(folder, error))?;
            std::fs::write(&path, self.blob(file.digest)?).map_err(|error| world(&path, error))?;
        }
        Ok(directory)
    }

    fn memo(
        &self,
        key: Digest,
        compute: &mut dyn FnMut() -> Result<Vec<u8>, StageError>,
    ) -> Result<Vec<u8>, StageError> {
        if let Some(kept) = self.memo.lock().expect("no holder of the lock panics").get(&key) {
            return Ok(kept.clone());
        }
        let value = compute()?;
        *self.computed.lock().expect("no holder of the lock panics") += 1;
        self.memo.lock().expect("no holder of the lock panics").insert(key, value.clone());
        Ok(value)
    }

    fn checkpoint_dir(&self) -> Result<PathBuf, StageError> {
        self.fresh_directory("checkpoints")
    }

    fn scratch_dir(&self) -> Result<PathBuf, StageError> {
        self.fresh_directory("scratch")
    }
}
