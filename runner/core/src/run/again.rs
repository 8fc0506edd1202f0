//! Computing a sample of what is kept again, and comparing it with what is kept: whether a workflow gives the same bytes is shown,
//! not believed. Nothing that is computed here is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::artifact::{FileSet, Rows};
use crate::cache::kept::{Artifact, Entry};
use crate::cache::store::{Store, StoreError};
use crate::digest::Digest;
use crate::report::wording::value;

/// Characters of a value that are told.
const VALUE_CHARS: usize = 120;

/// What is computed again, and what came of it.
pub(crate) struct Again {
    /// The keys of the units, and of stages that work on everything at once.
    pub(crate) keys: BTreeSet<Digest>,
    /// Numbers that differ by so much of the greater one count as equal.
    pub(crate) tolerance: f64,
    /// This machine.
    pub(crate) here: String,
    pub(crate) compared: Mutex<Vec<Compared>>,
}

/// One result that was computed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The stage.
    pub stage: String,
    /// The record; empty for a stage that works on everything at once.
    pub record: String,
    /// The loop step.
    pub step: u32,
    /// How it differs, first place first; `None` if it does not.
    pub difference: Option<String>,
    /// The machine on which it was computed first, where that is another one.
    pub made_on: Option<String>,
}

impl Again {
    /// Compares a result with what is kept under its key.
    pub(crate) fn compare(
        &self,
        store: &Store,
        (stage, record, step): (&str, &str, u32),
        key: &Digest,
        difference: Option<String>,
    ) -> Result<(), StoreError> {
        let made_on = store.made_on(key)?.filter(|made_on| *made_on != self.here);
        let (stage, record) = (stage.to_owned(), record.to_owned());
        let compared = Compared { stage, record, step, difference, made_on };
        self.compared.lock().expect("no holder of the lock panics").push(compared);
        Ok(())
    }

