//! The user's files, known by content. A digest is remembered with the file's size, times and inode and taken again while they
//! stay; only if the file was at rest when it was read, for times are too coarse to tell two changes within a moment apart. What
//! is read later must still be what was digested. Nothing outside the workflow's roots is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::blobs;
use super::store::{Store, StoreError};
use crate::digest::Digest;
use crate::job::{Absent, Files};
use crate::stage::StageError;
use crate::workflow::paths::Roots;

/// A file younger than this when it was digested is digested again next time.
const AT_REST_NS: i128 = 2_000_000_000;
/// A file that changes while it is read is read again so often.
const READS_MAX: u32 = 3;
/// Folders in folders are followed this far.
const DEPTH_MAX: usize = 64;
/// Digests are handed to the store in batches.
const REMEMBER_BATCH: usize = 1024;

/// By what a file is recognised without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change of its content, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Time of the last change of anything about it.
    pub changed_ns: i128,
    /// Its number on its device.
    pub inode: u64,
    /// The device.
    pub device: u64,
}

impl Signature {
    /// Returns the signature of a file.
    pub fn of(file: &Metadata) -> Self {
        let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            bytes: file.len(),
            modified_ns: ns(file.mtime(), file.mtime_nsec()),
            changed_ns: ns(file.ctime(), file.ctime_nsec()),
            inode: file.ino(),
            device: file.dev(),
        }
    }

    /// Whether the file had been at rest at a time.
    fn at_rest(&self, now_ns: i128) -> bool {
        now_ns - self.modified_ns.max(self.changed_ns) >= AT_REST_NS
    }
}

/// The user's files, as one run sees them.
pub struct UserFiles {
    roots: Roots,
    store: Arc<Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What this run has digested; from then on the file must stay as it was.
    seen: BTreeMap<PathBuf, (Signature, Digest)>,
    /// What this run has looked for and not found.
    absent: BTreeMap<PathBuf, Absent>,
    /// Where content can be found again.
    sources: BTreeMap<Digest, PathBuf>,
    /// Folders known to be inside the roots.
    admitted: BTreeSet<PathBuf>,
    /// What the store remembers of files that are about to be asked for.
    recalled: BTreeMap<PathBuf, (Signature, Digest)>,
    /// To be remembered.
    fresh: Vec<(PathBuf, Signature, Digest)>,
}

