//! Making room: what was last used long ago goes, whole runs at a time. An entry is used when it is kept and by every run that came
//! to its end with it; a run is forgotten when it is as old as what goes. Nobody else may have the store open meanwhile, so that
//! nothing goes that a live run has found.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Transaction;

use super::stock::{Stock, TABLES};
use super::store::{Kept, Store, StoreError};
use crate::digest::Digest;

/// What may stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// What was used at most this long ago.
    pub older_than: Option<Duration>,
    /// So many bytes, those used last.
    pub max_bytes: Option<u64>,
}

/// What went, or would go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Results and memos.
    pub entries: u64,
    /// Records of runs.
    pub runs: u64,
    /// Files.
    pub blobs: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes that stay.
    pub bytes_left: u64,
}

/// Removes from the store in `folder` what was last used before all that may stay; removes nothing, and says what it would, if
/// `dry`. Times are seconds since 1970, by the clock.
pub fn prune(folder: &Path, room: Room, dry: bool) -> Result<Pruned, StoreError> {
    let store = Store::open_alone(folder)?;
    let stock = store.stock()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let by_age = room.older_than.map_or(0, |age| now.saturating_sub(age).as_secs());
    let by_size = room.max_bytes.map_or(0, |most| stock.oldest_within(most));
    let before = by_age.max(by_size);
    let pruned = stock.weigh(before);
    if !dry {
        store.remove(&stock, before)?;
    }
    Ok(pruned)
}

impl Stock {
    /// Returns the files that something used at this time or later is nothing without.
    fn blobs_since(&self, time: u64) -> BTreeSet<Digest> {
        let entries = self.entries.iter().filter(|entry| entry.used >= time).flat_map(|entry| &entry.blobs);
        let runs = self.runs.iter().filter(|run| run.started >= time).flat_map(|run| &run.blobs);
        entries.chain(runs).copied().collect()
    }

    /// Returns the time since when so many bytes at most were used.
    fn oldest_within(&self, most: u64) -> u64 {
        let times = self.entries.iter().map(|entry| entry.used).chain(self.runs.iter().map(|run| run.started));
        let times: Vec<u64> = times.collect::<BTreeSet<_>>().into_iter().collect();
        // The later the time, the less was used since.
        let first = times.partition_point(|time| self.weigh(*time).bytes_left > most);
        times.get(first).copied().unwrap_or(u64::MAX)
    }

    fn weigh(&self, before: u64) -> Pruned {
        let stay = self.blobs_since(before);
        let mut pruned = Pruned::default();
        let mut count = |goes: bool, counter: fn(&mut Pruned) -> &mut u64, bytes: u64| {
            if goes {
                *counter(&mut pruned) += 1;
                pruned.bytes += bytes;
            } else {
                pruned.bytes_left += bytes;
            }
        };
        for entry in &self.entries {
            count(entry.used < before, |pruned| &mut pruned.entries, entry.bytes);
        }
        for (blob, bytes) in &self.blobs {
            count(!stay.contains(blob), |pruned| &mut pruned.blobs, *bytes);
        }
        self.runs.iter().for_each(|run| count(run.started < before, |pruned| &mut pruned.runs, 0));
        pruned
    }
}

impl Store {
    fn remove(&self, stock: &Stock, before: u64) -> Kept<()> {
        self.write(|write| {
            for entry in stock.entries.iter().filter(|entry| entry.used < before) {
                let delete = format!("DELETE FROM {} WHERE rowid = ?1", TABLES[entry.table].0);
                write.prepare_cached(&delete)?.execute([entry.row])?;
                delete_by(write, "DELETE FROM holds WHERE owner = ?1", &entry.key)?;
            }
            for run in stock.runs.iter().filter(|run| run.started < before) {
                write.execute("DELETE FROM runs WHERE id = ?1", [run.row])?;
            }
            let unused = "SELECT fingerprint FROM units UNION SELECT fingerprint FROM wholes";
            write.execute(&format!("DELETE FROM fingerprints WHERE id NOT IN ({unused})"), [])?;
            Ok(())
        })?;
        let stay = stock.blobs_since(before);
        for blob in stock.blobs.keys().filter(|blob| !stay.contains(*blob)) {
            std::fs::remove_file(self.blob_path(blob)).map_err(|source| self.of_io(source))?;
        }
        // Making the index small takes as much room again; where there is none, its space is used by what comes.
        self.compact().or_else(|error| if let StoreError::Full { .. } = error { Ok(()) } else { Err(error) })
    }
}

fn delete_by(write: &Transaction<'_>, delete: &str, key: &Digest) -> rusqlite::Result<()> {
    write.prepare_cached(delete)?.execute([key.as_bytes()]).map(|_| ())
}
