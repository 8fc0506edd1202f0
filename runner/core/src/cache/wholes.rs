//! Results that are more than rows: outputs of whole stages, and blobs. An entry is a hit only if everything it names is there;
//! when a blob turns out damaged, what it belonged to becomes a miss.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::blobs::Found;
use super::kept::{Artifact, Entry, Whole};
use super::key::Fingerprint;
use super::store::{Kept, Store, StoreError, hold, proof};
use crate::artifact::Rows;
use crate::digest::Digest;

impl Store {
    /// Looks a whole stage's outputs up; a hit only if everything they name is there.
    pub(crate) fn whole(&self, key: &Digest) -> Kept<Option<Whole>> {
        let row = self.read(|read| {
            let select = "SELECT outputs, proof FROM wholes WHERE key = ?1";
            let row = read
                .query_row(select, [key.as_bytes()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
            row.optional()
        })?;
        let Some((kept, found)) = row else { return Ok(None) };
        let is_whole = proof(key, false, &kept).as_bytes().as_slice() == found;
        let whole = Whole::decode(&kept).filter(|_| is_whole);
        match whole.map(|whole| self.all_there(key, whole)).transpose()?.flatten() {
            Some(whole) => Ok(Some(whole)),
            None => {
                self.write(|write| write.execute("DELETE FROM wholes WHERE key = ?1", [key.as_bytes()]))?;
                self.damaged("the result of a stage")?;
                Ok(None)
            }
        }
    }

    /// Returns what is kept with where its rows lie, if all of it is there.
    fn all_there(&self, key: &Digest, mut whole: Whole) -> Kept<Option<Whole>> {
        let files_are = whole.outputs.iter().all(|output| match output {
            Artifact::Files(files) => files.files.values().all(|file| self.blobs.has(&file.digest, Some(file.bytes))),
            Artifact::Rows(_) => true,
        });
        let (rows_are, held) = self.read(|read| {
            let mut there = read.prepare_cached("SELECT id FROM units WHERE key = ?1")?;
            let rows_are = whole.locate(|key| there.query_row([key.as_bytes()], |row| row.get(0)).optional())?;
            let mut held = read.prepare_cached("SELECT blob FROM holds WHERE owner = ?1")?;
            let held = held.query_map([key.as_bytes()], |row| row.get::<_, [u8; 32]>(0))?;
            Ok((rows_are, held.collect::<rusqlite::Result<Vec<_>>>()?))
        })?;
        let is_all = files_are && rows_are && held.iter().all(|blob| self.blobs.has(&Digest::from_bytes(*blob), None));
        Ok(is_all.then_some(whole))
    }

    /// Keeps a whole stage's result in one step: `rows` under the key of their content, then what names them. Returns what is
    /// kept: another's result if that came first. With `again`, what was kept gives way.
    pub(crate) fn keep_whole(
        &self,
        fingerprint: &Fingerprint,
        key: &Digest,
        mut whole: Whole,
        rows: &[Arc<Rows>],
        blobs: &[Digest],
        again: bool,
    ) -> Kept<Whole> {
        let fingerprint = self.fingerprint_id(fingerprint)?;
        let encoded = whole.encode();
        let first = self.write(|write| {
            let mut rows = rows.iter();
            whole.locate(|key| {
                let rows = rows.next().expect("there are rows for every part");
                let (_, row) = self.insert(write, fingerprint, key, Entry::Rows(vec![rows.clone()]))?;
                Ok::<_, rusqlite::Error>(row.0)
            })?;
            hold(write, key, blobs)?;
            if again {
                write.execute("DELETE FROM wholes WHERE key = ?1", [key.as_bytes()])?;
            }
            let insert =
                "INSERT OR IGNORE INTO wholes (key, fingerprint, platform, outputs, proof, kept) VALUES (?1, ?2, ?3, ?4, ?5, unixepoch())";
            let proof = proof(key, false, &encoded);
            write.execute(insert, params![key.as_bytes(), fingerprint, self.platform, encoded, proof.as_bytes()])
        })?;
        let other = if first == 1 { None } else { self.whole(key)? };
        Ok(other.unwrap_or(whole))
    }

    /// Keeps content.
    pub(crate) fn put_blob(&self, bytes: &[u8]) -> Kept<Digest> {
        self.blobs.put(bytes, self.work()?).map_err(|source| self.of_io(source))
    }

    /// Keeps a file's content.
    pub(crate) fn put_file(&self, path: &Path) -> Kept<(Digest, u64)> {
        self.blobs.put_file(path, self.work()?).map_err(|source| self.of_io(source))
    }

    /// Returns content by digest. What kept it, and is no longer whole without it, becomes a miss.
    pub(crate) fn blob(&self, digest: &Digest) -> Kept<Option<Vec<u8>>> {
        match self.blobs.get(digest).map_err(|source| self.of_io(source))? {
            Found::Whole(bytes) => Ok(Some(bytes)),
            Found::Missing => {
                if self.forget_owners(digest)? > 0 {
                    self.damaged("a file")?;
                }
                Ok(None)
            }
            Found::Damaged => {
                self.forget_owners(digest)?;
                self.damaged("a file")?;
                Ok(None)
            }
        }
    }

    fn forget_owners(&self, blob: &Digest) -> Kept<usize> {
        // Most blobs that are missing are the user's files, which nobody owns; they are not worth the lock.
        let is_owned =
            self.read(|read| read.prepare_cached("SELECT 1 FROM holds WHERE blob = ?1")?.exists([blob.as_bytes()]))?;
        if !is_owned {
            return Ok(0);
        }
        self.write(|write| {
            // Another may have kept it since it was found missing.
            if self.blobs.has(blob, None) {
                return Ok(0);
            }
            let owners = "(SELECT owner FROM holds WHERE blob = ?1)";
            let units = write.execute(&format!("DELETE FROM units WHERE key IN {owners}"), [blob.as_bytes()])?;
            let wholes = write.execute(&format!("DELETE FROM wholes WHERE key IN {owners}"), [blob.as_bytes()])?;
            Ok(units + wholes)
        })
    }

    /// Whether content of this size is there.
    pub(crate) fn has_blob(&self, digest: &Digest, bytes: u64) -> bool {
        self.blobs.has(digest, Some(bytes))
    }

    /// Returns where a blob lies.
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.path(digest)
    }

    pub(super) fn of_io(&self, source: std::io::Error) -> StoreError {
        match source.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full { path: self.folder.clone() },
            _ => StoreError::Io { path: self.folder.clone(), source },
        }
    }
}