impl UserFiles {
    /// Returns the files below some roots; `store` remembers their digests.
    pub fn new(roots: Roots, store: Arc<Store>) -> Self {
        Self { roots, store, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    /// Hands what was digested to the store. Forgetting it costs time, not truth, so that a failure is no error.
    pub fn remember(&self) {
        let fresh = std::mem::take(&mut self.state().fresh);
        if let Err(error) = self.store.remember_files(&fresh) {
            tracing::debug!(%error, "digests of files are not remembered");
        }
    }

    /// Looks up in one go what the store remembers of files that are about to be digested: one by one takes five times as long.
    pub(crate) fn recall(&self, paths: &[PathBuf]) {
        // What cannot be looked up is digested afresh.
        if let Ok(recalled) = self.store.remembered_files(paths) {
            self.state().recalled.extend(recalled);
        }
    }

    /// Returns content by digest: a blob of the store, or a source file that still has this content.
    pub(crate) fn content(&self, digest: &Digest) -> Result<Vec<u8>, StageError> {
        if let Some(bytes) = self.store.blob(digest)? {
            return Ok(bytes);
        }
        let gone = || StoreError::Lost(format!("the content {}", digest.short())).into();
        self.source(digest)?.ok_or_else(gone)
    }

    /// Returns content by digest from the file it was digested from, if there is one.
    fn source(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StageError> {
        let Some(path) = self.state().sources.get(digest).cloned() else { return Ok(None) };
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        if Digest::of(&bytes) == *digest { Ok(Some(bytes)) } else { Err(changed(&path)) }
    }

    /// Returns the first of the files digested so far that has changed since. What was computed from it must not be kept.
    pub fn first_changed(&self, below: &Path) -> Option<PathBuf> {
        let state = self.state();
        let mut seen = state.seen.range(below.to_owned()..).take_while(|(path, _)| path.starts_with(below));
        seen.find(|(path, (signature, _))| {
            std::fs::metadata(path).map(|there| Signature::of(&there)).ok().as_ref() != Some(signature)
        })
        .map(|(path, _)| path.clone())
    }

    /// Checks that a path may be read, and returns what lies there; costs one look at the file where its folder is known.
    fn admit(&self, path: &Path) -> Result<io::Result<Metadata>, StageError> {
        let folder = path.parent().unwrap_or(path);
        let there = std::fs::symlink_metadata(path);
        let is_link = there.as_ref().is_ok_and(Metadata::is_symlink);
        if !is_link && self.state().admitted.contains(folder) {
            return Ok(there);
        }
        let text = path.to_str().ok_or_else(|| StageError::Refused(format!("`{}` is not UTF-8", path.display())))?;
        self.roots.admit(Path::new("/"), text).map_err(|error| {
            StageError::Refused(format!("{error}; `--root` on the command line allows reading there"))
        })?;
        if !is_link && self.roots.admit(Path::new("/"), &folder.to_string_lossy()).is_ok() {
            self.state().admitted.insert(folder.to_owned());
        }
        Ok(if is_link { std::fs::metadata(path) } else { there })
    }

    /// Digests a file wherever it is: for the runner's own outputs.
    pub(crate) fn digest_anywhere(&self, path: &Path) -> Result<Digest, StageError> {
        let there = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
        self.digest_of(path, &there)
    }

    /// Digests a file that was found to lie there.
    fn digest_of(&self, path: &Path, there: &Metadata) -> Result<Digest, StageError> {
        // Opening a pipe would wait for somebody to write into it.
        if !there.is_file() {
            let what = if there.is_dir() { "a folder" } else { "no regular file" };
            return Err(StageError::Refused(format!("`{}` is {what}, and a file is needed", path.display())));
        }
        let signature = Signature::of(there);
        if let Some((known, digest)) = self.state().seen.get(path) {
            return if *known == signature { Ok(*digest) } else { Err(changed(path)) };
        }
        let recalled = self.state().recalled.remove(path);
        let remembered = recalled.or_else(|| self.store.remembered_file(path).ok().flatten());
        let (signature, digest) = match remembered.filter(|(known, _)| *known == signature) {
            Some(remembered) => remembered,
            None => self.digest_afresh(path)?,
        };
        let mut state = self.state();
        state.seen.insert(path.to_owned(), (signature, digest));
        state.sources.entry(digest).or_insert_with(|| path.to_owned());
        Ok(digest)
    }

    fn digest_afresh(&self, path: &Path) -> Result<(Signature, Digest), StageError> {
        for _ in 0..READS_MAX {
            let now = now_ns();
            let file = File::open(path).map_err(|error| unreadable(path, error))?;
            let signature = |file: &File| file.metadata().map(|there| Signature::of(&there));
            let before = signature(&file).map_err(|error| unreadable(path, error))?;
            let (digest, bytes) = blobs::digest_of(&file, |_| Ok(())).map_err(|error| unreadable(path, error))?;
            let after = signature(&file).map_err(|error| unreadable(path, error))?;
            if before != after || bytes != before.bytes {
                continue;
            }
            if before.at_rest(now) {
                let is_full = {
                    let mut state = self.state();
                    state.fresh.push((path.to_owned(), before, digest));
                    state.fresh.len() >= REMEMBER_BATCH
                };
                if is_full {
                    self.remember();
                }
            }
            return Ok((before, digest));
        }
        let story = format!("`{}` keeps changing while it is read", path.display());
        Err(StageError::World(story, None))
    }

    fn list_into(&self, dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), StageError> {
        if depth > DEPTH_MAX {
            return Err(StageError::Refused(format!("`{}` lies more than {DEPTH_MAX} folders deep", dir.display())));
        }
        self.admit(dir)?.map_err(|error| unreadable(dir, error))?;
        for entry in std::fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
            let entry = entry.map_err(|error| unreadable(dir, error))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
            let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            if is_dir {
                self.list_into(&path, depth + 1, files)?;
            } else if kind.is_file() || kind.is_symlink() {
                files.push(path);
            }
        }
        Ok(())
    }
}

impl Files for UserFiles {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, StageError> {
        let there = self.admit(path)?.map_err(|error| unreadable(path, error))?;
        if there.len() > limit {
            let size = there.len();
            return Err(StageError::Refused(format!(
                "`{}` has {size} bytes; at most {limit} are read",
                path.display()
            )));
        }
        let digest = self.digest_of(path, &there)?;
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, error))?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(changed(path)) }
    }

    fn digest(&self, path: &Path) -> Result<Digest, StageError> {
        let there = self.admit(path)?.map_err(|error| unreadable(path, error))?;
        self.digest_of(path, &there)
    }

    fn find(&self, path: &Path) -> Result<Result<Digest, Absent>, StageError> {
        let there = self.admit(path)?;
        if let Some(absent) = self.state().absent.get(path) {
            return Ok(Err(*absent));
        }
        let found = match there {
            Ok(there) if !there.is_file() => Err(Absent::Irregular),
            Ok(there) => match self.digest_of(path, &there) {
                Err(error) => Err(File::open(path).err().and_then(|error| absent(&error)).ok_or(error)?),
                Ok(digest) => Ok(digest),
            },
            Err(error) => Err(absent(&error).ok_or_else(|| unreadable(path, error))?),
        };
        let Err(absent) = found else { return Ok(found) };
        if self.state().seen.contains_key(path) {
            return Err(changed(path));
        }
        self.state().absent.insert(path.to_owned(), absent);
        Ok(Err(absent))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StageError> {
        let mut files = Vec::new();
        self.list_into(dir, 0, &mut files)?;
        files.sort();
        Ok(files)
    }
}

fn now_ns() -> i128 {
    // A clock before 1970 leaves no file at rest, which costs time only.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().try_into().unwrap_or(i128::MAX))
}

/// Returns what an error says of a file itself; nothing, if the world is at fault.
fn absent(error: &io::Error) -> Option<Absent> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some(Absent::Missing),
        io::ErrorKind::PermissionDenied => Some(Absent::Forbidden),
        _ => None,
    }
}

fn unreadable(path: &Path, error: io::Error) -> StageError {
    let story = format!("`{}`: {error}", path.display());
    // What is not there, or is not allowed, stays so however often it is tried.
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            StageError::Refused(story)
        }
        _ => StageError::World(story, Some(Box::new(error))),
    }
}

fn changed(path: &Path) -> StageError {
    StageError::Refused(format!("`{}` has changed since this run began; run again", path.display()))
}
