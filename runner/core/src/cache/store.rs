//! Where results are kept: an index that several processes may open at once, and a folder of blobs. Results of units are written
//! many to a transaction; the first result kept under a key is the result, whoever else computes it. What is read is checked
//! against a digest, and what fails the check is removed: a miss with a warning, never a wrong hit.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::blobs::Blobs;
use super::kept::{Entry, Row, RowsRef, UnitRef};
use super::key::{Fingerprint, canonical};
use super::process::ProcessFolder;
use super::{KEY_SCHEMA, place, tables};
use crate::artifact::Rows;
use crate::digest::Digest;
use crate::stage::StageError;

/// The name of the store's folder in a repository.
pub const STORE_FOLDER: &str = ".sentinel";

/// What lies in the store's folder, below that of the version.
const INDEX: &str = "index.db";
const BLOBS: &str = "blobs";
/// Locked by everybody who has the store open to write: alone, or together with others.
const OPEN: &str = "open.lock";

/// Units whose rows are read in one look.
const UNITS_A_LOOK: usize = 256;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locks do not work there.
    #[error(
        "the store `{path}` lies on a network file system ({kind}), whose locks cannot be trusted; choose a local folder with `--store`"
    )]
    Network {
        /// The store.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// It cannot be made or written.
    #[error("the store `{path}` cannot be used: {source}")]
    Io {
        /// What could not be made, written or read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was asked for alone.
    #[error("the store `{path}` is in use by another process; try again when that has ended")]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// Nothing can be kept there.
    #[error("the store `{path}` may only be read; `--store` names another")]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// Its disk is full.
    #[error("no space is left for the store `{path}`; what was kept stays kept")]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The index itself is broken.
    #[error(
        "the index of the store `{path}` is damaged: {source}; move the folder away, and everything is computed anew"
    )]
    Broken {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The index could not be read or written.
    #[error("the index of the store `{path}`: {source}")]
    Index {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Something that was there when it was looked up is gone or damaged since.
    #[error("{0} is gone or damaged; run again, and it is made anew")]
    Lost(String),
}

impl From<StoreError> for StageError {
    fn from(error: StoreError) -> Self {
        Self::World(error.to_string(), Some(Box::new(error)))
    }
}

impl StoreError {
    /// Whether the store is whole, and only may not be written.
    fn is_forbidden(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
            }
            Self::Index { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly),
            _ => false,
        }
    }
}

/// A result of the store.
pub(crate) type Kept<T> = Result<T, StoreError>;

/// Results of units that were computed in one go.
pub(crate) struct Batch {
    pub(crate) results: Vec<(Digest, Entry)>,
    /// The blobs among them.
    pub(crate) blobs: Vec<Digest>,
}

/// Where results are kept.
pub struct Store {
    pub(super) folder: PathBuf,
    index: Mutex<Connection>,
    pub(super) blobs: Blobs,
    /// `None` in a store that may only be read.
    work: Option<ProcessFolder>,
    pub(super) platform: i64,
    fingerprints: Mutex<BTreeMap<Digest, i64>>,
    warnings: Mutex<Vec<String>>,
    /// Held while the store is open to write.
    _open: Option<File>,
}

impl Store {
    /// Opens the store in `folder`, making it if it is not there; if it is there and may not be written, for reading.
    pub fn open(folder: &Path) -> Kept<Self> {
        if let Some(kind) = place::network(folder) {
            return Err(StoreError::Network { path: folder.to_owned(), kind });
        }
        match Self::open_to_write(folder, together) {
            Err(error) if error.is_forbidden() && folder.join(versioned(INDEX)).is_file() => Self::open_to_read(folder),
            opened => opened,
        }
    }

    /// Opens a store that is there for this process alone; an error, if another has it open.
    pub(super) fn open_alone(folder: &Path) -> Kept<Self> {
        if !folder.join(versioned(INDEX)).is_file() {
            let source = io::Error::new(io::ErrorKind::NotFound, "there is no store");
            return Err(StoreError::Io { path: folder.to_owned(), source });
        }
        Self::open_to_write(folder, File::try_lock)
    }

    /// Opens a store that is there for reading.
    fn open_to_read(folder: &Path) -> Kept<Self> {
        let index = tables::open_to_read(&folder.join(versioned(INDEX))).map_err(|error| of_sqlite(folder, error))?;
        Ok(Self::with(folder, index, None))
    }

