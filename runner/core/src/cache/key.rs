//! How keys are made. Whatever can change a result is in its key; nothing else is.
//!
//! # What enters
//! A stage's *fingerprint* is the digest of its ingredients, a canonical JSON text that the store keeps for `why`:
//! - `kind` and `version` of the stage;
//! - `with`, without fields that equal their default; names of assets replaced by what they name, paths by the digest of the
//!   content found there;
//! - `seed` and `stream`, if the stage draws;
//! - `engine`: engine, version, device class and number type, where they can change bits;
//! - `listed`: names and digests of further files the stage depends on; for one that is missing, that it is.
//!
//! A *unit's key* is made of the fingerprint, the root record's id, the loop step and the digest of what the stage sees of each
//! input. A *whole stage's key* of the fingerprint and, for each input, ids and rows of all units in order.
//!
//! # What never enters
//! `exec`, jobs, batch and cohort sizes, retries, timeouts, `on_error`; paths, the stage's id, the workflow's name; time, host,
//! processor, log level.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::UserFiles;
use crate::artifact::Rows;
use crate::digest::{Digest, Parts};
use crate::job::Files;
use crate::stage::{Stage, StageError};
use crate::workflow::{Mark, MarkKind, StageNode, Workflow};

/// Files of a directory told one by one among the ingredients; of more, only how many there are and one digest of all.
const FILES_TOLD_MAX: usize = 64;

/// What a stage does, as a digest, with the ingredients it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// The digest of [`Self::ingredients`] in canonical form.
    pub digest: Digest,
    /// Everything of the stage that can change a result.
    pub ingredients: Value,
}

/// Returns the fingerprint of a stage; reads the content of every file it depends on.
pub fn fingerprint(stage: &StageNode, workflow: &Workflow, files: &UserFiles) -> Result<Fingerprint, StageError> {
    let mut ingredients = Map::new();
    ingredients.insert("kind".into(), stage.kind.into());
    ingredients.insert("version".into(), stage.stage.version().into());
    ingredients.insert("with".into(), by_content(&stage.identity, &stage.marks, workflow, files)?);
    if stage.stage.draws() {
        ingredients.insert("seed".into(), workflow.seed.into());
        ingredients.insert("stream".into(), stage.stage.stream().unwrap_or(stage.kind).into());
    }
    if let Some(engine) = stage.stage.engine() {
        ingredients.insert("engine".into(), engine.into());
    }
    if let Some(listed) = listed(stage.stage.as_ref(), files)? {
        ingredients.insert("listed".into(), listed);
    }
    let ingredients = Value::Object(ingredients);
    Ok(Fingerprint { digest: Digest::of(canonical(&ingredients).as_bytes()), ingredients })
}

/// Returns a block with assets and paths replaced by their content.
fn by_content(block: &Value, marks: &[Mark], workflow: &Workflow, files: &UserFiles) -> Result<Value, StageError> {
    let mut block = block.clone();
    for mark in marks {
        let Some(place) = block.pointer_mut(&mark.pointer) else { continue };
        let Some(text) = place.as_str().map(str::to_owned) else { continue };
        *place = match mark.what {
            MarkKind::File => files.digest(Path::new(&text))?.to_string().into(),
            MarkKind::Dir => folder(Path::new(&text), files)?,
            MarkKind::Shelf => "what is listed of it".into(),
            MarkKind::Asset => {
                let asset = workflow.assets.get(&text);
                let asset = asset.ok_or_else(|| StageError::Bug(format!("nothing is called `{text}`")))?;
                let entry = by_content(&asset.identity, &asset.marks, workflow, files)?;
                json!({ "kind": asset.asset.kind, "entry": entry })
            }
        };
    }
    Ok(block)
}

fn folder(path: &Path, files: &UserFiles) -> Result<Value, StageError> {
    let found = files.list(path)?;
    files.recall(&found);
    told(
        found.iter().map(|file| Ok((file.strip_prefix(path).unwrap_or(file).to_string_lossy(), content(file, files)?))),
    )
}

fn listed(stage: &dyn Stage, files: &UserFiles) -> Result<Option<Value>, StageError> {
    let listed = stage.listed_files(files)?;
    if listed.is_empty() {
        return Ok(None);
    }
    files.recall(&listed);
    told(listed.iter().map(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok((name, content(file, files)?))
    }))
    .map(Some)
}

/// Returns what stands for a file's content: its digest, or why it has none.
fn content(file: &Path, files: &UserFiles) -> Result<String, StageError> {
    Ok(files.find(file)?.map_or_else(|absent| absent.to_string(), |digest| digest.to_string()))
}

