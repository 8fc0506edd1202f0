//! Checking everything a store keeps, and telling how much that is. What is damaged is removed, so that it is computed anew.

use super::blobs;
use super::kept::{Entry, Whole};
use super::store::{Kept, Store, StoreError, proof};
use crate::digest::Digest;

/// Entries read in one go.
const BATCH: i64 = 1000;

/// What a check of everything kept has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries that are what was written.
    pub entries: u64,
    /// Entries that were not, and have been removed.
    pub entries_damaged: u64,
    /// Blobs that are what their name says.
    pub blobs: u64,
    /// Blobs that were not, and have been removed.
    pub blobs_damaged: u64,
}

/// How much a store keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Results of units, and rows of whole stages.
    pub units: u64,
    /// Results of whole stages.
    pub wholes: u64,
    /// Memos of stages.
    pub memos: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of the blobs.
    pub blob_bytes: u64,
}

impl Store {
    /// Checks every entry and every blob; removes what is damaged.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        for (table, value) in [("units", "payload"), ("wholes", "outputs"), ("memos", "value")] {
            let (whole, damaged) = self.verify_table(table, value)?;
            verified.entries += whole;
            verified.entries_damaged += damaged;
        }
        for (digest, _) in self.blobs.list().map_err(|source| self.of_io(source))? {
            let found =
                std::fs::File::open(self.blobs.path(&digest)).and_then(|file| blobs::digest_of(file, |_| Ok(())));
            match found {
                Ok((found, _)) if found == digest => verified.blobs += 1,
                _ => {
                    // Reading it removes it, and with it whatever is not whole without it.
                    self.blob(&digest)?;
                    verified.blobs_damaged += 1;
                }
            }
        }
        if verified.entries_damaged > 0 {
            self.distrust_runs()?;
        }
        Ok(verified)
    }

    fn verify_table(&self, table: &str, value: &str) -> Kept<(u64, u64)> {
        let is_fault = if table == "units" { "fault" } else { "0" };
        let select = format!(
            "SELECT rowid, key, {value}, proof, {is_fault} FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT {BATCH}"
        );
        let (mut last, mut whole, mut damaged) = (i64::MIN, 0, Vec::new());
        loop {
            let before = last;
            self.read(|read| {
                let mut select = read.prepare_cached(&select)?;
                let mut rows = select.query([last])?;
                while let Some(row) = rows.next()? {
                    last = row.get(0)?;
                    let value: Vec<u8> = row.get(2)?;
                    if is_entry(table, row.get_ref(1)?.as_blob()?, row.get(4)?, &value, row.get_ref(3)?.as_blob()?) {
                        whole += 1;
                    } else {
                        damaged.push(last);
                    }
                }
                Ok(())
            })?;
            if last == before {
                break;
            }
        }
        let delete = format!("DELETE FROM {table} WHERE rowid = ?1");
        self.write(|write| damaged.iter().try_for_each(|id| write.execute(&delete, [id]).map(|_| ())))?;
        Ok((whole, damaged.len() as u64))
    }

    /// Returns how much is kept.
    pub fn size(&self) -> Result<Size, StoreError> {
        let count = |table: &str| -> Kept<u64> {
            let select = format!("SELECT count(*) FROM {table}");
            self.read(|read| read.query_row(&select, [], |row| row.get::<_, i64>(0))).map(i64::cast_unsigned)
        };
        let blobs = self.blobs.list().map_err(|source| self.of_io(source))?;
        let file_bytes = |name: &str| std::fs::metadata(self.path(name)).map_or(0, |file| file.len());
        Ok(Size {
            units: count("units")?,
            wholes: count("wholes")?,
            memos: count("memos")?,
            index_bytes: file_bytes("index.db") + file_bytes("index.db-wal"),
            blobs: blobs.len() as u64,
            blob_bytes: blobs.iter().map(|(_, bytes)| bytes).sum(),
        })
    }
}

fn is_entry(table: &str, key: &[u8], is_fault: bool, value: &[u8], found: &[u8]) -> bool {
    let Ok(key) = key.try_into().map(Digest::from_bytes) else { return false };
    let decodes = match table {
        "units" => Entry::decode(value, is_fault).is_some(),
        "wholes" => Whole::decode(value).is_some(),
        _ => true,
    };
    decodes && proof(&key, is_fault, value).as_bytes().as_slice() == found
}
