//! The tables of the index, and how it is opened: SQLite in write-ahead mode, so that several processes read and write at once.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

/// How long one process waits for another's write.
const BUSY_WAIT: Duration = Duration::from_secs(60);

/// Big texts stay in tables with row numbers, where they are appended; keys have an index of their own. `kept` is when, in seconds
/// since 1970: for pruning only. A store of before has it added.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS platforms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS fingerprints (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, ingredients TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS fingerprints_by_kind ON fingerprints (kind);
CREATE TABLE IF NOT EXISTS units (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, fingerprint INTEGER NOT NULL, platform INTEGER NOT NULL,
    fault INTEGER NOT NULL, payload BLOB NOT NULL, proof BLOB NOT NULL, kept INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS units_by_key ON units (key);
CREATE TABLE IF NOT EXISTS wholes (
    key BLOB PRIMARY KEY, fingerprint INTEGER NOT NULL, platform INTEGER NOT NULL,
    outputs BLOB NOT NULL, proof BLOB NOT NULL, kept INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS holds (owner BLOB NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (owner, blob)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_by_blob ON holds (blob);
CREATE TABLE IF NOT EXISTS memos (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, proof BLOB NOT NULL, kept INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, bytes INTEGER NOT NULL, modified BLOB NOT NULL, changed BLOB NOT NULL,
    inode INTEGER NOT NULL, device INTEGER NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, workflow TEXT NOT NULL, digest BLOB NOT NULL, started INTEGER NOT NULL,
    record TEXT NOT NULL, report TEXT);
CREATE INDEX IF NOT EXISTS runs_by_workflow ON runs (workflow, id);
CREATE INDEX IF NOT EXISTS runs_by_digest ON runs (digest, id);
";

/// Opens the index where nothing may be written, not even the file by which readers and writers lock each other out. Where a
/// write-ahead file is, that file is there too; where none is, nobody writes.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if path.with_extension("db-wal").exists() {
        return Connection::open_with_flags(path, flags);
    }
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
}

/// Opens the index, making it if it is not there.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut index = Connection::open_with_flags(path, flags)?;
    index.busy_timeout(BUSY_WAIT)?;
    // Switching to write-ahead mode wants the file for itself, and does not wait for it.
    let mut tries = 0;
    while let Err(error) = index.pragma_update(None, "journal_mode", "WAL") {
        tries += 1;
        if tries > 200 || error.sqlite_error_code() != Some(rusqlite::ErrorCode::DatabaseBusy) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    index.pragma_update(None, "synchronous", "NORMAL")?;
    index.pragma_update(None, "cache_size", -32 * 1024)?;
    // Keys are spread over all pages of their index, so that a page is written again and again: copied and synced rarely, it is
    // copied once for many writes. The write-ahead file may grow to as many pages, 32 MiB.
    index.pragma_update(None, "wal_autocheckpoint", 8192)?;
    index.set_prepared_statement_cache_capacity(64);
    let making = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    making.execute_batch(TABLES)?;
    for table in ["units", "wholes", "memos"] {
        if !making.column_exists(None, table, "kept")? {
            making.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN kept INTEGER NOT NULL DEFAULT 0"))?;
        }
    }
    making.commit()?;
    Ok(index)
}
