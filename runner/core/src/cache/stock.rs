//! Everything a store keeps, entry by entry, and when it was used last: what room is made from, and what is listed.

use std::collections::BTreeMap;

use super::kept::{Artifact, Whole, decode_trace};
use super::store::{Kept, Store};
use crate::digest::Digest;
use crate::report::record::RunRecord;

/// Bytes an entry takes beside its content: keys, proofs, the index.
const ENTRY_BYTES: u64 = 160;
pub(super) const TABLES: [(&str, &str); 3] = [("units", "payload"), ("wholes", "outputs"), ("memos", "value")];

/// Something kept.
pub(super) struct Entry {
    pub(super) table: usize,
    pub(super) row: i64,
    pub(super) key: Digest,
    /// The row of the fingerprint it was kept under; a memo has none.
    pub(super) fingerprint: Option<i64>,
    pub(super) bytes: u64,
    /// When it was used last, in seconds since 1970.
    pub(super) used: u64,
    /// Files it is nothing without.
    pub(super) blobs: Vec<Digest>,
}

/// A run that came to its end, and the files its record names.
pub(super) struct Ended {
    pub(super) row: i64,
    pub(super) started: u64,
    pub(super) blobs: Vec<Digest>,
}

/// Everything a store keeps, and when it was used last.
pub(super) struct Stock {
    pub(super) entries: Vec<Entry>,
    pub(super) runs: Vec<Ended>,
    pub(super) blobs: BTreeMap<Digest, u64>,
}

impl Store {
    pub(super) fn stock(&self) -> Kept<Stock> {
        let blobs = self.blobs.list().map_err(|source| self.of_io(source))?.into_iter().collect();
        let (runs, used) = self.ended_runs()?;
        let mut entries = Vec::new();
        for (table, (name, value)) in TABLES.iter().enumerate() {
            let content = if *name == "wholes" { *value } else { "NULL" };
            let fingerprint = if *name == "memos" { "NULL" } else { "fingerprint" };
            let select = format!("SELECT rowid, key, length({value}), kept, {content}, {fingerprint} FROM {name}");
            self.read(|read| {
                let mut held = read.prepare("SELECT blob FROM holds WHERE owner = ?1")?;
                let mut select = read.prepare(&select)?;
                let mut rows = select.query([])?;
                while let Some(row) = rows.next()? {
                    let key = Digest::from_bytes(row.get(1)?);
                    let held = held.query_map([key.as_bytes()], |row| row.get(0).map(Digest::from_bytes))?;
                    let mut blobs = held.collect::<rusqlite::Result<Vec<Digest>>>()?;
                    let whole = row.get::<_, Option<Vec<u8>>>(4)?.and_then(|outputs| Whole::decode(&outputs));
                    blobs.extend(whole.iter().flat_map(|whole| &whole.outputs).flat_map(files));
                    let kept = row.get::<_, i64>(3)?.cast_unsigned();
                    entries.push(Entry {
                        table,
                        row: row.get(0)?,
                        bytes: row.get::<_, i64>(2)?.cast_unsigned() + ENTRY_BYTES,
                        used: used.get(&key).copied().unwrap_or_default().max(kept),
                        key,
                        fingerprint: row.get(5)?,
                        blobs,
                    });
                }
                Ok(())
            })?;
        }
        Ok(Stock { entries, runs, blobs })
    }

    /// Returns every run, and when each key was last used by one.
    fn ended_runs(&self) -> Kept<(Vec<Ended>, BTreeMap<Digest, u64>)> {
        let rows = self.read(|read| {
            let mut select = read.prepare("SELECT id, started, record FROM runs")?;
            let rows =
                select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(i64, u64, String)>>>()
        })?;
        let (mut runs, mut used) = (Vec::new(), BTreeMap::<Digest, u64>::new());
        for (row, started, record) in rows {
            let mut blobs = Vec::new();
            let mut use_key = |key: Digest| {
                let last = used.entry(key).or_default();
                *last = started.max(*last);
            };
            let record: Option<RunRecord> = serde_json::from_str(&record).ok();
            for stage in record.iter().flat_map(|record| &record.stages) {
                blobs.extend(stage.trace.into_iter().chain(stage.states));
                if let Some(trace) = stage.trace.map(|trace| self.blob(&trace)).transpose()?.flatten() {
                    decode_trace(&trace).into_iter().flatten().for_each(|unit| use_key(unit.key));
                }
                for output in &stage.outputs {
                    blobs.push(output.listing);
                    let listing = self.blob(&output.listing)?.and_then(|listing| Artifact::decode(&listing));
                    if let Some(Artifact::Rows(units)) = listing {
                        units.iter().flat_map(|unit| unit.rows.parts.iter()).for_each(|part| use_key(part.key));
                    }
                }
            }
            runs.push(Ended { row, started, blobs });
        }
        Ok((runs, used))
    }
}

fn files(output: &Artifact) -> Vec<Digest> {
    match output {
        Artifact::Files(files) => files.files.values().map(|file| file.digest).collect(),
        Artifact::Rows(_) => Vec::new(),
    }
}
