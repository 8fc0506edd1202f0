//! What flows between stages: not rows, but where rows are kept. A run thus holds a few dozen bytes a record, however long its
//! rows are, and reads rows back as stages ask for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{self, Reader, Writer};
use crate::artifact::{FileEntry, FileSet, Rows};
use crate::digest::Digest;
use crate::stage::Fault;

/// Begins what a whole stage set aside; [`Artifact`]s begin with smaller numbers.
const ASIDE: u8 = 2;

/// What is kept under a unit's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The rows of every output, in the order of the stage's outputs.
    Rows(Vec<Arc<Rows>>),
    /// The unit's own fault.
    Fault(Fault),
}

/// Rows of one unit, and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsRef {
    /// The digest of all of them, in order.
    pub digest: Digest,
    /// How many there are.
    pub count: u32,
    /// Where they are kept, part after part. A loop's output has a part for every step.
    pub parts: Arc<[Part]>,
}

/// Some rows of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The key they are kept under.
    pub key: Digest,
    /// Which output of that entry.
    pub output: u8,
    /// Where that entry lies.
    pub row: Row,
}

/// The row of the index in which an entry was found: where to look for it first, for rows lie in the order in which they were kept,
/// and keys in none. It says nothing of what is kept, so that all are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row(pub(super) Option<i64>);

impl PartialEq for Row {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Row {}

/// One unit of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRef {
    /// The root record's id.
    pub id: Arc<str>,
    /// The loop step; 0 outside loops and for what a loop collected.
    pub step: u32,
    /// Its rows.
    pub rows: RowsRef,
}

/// What flows along an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// Units in record order; in a loop's body, in (record, step) order.
    Rows(Arc<Vec<UnitRef>>),
    /// Files.
    Files(Arc<FileSet>),
}

impl Artifact {
    /// Returns the digest of its content: ids and rows, or names and contents.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Files(files) => files.digest(),
            Self::Rows(units) => {
                let parts = units.iter().flat_map(|unit| [unit.id.as_bytes(), unit.rows.digest.as_bytes().as_slice()]);
                Digest::of_parts(parts)
            }
        }
    }

    /// Returns how many records and rows it has; of files, how many files, twice.
    pub fn size(&self) -> (u64, u64) {
        match self {
            Self::Files(files) => (files.files.len() as u64, files.files.len() as u64),
            Self::Rows(units) => (units.len() as u64, units.iter().map(|unit| u64::from(unit.rows.count)).sum()),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Self::Rows(units) => {
                writer.u8(0);
                writer.length(units.len());
                units.iter().for_each(|unit| encode_unit(&mut writer, unit));
            }
            Self::Files(files) => {
                writer.u8(1);
                writer.length(files.files.len());
                for (name, FileEntry { digest, bytes }) in &files.files {
                    writer.bytes(name.as_bytes());
                    writer.digest(digest);
                    writer.bytes(&bytes.to_le_bytes());
                }
            }
        }
        writer.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let artifact = match reader.u8()? {
            0 => {
                let count = reader.length(49)?;
                let units = (0..count).map(|_| decode_unit(&mut reader)).collect::<Option<Vec<_>>>()?;
                Self::Rows(Arc::new(units))
            }
            1 => {
                let count = reader.length(48)?;
                let mut files = BTreeMap::new();
                for _ in 0..count {
                    let (name, digest) = (reader.text()?.to_owned(), reader.digest()?);
                    let bytes = u64::from_le_bytes(reader.bytes()?.try_into().ok()?);
                    files.insert(name, FileEntry { digest, bytes });
                }
                Self::Files(Arc::new(FileSet { files }))
            }
            _ => return None,
        };
        reader.done(artifact)
    }
}

/// What is kept under a whole stage's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Its outputs, in order.
    pub(crate) outputs: Vec<Artifact>,
    /// Records it set aside.
    pub(crate) aside: Vec<(Arc<str>, Fault)>,
}

impl Whole {
    /// Notes where each part of its rows lies, in order; ends at the first that lies nowhere.
    pub(super) fn locate<E>(&mut self, mut find: impl FnMut(&Digest) -> Result<Option<i64>, E>) -> Result<bool, E> {
        for output in &mut self.outputs {
            let Artifact::Rows(units) = output else { continue };
            for unit in Arc::make_mut(units) {
                let mut parts = unit.rows.parts.to_vec();
                for part in &mut parts {
                    part.row = Row(find(&part.key)?);
                    if part.row.0.is_none() {
                        return Ok(false);
                    }
                }
                unit.rows.parts = parts.into();
            }
        }
        Ok(true)
    }

    /// Writes the outputs, and what was set aside, if anything was, as one item more.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut items: Vec<Vec<u8>> = self.outputs.iter().map(Artifact::encode).collect();
        if !self.aside.is_empty() {
            let mut writer = Writer::default();
            writer.u8(ASIDE);
            writer.length(self.aside.len());
            for (id, Fault { reason, detail }) in &self.aside {
                [id, reason.as_str(), detail].iter().for_each(|text| writer.bytes(text.as_bytes()));
            }
            items.push(writer.0);
        }
        codec::write_list(items.into_iter())
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut items = codec::read_list(bytes, |item| Some(item.to_owned()))?;
        let aside =
            items.pop_if(|item| item.first() == Some(&ASIDE)).map_or(Some(Vec::new()), |item| decode_aside(&item));
        let outputs = items.iter().map(|item| Artifact::decode(item)).collect::<Option<_>>()?;
        Some(Self { outputs, aside: aside? })
    }
}

