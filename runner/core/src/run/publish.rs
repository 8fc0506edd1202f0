//! Results in their place: `<out>/<workflow>/<stage>/<output>.jsonl` for rows, `<stage>/<output>/…` for files. Everything is
//! written aside and renamed; what is there already and whole is left alone. Results are copies: whoever edits one edits nothing
//! of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::RunError;
use super::node::Told;
use crate::artifact::{FileEntry, FileSet};
use crate::cache::blobs::digest_of;
use crate::cache::files::UserFiles;
use crate::cache::kept::{Artifact, UnitRef};
use crate::cache::store::{Store, StoreError};
use crate::digest::Digest;
use crate::report::record::{Quarantined, RunRecord};
use crate::workflow::node_of;

/// The files each output of a node was written to: output name → path below the run's folder → content.
pub(crate) type Published = BTreeMap<String, BTreeMap<String, FileEntry>>;

/// The record's file.
pub(crate) const RECORD: &str = "run.json";
/// The report's file.
pub(crate) const REPORT: &str = "report.html";
/// What a run set aside that failed because that was too much.
pub(crate) const SET_ASIDE: &str = "set-aside.jsonl";
const LOCK: &str = ".lock";
/// Where files are written before they are whole; below the run's folder, so that a rename is enough to put them in place.
const ASIDE: &str = ".aside";

/// Puts results of one workflow in their place; holds the place for itself.
pub(crate) struct Publisher {
    folder: PathBuf,
    /// Held while this run writes here.
    _lock: File,
}

impl Publisher {
    /// Opens a run's folder, making it if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, RunError> {
        let broken = |source| RunError::Output { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(broken)?;
        let lock = File::create(folder.join(LOCK)).map_err(broken)?;
        match lock.try_lock() {
            Ok(()) => {
                let publisher = Self { folder: folder.to_owned(), _lock: lock };
                // What a killed run left half written.
                publisher.clear_aside();
                Ok(publisher)
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let story = format!("another run writes to `{}`; `--out` chooses another place", folder.display());
                Err(RunError::Unknown(story))
            }
            Err(std::fs::TryLockError::Error(source)) => Err(broken(source)),
        }
    }

    /// The folder to write in, made when it is not there.
    fn aside(&self) -> io::Result<PathBuf> {
        let aside = self.folder.join(ASIDE);
        std::fs::create_dir_all(&aside)?;
        Ok(aside)
    }

    fn clear_aside(&self) {
        let _ = std::fs::remove_dir_all(self.folder.join(ASIDE));
    }

    /// Puts the outputs of a node in their place.
    pub(crate) fn publish(&self, store: &Store, told: &Told) -> Result<Published, RunError> {
        let mut published = Published::new();
        for (port, artifact) in &told.outputs {
            let place = PathBuf::from(&told.id).join(&port.name);
            let files = match artifact {
                None => continue,
                Some(Artifact::Rows(units)) => self.rows(store, &place.with_extension("jsonl"), units)?,
                Some(Artifact::Files(files)) => self.files(store, &place, files)?,
            };
            published.insert(port.name.clone(), files);
        }
        Ok(published)
    }

    fn rows(&self, store: &Store, place: &Path, units: &[UnitRef]) -> Result<BTreeMap<String, FileEntry>, RunError> {
        let path = self.folder.join(place);
        let broken = |source| RunError::Output { path: path.clone(), source };
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(broken)?;
        let aside = self.aside().and_then(tempfile::NamedTempFile::new_in).map_err(broken)?;
        let mut writer = BufWriter::new(aside);
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        for rows in store.rows_in_order(units) {
            for row in rows?.iter() {
                for part in [row.as_bytes(), b"\n"] {
                    writer.write_all(part).map_err(broken)?;
                    hasher.update(part);
                    bytes += part.len() as u64;
                }
            }
        }
        let aside = writer.into_inner().map_err(|error| broken(error.into_error()))?;
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        if !is(&path, &digest) {
            settle(aside, &path).map_err(broken)?;
        }
        Ok([(name(place), FileEntry { digest, bytes })].into())
    }