    /// Returns how what is computed differs from what is kept.
    pub(crate) fn difference(&self, kept: &Entry, found: &Entry, outputs: &[&'static str]) -> Option<String> {
        match (kept, found) {
            (Entry::Rows(kept), Entry::Rows(found)) => {
                let pairs = outputs.iter().zip(kept.iter().zip(found));
                pairs.filter_map(|(output, (kept, found))| self.of_rows(output, kept, found)).next()
            }
            (Entry::Fault(kept), Entry::Fault(found)) if kept.reason == found.reason => None,
            (kept, found) => Some(format!("{} was kept, and now it is {}", told(kept), told(found))),
        }
    }

    fn of_rows(&self, output: &str, kept: &Rows, found: &Rows) -> Option<String> {
        if kept.len() != found.len() {
            return Some(format!("`{output}` has {} rows, and {} are kept", found.len(), kept.len()));
        }
        kept.iter().zip(found).enumerate().filter(|(_, (kept, found))| kept != found).find_map(
            |(row, (kept, found))| {
                let [was, is] =
                    [kept, found].map(|row| serde_json::from_str(row).unwrap_or_else(|_| Value::from(&**row)));
                let (place, was, is) = self.of_values("", &was, &is)?;
                Some(format!(
                    "row {} of `{output}`: `{place}` was {} and is {}",
                    row + 1,
                    value(&was, VALUE_CHARS),
                    value(&is, VALUE_CHARS)
                ))
            },
        )
    }

    /// Returns the first place at which two values differ by more than is tolerated.
    fn of_values(&self, place: &str, was: &Value, is: &Value) -> Option<(String, Value, Value)> {
        let differs = || Some((place.trim_start_matches('.').to_owned(), was.clone(), is.clone()));
        match (was, is) {
            (Value::Object(was), Value::Object(is)) if was.keys().eq(is.keys()) => {
                let mut fields = was.iter().zip(is.values());
                fields.find_map(|((name, was), is)| self.of_values(&format!("{place}.{name}"), was, is))
            }
            (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
                let mut items = was.iter().zip(is).enumerate();
                items.find_map(|(index, (was, is))| self.of_values(&format!("{place}[{index}]"), was, is))
            }
            (Value::Number(a), Value::Number(b)) => {
                let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
                if was == is || (a - b).abs() <= self.tolerance * a.abs().max(b.abs()) { None } else { differs() }
            }
            _ if was == is => None,
            _ => differs(),
        }
    }

    /// Returns how an output of a stage that works on everything at once differs; `rows` gives those of a record, kept and found.
    pub(crate) fn of_output(
        &self,
        name: &str,
        kept: &Artifact,
        found: &Artifact,
        rows: impl Fn(usize) -> Result<[Arc<Rows>; 2], StoreError>,
    ) -> Result<Option<String>, StoreError> {
        let (was, is) = match (kept, found) {
            (Artifact::Rows(was), Artifact::Rows(is)) => (was, is),
            (Artifact::Files(was), Artifact::Files(is)) => return Ok(of_files(name, was, is)),
            _ => return Ok(Some(format!("`{name}` has another form"))),
        };
        if was.len() != is.len() {
            return Ok(Some(format!("`{name}` has {} records, and {} are kept", is.len(), was.len())));
        }
        for (place, (was, is)) in was.iter().zip(is.iter()).enumerate() {
            if was.id != is.id {
                return Ok(Some(format!("record {} of `{name}` was `{}` and is `{}`", place + 1, was.id, is.id)));
            }
            if was.rows.digest != is.rows.digest {
                let [kept, found] = rows(place)?;
                let difference = self.of_rows(name, &kept, &found);
                if let Some(difference) = difference {
                    return Ok(Some(format!("record `{}`: {difference}", is.id)));
                }
            }
        }
        Ok(None)
    }
}

fn of_files(name: &str, was: &FileSet, is: &FileSet) -> Option<String> {
    let names: BTreeSet<&String> = was.files.keys().chain(is.files.keys()).collect();
    names.into_iter().find_map(|file| match (was.files.get(file), is.files.get(file)) {
        (Some(was), Some(is)) if was == is => None,
        (Some(_), Some(_)) => Some(format!("the file `{file}` of `{name}` has other content")),
        (Some(_), None) => Some(format!("the file `{file}` of `{name}` is no longer made")),
        (None, _) => Some(format!("the file `{file}` of `{name}` was not made before")),
    })
}

/// Chooses so many keys of each stage, spread over its records; the same ones as long as the stage has the same units.
pub(crate) fn sample<'k>(keys: impl Iterator<Item = &'k Digest>, most: usize) -> BTreeSet<Digest> {
    // Keys are digests: the smallest are as good as drawn.
    let all: BTreeSet<Digest> = keys.copied().collect();
    all.into_iter().take(most).collect()
}

/// How a stage did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeated {
    /// Units that are kept.
    pub kept: u64,
    /// Units that were computed again.
    pub again: u64,
    /// Those of them that differ.
    pub differing: Vec<Compared>,
}

/// The repeats, by stage.
pub type Repeats = BTreeMap<String, Repeated>;

fn told(entry: &Entry) -> String {
    match entry {
        Entry::Rows(_) => "a result".to_owned(),
        Entry::Fault(fault) => format!("a fault ({})", fault.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(tolerance: f64, was: &str, is: &str) -> Option<String> {
        let again = Again { keys: BTreeSet::new(), tolerance, here: String::new(), compared: Mutex::default() };
        let rows = |row: &str| Entry::Rows(vec![Arc::new(vec!["{}".into(), row.into()])]);
        again.difference(&rows(was), &rows(is), &["boxes"])
    }

    #[test]
    fn the_first_difference_is_named() {
        let was = r#"{"id":"a","boxes":[{"score":0.5},{"score":0.25}],"ok":true}"#;
        assert_eq!(difference(0.0, was, was), None);
        let is = was.replace("0.25", "0.2501");
        let told = "row 2 of `boxes`: `boxes[1].score` was 0.25 and is 0.2501";
        assert_eq!(difference(0.0, was, &is).as_deref(), Some(told));
        assert_eq!(difference(1e-4, was, &is).as_deref(), Some(told));
        assert_eq!(difference(1e-3, was, &is), None);
        let told = "row 2 of `boxes`: `ok` was true and is false";
        assert_eq!(difference(1.0, was, &was.replace("true", "false")).as_deref(), Some(told));
        assert!(difference(1.0, was, r#"{"id":"a"}"#).is_some());
        assert!(difference(1.0, "no json", "{}").is_some());
    }
}
