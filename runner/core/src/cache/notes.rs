//! What the store remembers beside results: a stage's own memos, ingredients of fingerprints, digests of the user's files, and the
//! records of runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::files::Signature;
use super::key::Fingerprint;
use super::place;
use super::store::{Kept, Store, StoreError, proof};
use crate::digest::Digest;
use crate::report::record::RunRecord;

impl Store {
    /// Returns the ingredients of every fingerprint of a stage kind under which something was kept, latest first.
    pub(crate) fn fingerprints(&self, kind: &str) -> Kept<Vec<Fingerprint>> {
        self.read(|read| {
            let select = "SELECT digest, ingredients FROM fingerprints WHERE kind = ?1 ORDER BY id DESC";
            let mut select = read.prepare_cached(select)?;
            let found = select.query_map([kind], |row| {
                let ingredients = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
                Ok(Fingerprint { digest: Digest::from_bytes(row.get(0)?), ingredients })
            })?;
            found.collect()
        })
    }

    /// Returns the ingredients of one fingerprint, if anything is kept under it.
    pub(crate) fn ingredients(&self, fingerprint: &Digest) -> Kept<Option<Value>> {
        let select = "SELECT ingredients FROM fingerprints WHERE digest = ?1";
        let text = self
            .read(|read| read.query_row(select, [fingerprint.as_bytes()], |row| row.get::<_, String>(0)).optional())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Returns every fingerprint with its row and the kind of stage.
    pub(super) fn kept_fingerprints(&self) -> Kept<Vec<(i64, Digest, String)>> {
        self.read(|read| {
            let mut select = read.prepare_cached("SELECT id, digest, kind FROM fingerprints")?;
            let found = select.query_map([], |row| Ok((row.get(0)?, Digest::from_bytes(row.get(1)?), row.get(2)?)))?;
            found.collect()
        })
    }

    /// Returns the machine on which what is kept under a key was computed.
    pub(crate) fn made_on(&self, key: &Digest) -> Kept<Option<String>> {
        let of = |table| format!("SELECT name FROM {table} JOIN platforms ON platforms.id = platform WHERE key = ?1");
        let select = format!("{} UNION {}", of("units"), of("wholes"));
        self.read(|read| read.query_row(&select, [key.as_bytes()], |row| row.get(0)).optional())
    }

    /// Returns the name of this machine, as far as it can change bits.
    pub(crate) fn this_platform() -> String {
        place::platform()
    }

    /// Returns what was kept under a key of a stage's own making.
    pub(crate) fn memo(&self, key: &Digest) -> Kept<Option<Vec<u8>>> {
        let found = self.read(|read| {
            let mut select = read.prepare_cached("SELECT value, proof FROM memos WHERE key = ?1")?;
            let row =
                select.query_row([key.as_bytes()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
            row.optional()
        })?;
        match found {
            Some((value, found)) if proof(key, false, &value).as_bytes().as_slice() == found => Ok(Some(value)),
            Some(_) => {
                self.write(|write| write.execute("DELETE FROM memos WHERE key = ?1", [key.as_bytes()]))?;
                self.damaged("a memo")?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Keeps a value under a key of a stage's own making; returns what is kept.
    pub(crate) fn keep_memo(&self, key: &Digest, value: Vec<u8>) -> Kept<Vec<u8>> {
        let first = self.write(|write| {
            let insert = "INSERT OR IGNORE INTO memos (key, value, proof, kept) VALUES (?1, ?2, ?3, unixepoch())";
            let proof = proof(key, false, &value);
            write.prepare_cached(insert)?.execute(params![key.as_bytes(), value, proof.as_bytes()])
        })?;
        let other = if first == 1 { None } else { self.memo(key)? };
        Ok(other.unwrap_or(value))
    }

    pub(crate) fn remembered_file(&self, path: &Path) -> Kept<Option<(Signature, Digest)>> {
        self.read(|read| remembered(read, path))
    }

    /// Returns what is remembered of some files, without those it knows nothing of.
    pub(crate) fn remembered_files(&self, paths: &[PathBuf]) -> Kept<Vec<(PathBuf, (Signature, Digest))>> {
        self.read(|read| {
            let found = paths.iter().map(|path| Ok(remembered(read, path)?.map(|found| (path.clone(), found))));
            found.filter_map(Result::transpose).collect()
        })
    }

    /// Returns where content was when it was digested.
    pub(crate) fn remembered_sources(&self) -> Kept<BTreeMap<Digest, PathBuf>> {
        self.read(|read| {
            let mut select = read.prepare_cached("SELECT digest, path FROM files")?;
            let found = select.query_map([], |row| {
                let path = OsString::from_vec(row.get(1)?);
                Ok((Digest::from_bytes(row.get(0)?), PathBuf::from(path)))
            })?;
            found.collect()
        })
    }

    pub(crate) fn remember_files(&self, files: &[(PathBuf, Signature, Digest)]) -> Kept<()> {
        if files.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let replace = "INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut replace = write.prepare_cached(replace)?;
            for (path, signature, digest) in files {
                replace.execute(params![
                    path.as_os_str().as_encoded_bytes(),
                    signature.bytes.cast_signed(),
                    signature.modified_ns.to_le_bytes(),
                    signature.changed_ns.to_le_bytes(),
                    signature.inode.cast_signed(),
                    signature.device.cast_signed(),
                    digest.as_bytes(),
                ])?;
            }
            Ok(())
        })
    }

    /// Keeps the record of a finished run, and what its report is rendered from.
    pub(crate) fn keep_run(&self, record: &RunRecord, report: &str) -> Kept<()> {
        let text = serde_json::to_string(record).expect("a record is JSON");
        let insert = "INSERT INTO runs (workflow, digest, started, record, report) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![record.workflow, record.digest.as_bytes(), record.started.cast_signed(), text, report];
        self.write(|write| write.execute(insert, values).map(|_| ()))
    }

    /// Takes from every run its report, without which nobody takes its word that all is there: the next run looks for itself.
    pub(super) fn distrust_runs(&self) -> Kept<()> {
        self.write(|write| write.execute("UPDATE runs SET report = NULL", []).map(|_| ()))
    }

    /// Returns the records of a workflow's runs, latest first; of all workflows without a name.
    pub fn runs(&self, workflow: Option<&str>, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        let select = "SELECT record FROM runs WHERE ?1 IS NULL OR workflow = ?1 ORDER BY id DESC LIMIT ?2";
        let texts = self.read(|read| {
            let mut select = read.prepare_cached(select)?;
            let texts = select.query_map(params![workflow, most], |row| row.get::<_, String>(0))?;
            texts.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        // A record of another version of the program is no longer read; its results are.
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Returns the record of the latest run with this digest, if its word can be taken that all it names is there.
    pub(crate) fn run_of(&self, workflow: &str, digest: &Digest) -> Kept<Option<RunRecord>> {
        let text = self.read(|read| {
            let select = "SELECT record FROM runs WHERE digest = ?1 AND workflow = ?2 AND report IS NOT NULL ORDER BY id DESC LIMIT 1";
            read.query_row(select, params![digest.as_bytes(), workflow], |row| row.get::<_, String>(0)).optional()
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Returns what the report of the latest run with this digest is rendered from.
    pub(crate) fn report(&self, workflow: &str, digest: &Digest) -> Kept<Option<String>> {
        let report = self.read(|read| {
            let select = "SELECT report FROM runs WHERE digest = ?1 AND workflow = ?2 ORDER BY id DESC LIMIT 1";
            read.query_row(select, params![digest.as_bytes(), workflow], |row| row.get(0)).optional()
        })?;
        Ok(report.flatten())
    }
}

fn remembered(read: &Transaction<'_>, path: &Path) -> rusqlite::Result<Option<(Signature, Digest)>> {
    let select = "SELECT bytes, modified, changed, inode, device, digest FROM files WHERE path = ?1";
    let mut select = read.prepare_cached(select)?;
    let found = select.query_row([path.as_os_str().as_encoded_bytes()], |row| {
        let signature = Signature {
            bytes: row.get::<_, i64>(0)?.cast_unsigned(),
            modified_ns: i128::from_le_bytes(row.get(1)?),
            changed_ns: i128::from_le_bytes(row.get(2)?),
            inode: row.get::<_, i64>(3)?.cast_unsigned(),
            device: row.get::<_, i64>(4)?.cast_unsigned(),
        };
        Ok((signature, Digest::from_bytes(row.get(5)?)))
    });
    found.optional()
}