    fn files(&self, store: &Store, place: &Path, files: &FileSet) -> Result<BTreeMap<String, FileEntry>, RunError> {
        let path = self.folder.join(place);
        let broken = |source| RunError::Output { path: path.clone(), source };
        let listed = files.files.iter().map(|(file, entry)| (name(&place.join(file)), entry.clone())).collect();
        let is_whole = files.files.iter().all(|(file, entry)| is(&path.join(file), &entry.digest));
        if is_whole && count_below(&path) == files.files.len() {
            return Ok(listed);
        }
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(broken)?;
        let aside = self.aside().and_then(tempfile::tempdir_in).map_err(broken)?;
        for (file, entry) in &files.files {
            let at = aside.path().join(file);
            std::fs::create_dir_all(at.parent().unwrap_or(aside.path())).map_err(broken)?;
            let bytes = store.blob(&entry.digest)?;
            let bytes = bytes.ok_or_else(|| StoreError::Lost(format!("file {}", entry.digest.short())))?;
            let mut copy = File::create_new(&at).map_err(broken)?;
            copy.write_all(&bytes).and_then(|()| copy.sync_all()).map_err(broken)?;
        }
        readable(aside.path()).map_err(broken)?;
        // A folder cannot take another's place in one step; between the two there is none, never half of one.
        if path.exists() {
            let old = self.aside().and_then(tempfile::tempdir_in).map_err(broken)?;
            std::fs::rename(&path, old.path().join("was")).map_err(broken)?;
        }
        std::fs::rename(aside.keep(), &path).map_err(broken)?;
        Ok(listed)
    }

    /// Writes the record and the report, and removes what an earlier run wrote and this one did not, but for stages left alone.
    pub(crate) fn finish(
        &self,
        record: &RunRecord,
        report: &str,
        left_alone: &BTreeSet<String>,
    ) -> Result<(), RunError> {
        let earlier = read_record(&self.folder);
        self.text(REPORT, report)?;
        self.text(RECORD, &(serde_json::to_string_pretty(record).expect("a record is JSON") + "\n"))?;
        let now: BTreeMap<&String, &FileEntry> = files_of(record).collect();
        let is_old = |file: &String| !now.contains_key(file) && !left_alone.contains(node_of(file));
        for (file, entry) in earlier.iter().flat_map(files_of).filter(|(file, _)| is_old(file)) {
            let path = self.folder.join(file);
            // What somebody changed is theirs.
            if is(&path, &entry.digest) {
                let _ = std::fs::remove_file(&path);
                path.ancestors().skip(1).take_while(|above| *above != self.folder).for_each(|above| {
                    let _ = std::fs::remove_dir(above);
                });
            }
        }
        Ok(())
    }

    /// Removes what an earlier run failed by: it is told anew if it still holds.
    pub(crate) fn forget_set_aside(&self) {
        let _ = std::fs::remove_file(self.folder.join(SET_ASIDE));
    }

    /// Writes what a run set aside, a record a line; returns where it is.
    pub(crate) fn set_aside(&self, told: &[Quarantined]) -> Result<PathBuf, RunError> {
        let line = |unit| serde_json::to_string(unit).expect("a quarantined unit is JSON") + "\n";
        self.text(SET_ASIDE, &told.iter().map(line).collect::<String>())?;
        Ok(self.folder.join(SET_ASIDE))
    }

    /// Writes one file of the run's folder.
    pub(crate) fn text(&self, file: &str, text: &str) -> Result<(), RunError> {
        let path = self.folder.join(file);
        let written = self.aside().and_then(|aside| write_whole(&path, text.as_bytes(), &aside));
        written.map_err(|source| RunError::Output { path: path.clone(), source })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.clear_aside();
    }
}

/// Whether everything a run wrote is still there and whole.
pub(crate) fn is_whole(folder: &Path, record: &RunRecord, files: &UserFiles) -> bool {
    let known = |file: &str| files.digest_anywhere(&folder.join(file)).ok();
    files_of(record).all(|(file, entry)| known(file) == Some(entry.digest))
        && folder.join(REPORT).is_file()
        && read_record(folder).is_some_and(|there| there.digest == record.digest)
}

/// Returns the record in a run's folder, if there is one this version can read.
pub(crate) fn read_record(folder: &Path) -> Option<RunRecord> {
    serde_json::from_slice(&std::fs::read(folder.join(RECORD)).ok()?).ok()
}

fn files_of(record: &RunRecord) -> impl Iterator<Item = (&String, &FileEntry)> {
    record.stages.iter().flat_map(|stage| &stage.outputs).flat_map(|output| &output.files)
}

/// Writes a file in the folder `aside`, and gives it its name when it is whole. Both must lie on one file system.
pub fn write_whole(path: &Path, content: &[u8], aside: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(aside)?;
    file.write_all(content)?;
    settle(file, path)
}

/// Syncs a finished file and gives it its name.
fn settle(aside: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    readable(aside.path())?;
    aside.as_file().sync_all()?;
    aside.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// Temporary files are their owner's alone; results are as readable as any file.
fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn is(path: &Path, digest: &Digest) -> bool {
    File::open(path).and_then(|file| digest_of(file, |_| Ok(()))).is_ok_and(|(found, _)| found == *digest)
}

fn count_below(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count_below(&entry.path()) } else { 1 }).sum()
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