/// Returns files, by name and content, as an ingredient. Of two files with one name the order decides, so the list stays a list.
fn told<'f>(
    named: impl ExactSizeIterator<Item = Result<(Cow<'f, str>, String), StageError>>,
) -> Result<Value, StageError> {
    let files = named.len();
    if files <= FILES_TOLD_MAX {
        return named.map(|file| file.map(|(name, content)| json!([name, content]))).collect();
    }
    let mut parts = Parts::default();
    for file in named {
        let (name, content) = file?;
        parts.add(name.as_bytes());
        parts.add(content.as_bytes());
    }
    Ok(json!({ "files": files, "digest": parts.digest() }))
}

/// Returns the key of a unit; `inputs` are the digests of what the stage sees of each slot, in slot order.
pub fn unit_key(fingerprint: &Digest, id: &str, step: u32, inputs: &[(&str, Digest)]) -> Digest {
    let step = step.to_le_bytes();
    let head = [b"unit".as_slice(), fingerprint.as_bytes(), id.as_bytes(), step.as_slice()];
    Digest::of_parts(head.into_iter().chain(slots(inputs)))
}

/// Returns the key of a whole stage.
pub fn whole_key(fingerprint: &Digest, inputs: &[(&str, Digest)]) -> Digest {
    let head = [b"whole".as_slice(), fingerprint.as_bytes()];
    Digest::of_parts(head.into_iter().chain(slots(inputs)))
}

fn slots<'a>(inputs: &'a [(&'a str, Digest)]) -> impl Iterator<Item = &'a [u8]> {
    inputs.iter().flat_map(|(slot, digest)| [slot.as_bytes(), digest.as_bytes().as_slice()])
}

/// Returns the digest of what a whole stage sees of a slot: ids and rows of all units, in order.
pub fn units_digest<'a>(units: impl IntoIterator<Item = (&'a str, Digest)>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (id, rows) in units {
        hasher.update(&(id.len() as u64).to_le_bytes());
        hasher.update(id.as_bytes());
        hasher.update(rows.as_bytes());
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// Returns the key under which the rows of a whole stage's output are kept: their content alone, so that a longer list of
/// records keeps only what is new.
pub fn content_key(rows: &Digest) -> Digest {
    Digest::of_parts([b"rows".as_slice(), rows.as_bytes()])
}

/// Returns rows as a slot with this view sees them: the fields it names, in the order it names them, values byte for byte.
pub fn seen(rows: &Rows, view: &'static [&'static str]) -> Result<Rows, StageError> {
    rows.iter().map(|row| project(row, view)).collect()
}

fn project(row: &str, view: &[&str]) -> Result<Box<str>, StageError> {
    let fields: std::collections::BTreeMap<Cow<'_, str>, &serde_json::value::RawValue> = serde_json::from_str(row)
        .map_err(|error| StageError::Bug(format!("a row is not an object: {error} in {row:.200}")))?;
    let mut text = String::with_capacity(row.len());
    for name in view {
        if let Some(value) = fields.get(*name) {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&Value::from(*name).to_string());
            text.push(':');
            text.push_str(value.get());
        }
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    Ok(text.into())
}

/// Returns JSON in its one canonical spelling: no spaces, keys sorted, whatever the order they are held in.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_shows_its_fields_and_nothing_else() {
        let check = |row: &str, view: &'static [&'static str], expected: &str| {
            assert_eq!(&*seen(&vec![row.into()], view).unwrap()[0], expected, "{row}");
        };
        check(r#"{"a": 1.50, "b": [1, {"c":"}"}], "id":"x"}"#, &["b", "a"], r#"{"b":[1, {"c":"}"}],"a":1.50}"#);
        check(r#"{"a":1}"#, &["b"], "{}");
        check(r#"{"a\u0062":1}"#, &["ab"], r#"{"ab":1}"#);
        assert!(seen(&vec!["[1]".into()], &["a"]).is_err());
    }

    #[test]
    fn canonical_text_does_not_depend_on_order() {
        let text = canonical(&json!({ "b": [1, 2.5, null], "a": { "z": "\"", "y": true } }));
        assert_eq!(text, r#"{"a":{"y":true,"z":"\""},"b":[1,2.5,null]}"#);
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let base = unit_key(&one, "id", 0, &[("a", one), ("b", two)]);
        let others = [
            unit_key(&two, "id", 0, &[("a", one), ("b", two)]),
            unit_key(&one, "id2", 0, &[("a", one), ("b", two)]),
            unit_key(&one, "id", 1, &[("a", one), ("b", two)]),
            unit_key(&one, "id", 0, &[("a", two), ("b", two)]),
            unit_key(&one, "id", 0, &[("b", two), ("a", one)]),
            unit_key(&one, "id", 0, &[("a", one)]),
            whole_key(&one, &[("a", one), ("b", two)]),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_ne!(units_digest([("ab", one), ("c", one)]), units_digest([("a", one), ("bc", one)]));
    }
}
