//! What flows along an edge: rows (JSON records grouped by unit) or files (named blobs), each of a declared kind.
//! The core never looks into a row beyond its `id` and whether it ends a loop; what the fields mean is `sentinel-domain`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The name of an artifact kind, for example `descriptions`, `pairs`, `adapter`.
pub type KindName = &'static str;

/// Whether an artifact is rows or files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// JSON objects, grouped by the unit they belong to.
    Rows,
    /// Named files, for example an adapter directory or a converted data set. Always whole.
    Files,
}

/// What the core must know of a kind. Listed once, in `sentinel_domain::KINDS`.
pub struct KindInfo {
    /// The name used in slots and diagnostics.
    pub name: KindName,
    /// Rows or files.
    pub form: Form,
    /// One sentence for `list` and the docs.
    pub summary: &'static str,
    /// The JSON Schema of one row; `None` for files.
    pub schema: Option<fn() -> schemars::Schema>,
    /// Says of a row whether it leaves the loop; `None` for kinds that no loop can carry.
    pub ends_loop: Option<fn(&str) -> bool>,
}

/// The rows of one slot of one unit: JSON objects, one a string, without line breaks.
pub type Rows = Vec<Box<str>>;

/// Named files by content, in name order: an adapter, a checkpoint, a converted data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileSet {
    /// Relative path with `/` separators → content.
    pub files: BTreeMap<String, FileEntry>,
}

/// One file of a [`FileSet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileEntry {
    /// The content.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
}

impl FileSet {
    /// Returns the digest of names and contents.
    pub fn digest(&self) -> Digest {
        let parts: Vec<Vec<u8>> = self
            .files
            .iter()
            .flat_map(|(name, file)| [name.clone().into_bytes(), file.digest.as_bytes().to_vec()])
            .collect();
        Digest::of_parts(parts.iter().map(Vec::as_slice))
    }
}

/// Returns the digest of some rows, in order.
pub fn rows_digest(rows: &[Box<str>]) -> Digest {
    Digest::of_parts(rows.iter().map(|row| row.as_bytes()))
}