    fn open_to_write(folder: &Path, take: fn(&File) -> Result<(), TryLockError>) -> Kept<Self> {
        let io = |source| StoreError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder.join(versioned(BLOBS))).map_err(io)?;
        // Neither version control nor backups should follow a cache.
        std::fs::write(folder.join(".gitignore"), "*\n").map_err(io)?;
        let tag = "Signature: 8a477f597d28d172789f06886806bc55\n";
        std::fs::write(folder.join("CACHEDIR.TAG"), tag).map_err(io)?;
        let open = File::create(folder.join(versioned(OPEN))).map_err(io)?;
        take(&open).map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { path: folder.to_owned() },
            TryLockError::Error(source) => io(source),
        })?;
        let work = ProcessFolder::make(&folder.join(versioned("tmp"))).map_err(io)?;
        let index = tables::open(&folder.join(versioned(INDEX))).map_err(|error| of_sqlite(folder, error))?;
        let mut store = Self { _open: Some(open), ..Self::with(folder, index, Some(work)) };
        store.platform = store.write(|write| {
            let name = place::platform();
            write.execute("INSERT OR IGNORE INTO platforms (name) VALUES (?1)", [&name])?;
            write.query_row("SELECT id FROM platforms WHERE name = ?1", [&name], |row| row.get(0))
        })?;
        Ok(store)
    }

    fn with(folder: &Path, index: Connection, work: Option<ProcessFolder>) -> Self {
        Self {
            folder: folder.to_owned(),
            index: Mutex::new(index),
            blobs: Blobs::at(folder.join(versioned(BLOBS))),
            work,
            platform: 0,
            fingerprints: Mutex::default(),
            warnings: Mutex::default(),
            _open: None,
        }
    }

    /// Returns this process's own folder in the store; an error, if the store may only be read.
    pub(crate) fn work(&self) -> Kept<&ProcessFolder> {
        self.work.as_ref().ok_or_else(|| StoreError::ReadOnly { path: self.folder.clone() })
    }

    /// Returns where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().expect("no holder of the lock panics"))
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.join(versioned(below))
    }

    fn index(&self) -> MutexGuard<'_, Connection> {
        self.index.lock().expect("no holder of the lock panics")
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Kept<T> {
        let mut index = self.index();
        let inner = || {
            let transaction = index.transaction()?;
            let value = read(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        let result: rusqlite::Result<T> = inner();
        result.map_err(|error| of_sqlite(&self.folder, error))
    }

    pub(super) fn write<T>(&self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Kept<T> {
        self.work()?;
        let mut index = self.index();
        let inner = || {
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        let result: rusqlite::Result<T> = inner();
        result.map_err(|error| of_sqlite(&self.folder, error))
    }

    /// Gives the disk back what the index no longer needs.
    pub(super) fn compact(&self) -> Kept<()> {
        let compacted = self.index().execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
        compacted.map_err(|error| of_sqlite(&self.folder, error))
    }

    /// Notes that something was damaged, and has been removed.
    pub(super) fn damaged(&self, what: &str) -> Kept<()> {
        tracing::warn!(what, "damaged entry removed");
        let warning = format!("{what} in the store `{}` was damaged and is computed anew", self.folder.display());
        self.warnings.lock().expect("no holder of the lock panics").push(warning);
        self.distrust_runs()
    }

    /// Looks units up by their keys; where one was found before, it is looked for first. Returns each with where it was found.
    pub(crate) fn units(&self, keys: &[(Digest, Row)]) -> Kept<Vec<Option<(Entry, Row)>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (found, damaged) = self.read(|read| {
            let mut damaged = Vec::new();
            let found = keys.iter().map(|(key, row)| match look_at(read, key, *row)? {
                Some(found) => Ok(Some(found)),
                None => look_up(read, key, &mut damaged),
            });
            Ok((found.collect::<rusqlite::Result<Vec<_>>>()?, damaged))
        })?;
        if !damaged.is_empty() {
            self.write(|write| remove_units(write, &damaged))?;
            damaged.iter().try_for_each(|_| self.damaged("the result of a unit"))?;
        }
        Ok(found)
    }

    /// Keeps results of units in one step; returns what is kept under each key:
    /// another's result if that came first. With `again`, faults that were kept give way.
    pub(crate) fn keep_units(
        &self,
        fingerprint: &Fingerprint,
        batches: Vec<Batch>,
        again: bool,
    ) -> Kept<Vec<(Entry, Row)>> {
        let fingerprint = self.fingerprint_id(fingerprint)?;
        self.write(|write| {
            let mut kept = Vec::new();
            for Batch { results, blobs } in batches {
                for (key, entry) in results {
                    if again {
                        write
                            .prepare_cached("DELETE FROM units WHERE key = ?1 AND fault = 1")?
                            .execute([key.as_bytes()])?;
                    }
                    kept.push(self.insert(write, fingerprint, &key, entry)?);
                    hold(write, &key, &blobs)?;
                }
            }
            Ok(kept)
        })
    }

    /// Keeps an entry unless a whole one is there; returns what is kept.
    pub(super) fn insert(
        &self,
        write: &Transaction<'_>,
        fingerprint: i64,
        key: &Digest,
        entry: Entry,
    ) -> rusqlite::Result<(Entry, Row)> {
        let payload = entry.encode();
        let is_fault = matches!(entry, Entry::Fault(_));
        let proof = proof(key, is_fault, &payload);
        let insert = "INSERT OR IGNORE INTO units (key, fingerprint, platform, fault, payload, proof, kept) VALUES (?1, ?2, ?3, ?4, ?5, ?6, unixepoch())";
        let values = params![key.as_bytes(), fingerprint, self.platform, is_fault, payload, proof.as_bytes()];
        if write.prepare_cached(insert)?.execute(values)? == 1 {
            return Ok((entry, Row(Some(write.last_insert_rowid()))));
        }
        let mut damaged = Vec::new();
        if let Some(other) = look_up(write, key, &mut damaged)? {
            return Ok(other);
        }
        remove_units(write, &damaged)?;
        write.prepare_cached(insert)?.execute(values)?;
        Ok((entry, Row(Some(write.last_insert_rowid()))))
    }

    /// Reads rows back.
    pub(crate) fn rows(&self, wanted: &RowsRef) -> Kept<Arc<Rows>> {
        Ok(self.rows_of(&[wanted])?.pop().expect("one was asked for"))
    }

    /// Reads the rows of several units back in one look; a look costs more than what it finds.
    pub(crate) fn rows_of(&self, wanted: &[&RowsRef]) -> Kept<Vec<Arc<Rows>>> {
        // Of what has no rows, nothing need be read.
        let parts = || wanted.iter().filter(|wanted| wanted.count > 0).flat_map(|wanted| wanted.parts.iter());
        let keys: Vec<(Digest, Row)> = parts().map(|part| (part.key, part.row)).collect();
        let found = self.units(&keys)?;
        let mut found = found.into_iter().zip(parts()).map(|(entry, part)| match entry {
            Some((Entry::Rows(mut outputs), _)) if usize::from(part.output) < outputs.len() => {
                Ok(outputs.swap_remove(part.output.into()))
            }
            _ => self.distrust_runs().and(Err(StoreError::Lost(format!("the result {}", part.key.short())))),
        });
        let parts = |wanted: &RowsRef| if wanted.count > 0 { wanted.parts.len() } else { 0 };
        wanted.iter().map(|wanted| joined(found.by_ref().take(parts(wanted)))).collect()
    }

    /// Reads the rows of units back, one unit after the other, some in one look. Ends with the first error.
    pub(crate) fn rows_in_order<'s>(&'s self, units: &'s [UnitRef]) -> impl Iterator<Item = Kept<Arc<Rows>>> + 's {
        units.chunks(UNITS_A_LOOK).flat_map(|units| {
            let wanted: Vec<&RowsRef> = units.iter().map(|unit| &unit.rows).collect();
            match self.rows_of(&wanted) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        })
    }

    pub(super) fn fingerprint_id(&self, fingerprint: &Fingerprint) -> Kept<i64> {
        let mut known = self.fingerprints.lock().expect("no holder of the lock panics");
        if let Some(id) = known.get(&fingerprint.digest) {
            return Ok(*id);
        }
        let kind = fingerprint.ingredients.get("kind").and_then(Value::as_str).unwrap_or_default();
        let id = self.write(|write| {
            let insert = "INSERT OR IGNORE INTO fingerprints (digest, kind, ingredients) VALUES (?1, ?2, ?3)";
            let digest = fingerprint.digest.as_bytes();
            write.execute(insert, params![digest, kind, canonical(&fingerprint.ingredients)])?;
            write.query_row("SELECT id FROM fingerprints WHERE digest = ?1", [digest], |row| row.get(0))
        })?;
        known.insert(fingerprint.digest, id);
        Ok(id)
    }
}

/// Takes a store's lock together with others; waits for whoever has it alone, as pruning does.
fn together(lock: &File) -> Result<(), TryLockError> {
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("the store is being pruned; waiting for that");
            lock.lock_shared().map_err(TryLockError::Error)
        }
        taken => taken,
    }
}

