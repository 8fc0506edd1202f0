//! What flows between nodes while a run is planned or done: artifacts, and what is still open in them. In a run nothing is open;
//! a plan does not compute, so that what hangs on a miss stays open.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::artifact::{FileSet, Rows, rows_digest};
use crate::cache::kept::{Artifact, Part, RowsRef, UnitRef};
use crate::cache::store::{Store, StoreError};
use crate::digest::Digest;

/// What one output of a node gives.
#[derive(Debug, Clone)]
pub(crate) enum Flow {
    /// Rows: the units that are known, and those that are not.
    Rows { known: Arc<Vec<UnitRef>>, open: Arc<Open> },
    /// Files; in a plan, whoever they wait for.
    Files(Result<Arc<FileSet>, After>),
}

/// The stage a plan would have to run to say more.
pub(crate) type After = Arc<str>;

/// What is not known of an output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    /// Records whose rows are not known.
    pub(crate) ids: BTreeSet<Arc<str>>,
    /// Whether there may be records nothing is known of.
    pub(crate) more: bool,
    /// The stage that decides, if anything is open.
    pub(crate) after: Option<After>,
}

impl Open {
    /// Whether a record's rows may yet come.
    pub(crate) fn may_bring(&self, id: &str) -> bool {
        self.more || self.ids.contains(id)
    }

    /// Returns how many units are open, as far as they can be counted.
    pub(crate) fn units(&self) -> u64 {
        self.ids.len() as u64 + u64::from(self.more)
    }

    /// Leaves a record open.
    pub(crate) fn leave(&mut self, id: &Arc<str>, after: &After) {
        self.ids.insert(id.clone());
        self.after.get_or_insert_with(|| after.clone());
    }
}

impl Flow {
    /// Returns what is known, as it is kept; `None` for files that are not.
    pub(crate) fn artifact(&self) -> Option<Artifact> {
        match self {
            Self::Rows { known, .. } => Some(Artifact::Rows(known.clone())),
            Self::Files(files) => files.as_ref().ok().cloned().map(Artifact::Files),
        }
    }

    /// Returns the stage that decides what is open.
    pub(crate) fn after(&self) -> Option<&After> {
        match self {
            Self::Rows { open, .. } => open.after.as_ref(),
            Self::Files(files) => files.as_ref().err(),
        }
    }
}

impl From<Artifact> for Flow {
    fn from(artifact: Artifact) -> Self {
        match artifact {
            Artifact::Rows(known) => Self::Rows { known, open: Arc::default() },
            Artifact::Files(files) => Self::Files(Ok(files)),
        }
    }
}

/// Rows of one unit: where they are kept, and the rows themselves while they are at hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) at: RowsRef,
    content: Option<Arc<Rows>>,
}

impl Held {
    /// Rows that have to be read back.
    pub(crate) fn away(at: RowsRef) -> Self {
        Self { at, content: None }
    }

    /// No rows, kept nowhere.
    pub(crate) fn none() -> Self {
        let at = RowsRef { digest: rows_digest(&[]), count: 0, parts: Arc::new([]) };
        Self { at, content: Some(Arc::default()) }
    }

    /// Rows kept as an output of an entry.
    pub(crate) fn part(part: Part, rows: Arc<Rows>) -> Self {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let at = RowsRef { digest: rows_digest(&rows), count, parts: Arc::new([part]) };
        Self { at, content: Some(rows) }
    }

    /// Returns the rows.
    pub(crate) fn rows(&self, store: &Store) -> Result<Arc<Rows>, StoreError> {
        self.content.clone().map_or_else(|| store.rows(&self.at), Ok)
    }

    /// Returns the rows of several; those that have to be read back are read in one look.
    pub(crate) fn rows_of(several: &[&Self], store: &Store) -> Result<Vec<Arc<Rows>>, StoreError> {
        let away: Vec<&RowsRef> = several.iter().filter(|held| held.content.is_none()).map(|held| &held.at).collect();
        let mut back = store.rows_of(&away)?.into_iter();
        let rows = |held: &&Self| held.content.clone().or_else(|| back.next());
        Ok(several.iter().map(rows).map(|rows| rows.expect("what is away was read")).collect())
    }

    /// Joins the rows of several parts.
    pub(crate) fn joined(parts: &[Self], store: &Store) -> Result<RowsRef, StoreError> {
        if let [only] = parts {
            return Ok(only.at.clone());
        }
        let mut rows = Vec::new();
        for part in parts {
            rows.extend(part.rows(store)?.iter().cloned());
        }
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let parts = parts.iter().flat_map(|part| part.at.parts.iter().copied()).collect();
        Ok(RowsRef { digest: rows_digest(&rows), count, parts })
    }
}

/// What comes in through one wire of a unit.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Rows(Held),
    /// Files, with their digest.
    Files(Arc<FileSet>, Digest),
}

/// A unit of work, asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) id: Arc<str>,
    pub(crate) step: u32,
    /// In the order of the stage's wires.
    pub(crate) inputs: Vec<Given>,
}

/// What a unit answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The rows of every output.
    Rows(Vec<Held>),
    /// Nothing: the unit is set aside.
    Aside,
    /// Not known without computing it.
    Open,
}