fn decode_aside(bytes: &[u8]) -> Option<Vec<(Arc<str>, Fault)>> {
    let mut reader = Reader(bytes.get(1..)?);
    let count = reader.length(12)?;
    let record = |reader: &mut Reader<'_>| {
        let (id, reason, detail) = (reader.id()?, reader.text()?.to_owned(), reader.text()?.to_owned());
        Some((id, Fault { reason, detail }))
    };
    let records = (0..count).map(|_| record(&mut reader)).collect::<Option<_>>()?;
    reader.done(records)
}

fn encode_unit(writer: &mut Writer, unit: &UnitRef) {
    writer.bytes(unit.id.as_bytes());
    writer.u32(unit.step);
    writer.digest(&unit.rows.digest);
    writer.u32(unit.rows.count);
    writer.length(unit.rows.parts.len());
    for part in unit.rows.parts.iter() {
        writer.digest(&part.key);
        writer.u8(part.output);
    }
}

fn decode_unit(reader: &mut Reader<'_>) -> Option<UnitRef> {
    let (id, step, digest, count) = (reader.id()?, reader.u32()?, reader.digest()?, reader.u32()?);
    let parts = reader.length(33)?;
    let parts = (0..parts).map(|_| Some(Part { key: reader.digest()?, output: reader.u8()?, row: Row::default() }));
    let parts = parts.collect::<Option<Arc<[Part]>>>()?;
    Some(UnitRef { id, step, rows: RowsRef { digest, count, parts } })
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Self::Rows(outputs) => {
                writer.length(outputs.len());
                outputs.iter().for_each(|rows| writer.rows(rows));
            }
            Self::Fault(fault) => {
                writer.bytes(fault.reason.as_bytes());
                writer.bytes(fault.detail.as_bytes());
            }
        }
        writer.0
    }

    pub(super) fn decode(bytes: &[u8], is_fault: bool) -> Option<Self> {
        let mut reader = Reader(bytes);
        let entry = if is_fault {
            Self::Fault(Fault { reason: reader.text()?.to_owned(), detail: reader.text()?.to_owned() })
        } else {
            let outputs = reader.length(4)?;
            let rows = (0..outputs).map(|_| reader.rows().map(Arc::new)).collect::<Option<Vec<_>>>()?;
            Self::Rows(rows)
        };
        reader.done(entry)
    }
}

/// One unit as it was keyed in a run: what later runs are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traced {
    pub(crate) id: Arc<str>,
    pub(crate) step: u32,
    pub(crate) key: Digest,
    /// The digest of each input, in slot order.
    pub(crate) inputs: Vec<Digest>,
}

pub(crate) fn encode_trace(units: &[Traced]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.length(units.len());
    for Traced { id, step, key, inputs } in units {
        writer.bytes(id.as_bytes());
        writer.u32(*step);
        writer.digest(key);
        writer.length(inputs.len());
        inputs.iter().for_each(|digest| writer.digest(digest));
    }
    writer.0
}

pub(crate) fn decode_trace(bytes: &[u8]) -> Option<Vec<Traced>> {
    let mut reader = Reader(bytes);
    let count = reader.length(44)?;
    let unit = |reader: &mut Reader<'_>| {
        let (id, step, key) = (reader.id()?, reader.u32()?, reader.digest()?);
        let inputs = reader.length(32)?;
        let inputs = (0..inputs).map(|_| reader.digest()).collect::<Option<Vec<_>>>()?;
        Some(Traced { id, step, key, inputs })
    };
    let units = (0..count).map(|_| unit(&mut reader)).collect::<Option<Vec<_>>>()?;
    reader.done(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_survive_the_store() {
        let part = Part { key: Digest::of(b"key"), output: 1, row: Row::default() };
        let rows = RowsRef { digest: Digest::of(b"rows"), count: 3, parts: vec![part, part].into() };
        let unit = UnitRef { id: "a".into(), step: 2, rows };
        let empty = RowsRef { digest: Digest::of(b""), count: 0, parts: Vec::new().into() };
        let bare = UnitRef { id: "".into(), step: 0, rows: empty };
        let rows = Artifact::Rows(Arc::new(vec![unit, bare]));
        let files = FileSet { files: [("a/b".into(), FileEntry { digest: Digest::of(b"b"), bytes: 1 << 40 })].into() };
        for artifact in [rows, Artifact::Files(Arc::new(files))] {
            let bytes = artifact.encode();
            assert_eq!(Artifact::decode(&bytes), Some(artifact));
            assert!((0..bytes.len()).all(|end| Artifact::decode(&bytes[..end]).is_none()));
        }
        let inputs = vec![Digest::of(b"1"), Digest::of(b"2")];
        let trace = vec![Traced { id: "a".into(), step: 1, key: part.key, inputs }];
        assert_eq!(decode_trace(&encode_trace(&trace)), Some(trace));
    }

    #[test]
    fn results_of_whole_stages_survive_the_store() {
        let outputs = vec![Artifact::Rows(Arc::default()), Artifact::Files(Arc::default())];
        let fault = Fault { reason: "missing".into(), detail: "no such file".into() };
        for aside in [vec![], vec![("a".into(), fault)]] {
            let whole = Whole { outputs: outputs.clone(), aside };
            let bytes = whole.encode();
            assert_eq!(Whole::decode(&bytes), Some(whole));
            assert!((0..bytes.len()).all(|end| Whole::decode(&bytes[..end]).is_none()));
        }
    }

    #[test]
    fn entries_survive_the_store() {
        let fault = Entry::Fault(Fault { reason: "torn".into(), detail: "byte 3".into() });
        let rows = Entry::Rows(vec![Arc::new(vec!["{}".into()]), Arc::new(Vec::new())]);
        for entry in [fault, rows] {
            let is_fault = matches!(entry, Entry::Fault(_));
            assert_eq!(Entry::decode(&entry.encode(), is_fault), Some(entry));
        }
    }
}