fn versioned(below: &str) -> String {
    format!("v{KEY_SCHEMA}/{below}")
}

/// Joins the parts of a unit's rows.
fn joined(mut parts: impl Iterator<Item = Kept<Arc<Rows>>>) -> Kept<Arc<Rows>> {
    let Some(first) = parts.next().transpose()? else { return Ok(Arc::default()) };
    let Some(second) = parts.next().transpose()? else { return Ok(first) };
    let mut rows = [&*first, &*second].into_iter().flatten().cloned().collect::<Rows>();
    for more in parts {
        rows.extend(more?.iter().cloned());
    }
    Ok(Arc::new(rows))
}

fn remove_units(write: &Transaction<'_>, ids: &[i64]) -> rusqlite::Result<()> {
    ids.iter().try_for_each(|id| write.execute("DELETE FROM units WHERE id = ?1", [id]).map(|_| ()))
}

/// Looks for a unit where it was found before; by now another may lie there, or nothing.
fn look_at(read: &Transaction<'_>, key: &Digest, row: Row) -> rusqlite::Result<Option<(Entry, Row)>> {
    let Some(id) = row.0 else { return Ok(None) };
    let mut select = read.prepare_cached("SELECT fault, payload, proof FROM units WHERE id = ?1")?;
    let mut rows = select.query([id])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(entry_of(found, key)?.map(|entry| (entry, row)))
}

