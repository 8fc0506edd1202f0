//! What a store keeps, stage by stage: as many lines as stages were set up in different ways.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Store, StoreError};
use crate::digest::Digest;

/// What is kept of a stage that was set up in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The digest of everything it was set up with.
    pub fingerprint: Digest,
    /// Its kind.
    pub kind: String,
    /// Workflows in whose runs it came, each with its id there; none if no such run came to its end.
    pub stages: BTreeSet<(String, String)>,
    /// Its results: one a unit, or one for everything at once.
    pub results: u64,
    /// Their bytes with those of their files; a file two stages share counts for both.
    pub bytes: u64,
    /// When any was used last: kept, or found by a run that came to its end. Seconds since 1970.
    pub used: u64,
}

impl Store {
    /// Lists what is kept, what was used last first.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut stages: BTreeMap<Digest, BTreeSet<(String, String)>> = BTreeMap::new();
        for run in self.runs(None, u32::MAX)? {
            for stage in run.stages {
                if let Some(fingerprint) = stage.fingerprint {
                    stages.entry(fingerprint).or_default().insert((run.workflow.clone(), stage.id));
                }
            }
        }
        let stock = self.stock()?;
        let mut listed: BTreeMap<i64, Listed> = BTreeMap::new();
        for (row, fingerprint, kind) in self.kept_fingerprints()? {
            let stages = stages.get(&fingerprint).cloned().unwrap_or_default();
            listed.insert(row, Listed { fingerprint, kind, stages, results: 0, bytes: 0, used: 0 });
        }
        let mut blobs: BTreeMap<i64, BTreeSet<Digest>> = BTreeMap::new();
        for entry in &stock.entries {
            let Some(row) = entry.fingerprint else { continue };
            let Some(listed) = listed.get_mut(&row) else { continue };
            listed.results += 1;
            listed.bytes += entry.bytes;
            listed.used = listed.used.max(entry.used);
            blobs.entry(row).or_default().extend(&entry.blobs);
        }
        for (row, listed) in &mut listed {
            let files = blobs.get(row).into_iter().flatten().filter_map(|blob| stock.blobs.get(blob));
            listed.bytes += files.sum::<u64>();
        }
        let mut listed: Vec<Listed> = listed.into_values().filter(|listed| listed.results > 0).collect();
        listed.sort_by(|a, b| (b.used, &a.stages, a.fingerprint).cmp(&(a.used, &b.stages, b.fingerprint)));
        Ok(listed)
    }
}