fn look_up(read: &Transaction<'_>, key: &Digest, damaged: &mut Vec<i64>) -> rusqlite::Result<Option<(Entry, Row)>> {
    let mut select = read.prepare_cached("SELECT fault, payload, proof, id FROM units WHERE key = ?1")?;
    let mut rows = select.query([key.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let (entry, id) = (entry_of(found, key)?, found.get(3)?);
    if entry.is_none() {
        damaged.push(id);
    }
    Ok(entry.map(|entry| (entry, Row(Some(id)))))
}

/// Reads an entry out of `fault, payload, proof`; `None` if it is not what was kept under this key.
fn entry_of(found: &rusqlite::Row<'_>, key: &Digest) -> rusqlite::Result<Option<Entry>> {
    let (is_fault, payload) = (found.get::<_, bool>(0)?, found.get_ref(1)?.as_blob()?);
    let is_whole = proof(key, is_fault, payload).as_bytes().as_slice() == found.get_ref(2)?.as_blob()?;
    Ok(if is_whole { Entry::decode(payload, is_fault) } else { None })
}

pub(super) fn hold(write: &Transaction<'_>, owner: &Digest, blobs: &[Digest]) -> rusqlite::Result<()> {
    if blobs.is_empty() {
        return Ok(());
    }
    let mut insert = write.prepare_cached("INSERT OR IGNORE INTO holds (owner, blob) VALUES (?1, ?2)")?;
    blobs.iter().try_for_each(|blob| insert.execute([owner.as_bytes(), blob.as_bytes()]).map(|_| ()))
}

/// Returns what a payload must match when it is read.
pub(super) fn proof(key: &Digest, is_fault: bool, payload: &[u8]) -> Digest {
    Digest::of_parts([key.as_bytes().as_slice(), &[u8::from(is_fault)], payload])
}

fn of_sqlite(folder: &Path, source: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    let path = folder.to_owned();
    match source.sqlite_error_code() {
        Some(DiskFull) => StoreError::Full { path },
        Some(DatabaseCorrupt | NotADatabase) => StoreError::Broken { path, source },
        _ => StoreError::Index { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_may_only_be_read_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a store? 100 %#1");
        let digest = Store::open(&folder).unwrap().put_blob(b"content").unwrap();
        let store = Store::open_to_read(&folder).unwrap();
        assert_eq!(store.blob(&digest).unwrap().unwrap(), b"content");
        assert!(store.runs(None, 1).unwrap().is_empty());
        assert!(matches!(store.put_blob(b"more"), Err(StoreError::ReadOnly { .. })));
        assert!(matches!(store.distrust_runs(), Err(StoreError::ReadOnly { .. })));
        let forbidden =
            |kind: io::ErrorKind| StoreError::Io { path: folder.clone(), source: kind.into() }.is_forbidden();
        assert!(forbidden(io::ErrorKind::ReadOnlyFilesystem) && !forbidden(io::ErrorKind::NotFound));
    }
}
