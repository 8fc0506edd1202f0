//! Why units have to be computed: which ingredient of the stage changed, from what to what; or else which records are new, or came
//! in with other content. What is compared with is the same stage in the last run, else what the store keeps that is nearest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cache::kept::{Traced, decode_trace};
use crate::cache::key::Fingerprint;
use crate::cache::store::Store;
use crate::digest::Digest;
use crate::report::record::Quarantined;
use crate::report::wording::{counted, counted_are, named, value};
use crate::run::RunError;
use crate::run::node::Told;
use crate::run::prepare::{Prepared, PreparedNode};
use crate::run::schedule::Results;
use crate::session::unknown;
use crate::workflow::{Workflow, default_at};

/// Runs looked at for one with the same stage.
const RUNS_LOOKED_AT: u32 = 50;
/// Characters of a value that are told.
const VALUE_CHARS: usize = 60;

/// Says why a stage, or one record of it, has to be computed, or that it has not.
pub(crate) fn why(
    workflow: &Workflow,
    prepared: &[PreparedNode],
    store: &Store,
    results: Results,
    stage: &str,
    record: Option<&str>,
) -> Result<Vec<String>, RunError> {
    let mut all: Vec<Told> = results.into_iter().flat_map(|(told, _)| told).collect();
    let place = all.iter().position(|told| told.id == stage && told.fingerprint.is_some());
    let Some(place) = place else {
        let names = all.iter().filter(|told| told.fingerprint.is_some()).map(|told| told.id.as_str());
        return Err(unknown(&format!("there is no stage `{stage}` that computes"), stage, names));
    };
    if let Some(record) = record {
        let set_aside = set_aside(&all, stage, record);
        if !set_aside.is_empty() {
            return Ok(set_aside);
        }
    }
    let mut told = all.swap_remove(place);
    if let Some(record) = record {
        let is_known = told.tally.trace.iter().any(|unit| &*unit.id == record);
        let trace = &told.tally.trace;
        told.tally.missed.retain(|place| &*trace[*place].id == record);
        if !is_known {
            return Ok(vec![format!("`{stage}` is not asked for `{record}` as far as can be said before it runs")]);
        }
    }
    let reasons = because(workflow, prepared, store, &told)?;
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    let open = "nothing is missing so far; the rest is decided as what it needs comes";
    let answer = if told.tally.undecided > 0 { open } else { "nothing has to be computed: all of it is in the store" };
    Ok(vec![answer.to_owned()])
}

/// Says why a record is set aside, by the stage itself or before it comes there; nothing, if it is not.
fn set_aside(all: &[Told], stage: &str, record: &str) -> Vec<String> {
    let faults = all.iter().flat_map(|told| &told.tally.quarantined).filter(|unit| unit.record == record);
    let (own, others): (Vec<&Quarantined>, Vec<&Quarantined>) = faults.partition(|unit| unit.stage == stage);
    let comes = all.iter().any(|told| told.id == stage && told.tally.trace.iter().any(|unit| &*unit.id == record));
    let faults = if own.is_empty() && !comes { others } else { own };
    let line = |unit: &Quarantined| {
        let by = if unit.stage == stage { String::new() } else { format!(" by `{}`", unit.stage) };
        let step = if unit.step == 0 { String::new() } else { format!(" at step {}", unit.step) };
        format!("set aside{by}{step} because {}: {}", unit.reason, unit.detail)
    };
    faults.into_iter().map(line).collect()
}

/// Says why the units of a stage that are not in the store are not, or why none of those to come will be; nothing, if all are there
/// or the stage is what it was.
pub(crate) fn because(
    workflow: &Workflow,
    prepared: &[PreparedNode],
    store: &Store,
    told: &Told,
) -> Result<Vec<String>, RunError> {
    let stage = find(prepared, &told.id);
    let Some(stage) = stage.filter(|_| told.tally.is_open()) else { return Ok(Vec::new()) };
    let kept = store.fingerprints(&told.kind)?;
    if kept.iter().any(|kept| kept.digest == stage.fingerprint.digest) {
        let earlier = earlier_trace(workflow, store, &stage.fingerprint.digest)?;
        let slots: Vec<&str> = stage.inputs.iter().map(|wire| wire.slot.name).collect();
        let missed = told.tally.missed.iter().map(|place| &told.tally.trace[*place]);
        return Ok(of_inputs(missed, &earlier, &slots));
    }
    let known = workflow.stage(&told.id);
    let default = |path: &[&str]| known.and_then(|stage| default_at(&stage.schema, &stage.with, path));
    let last = store.runs(Some(&workflow.name), 1)?.pop().and_then(|run| run.stage(&told.id)?.fingerprint);
    let itself = kept.iter().find(|kept| Some(kept.digest) == last);
    let differ = |kept: &Fingerprint| ingredients_differ(&kept.ingredients, &stage.fingerprint.ingredients, &default);
    match itself.map(differ).or_else(|| kept.iter().map(differ).min_by_key(Vec::len)) {
        Some(differences) => Ok(differences),
        None => Ok(vec![format!("no stage of kind `{}` has run on this store yet", told.kind)]),
    }
}

fn find<'p>(prepared: &'p [PreparedNode], id: &str) -> Option<&'p Prepared> {
    let mut all = prepared.iter().flat_map(PreparedNode::stages);
    all.find(|stage| stage.id == id).map(AsRef::as_ref)
}

/// Returns how the units of a stage with this fingerprint were keyed in the last run that had one.
fn earlier_trace(workflow: &Workflow, store: &Store, fingerprint: &Digest) -> Result<Vec<Traced>, RunError> {
    let own = store.runs(Some(&workflow.name), RUNS_LOOKED_AT)?;
    let others = store.runs(None, RUNS_LOOKED_AT)?;
    let mut stages = own.iter().chain(&others).flat_map(|run| &run.stages);
    let trace = stages.find(|stage| stage.fingerprint == Some(*fingerprint)).and_then(|stage| stage.trace);
    let Some(trace) = trace else { return Ok(Vec::new()) };
    Ok(store.blob(&trace)?.and_then(|bytes| decode_trace(&bytes)).unwrap_or_default())
}

/// Says what is other about the inputs of these units than it was, for a stage that is what it was.
pub(crate) fn of_inputs<'u>(
    units: impl Iterator<Item = &'u Traced>,
    earlier: &[Traced],
    slots: &[&str],
) -> Vec<String> {
    let known: BTreeMap<(&str, u32), &Traced> = earlier.iter().map(|unit| ((&*unit.id, unit.step), unit)).collect();
    let mut new: Vec<&str> = Vec::new();
    let mut changed: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    let mut gone: Vec<&str> = Vec::new();
    for unit in units {
        let Some(before) = known.get(&(&*unit.id, unit.step)) else {
            new.push(&unit.id);
            continue;
        };
        let pairs = slots.iter().zip(unit.inputs.iter().zip(&before.inputs));
        let other: Vec<&str> = pairs.filter(|(_, (now, was))| now != was).map(|(slot, _)| *slot).collect();
        if other.is_empty() { gone.push(&unit.id) } else { changed.entry(other).or_default().push(&unit.id) }
    }
    let mut lines = Vec::new();
    if !new.is_empty() && earlier.is_empty() {
        lines.push("an earlier run stopped before these were done, or had other records".to_owned());
    } else if !new.is_empty() {
        lines.push(format!("{} new: {}", counted_are(new.len() as u64, "record"), named(new)));
    }
    for (slots, ids) in changed {
        let slots = slots.iter().map(|slot| format!("`{slot}`")).collect::<Vec<_>>().join(" and ");
        // A stage that works on everything at once has no record of its own.
        if ids == [""] {
            lines.push(format!("{slots} came in with other content"));
        } else {
            let count = counted(ids.len() as u64, "record");
            lines.push(format!("{slots} came in with other content for {count}: {}", named(ids)));
        }
    }
    if !gone.is_empty() {
        lines.push("what was kept of an earlier run was damaged, set aside, or removed".to_owned());
    }
    lines
}

/// Gives the default of a field of `with`, by the names that lead to it.
pub(crate) type Default<'a> = &'a dyn Fn(&[&str]) -> Option<Value>;

/// Lists every ingredient that differs from what it was; `default` knows what a field of `with` is by default.
pub(crate) fn ingredients_differ(was: &Value, is: &Value, default: Default<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", Some(was), Some(is), default, &mut lines);
    // A folder and the list of what is used of it tell of the same file.
    let told: Vec<String> =
        lines.iter().filter_map(|line| Some(line.split_once("` of `")?.0.to_owned() + "` ")).collect();
    lines.retain(|line| line.contains("` of `") || !told.iter().any(|told| line.starts_with(told)));
    // What a stage draws from is an ingredient by itself, whether its settings or its kind name it.
    if lines.iter().any(|line| line.starts_with("`stream` ")) {
        lines.retain(|line| !line.starts_with("`with.stream` "));
    }
    lines
}

fn compare(path: &str, was: Option<&Value>, is: Option<&Value>, default: Default<'_>, lines: &mut Vec<String>) {
    match (was, is) {
        (Some(was), Some(is)) if was == is => {}
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, was.get(name), is.get(name), default, lines);
            }
        }
        (Some(was), Some(is)) if let (Some(was), Some(is)) = (content(was), content(is)) => {
            lines.push(format!("`{path}` has other content: {} instead of {}", is.short(), was.short()));
        }
        (Some(was), Some(is)) if let (Some(was), Some(is)) = (listing(was), listing(is)) => {
            compare_files(path, &was, &is, lines);
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) if was.len() == is.len() => {
            for (index, (was, is)) in was.iter().zip(is).enumerate() {
                compare(&format!("{path}[{index}]"), Some(was), Some(is), default, lines);
            }
        }
        (Some(was), Some(is)) => {
            lines.push(format!("`{path}` was {} and is {}", value(was, VALUE_CHARS), value(is, VALUE_CHARS)));
        }
        (Some(was), None) => {
            lines.push(format!("`{path}` was {} and is {}", value(was, VALUE_CHARS), by_default(path, default)));
        }
        (None, Some(is)) => {
            lines.push(format!("`{path}` was {} and is {}", by_default(path, default), value(is, VALUE_CHARS)));
        }
        (None, None) => {}
    }
}

/// Tells the default of the field at a path such as `with.beta`, as far as it is known.
fn by_default(path: &str, default: Default<'_>) -> String {
    let names: Vec<&str> = path.split('.').skip(1).collect();
    default(&names)
        .map_or_else(|| "the default".to_owned(), |default| format!("{} (the default)", value(&default, VALUE_CHARS)))
}

/// Files by name, each with its content or why it has none.
type Listing<'v> = BTreeMap<&'v str, Result<Digest, &'v str>>;

/// Compares two listings of files, name by name. Those a stage lists by itself are told by name alone.
fn compare_files(path: &str, was: &Listing<'_>, is: &Listing<'_>, lines: &mut Vec<String>) {
    let told = lines.len();
    let of = if path == "listed" { String::new() } else { format!(" of `{path}`") };
    for name in was.keys().chain(is.keys()).copied().collect::<BTreeSet<&str>>() {
        lines.extend(match (was.get(name), is.get(name)) {
            (Some(was), Some(is)) if was == is => None,
            (Some(Ok(was)), Some(Ok(is))) => {
                Some(format!("`{name}`{of} has other content: {} instead of {}", is.short(), was.short()))
            }
            (Some(_), Some(Err(absent))) => Some(format!("`{name}`{of} cannot be read: {absent}")),
            (Some(Err(absent)), Some(Ok(_))) => Some(format!("`{name}`{of} can be read; it was: {absent}")),
            (Some(_), None) => Some(format!("`{name}`{of} is gone")),
            (None, _) => Some(format!("`{name}`{of} is new")),
        });
    }
    if lines.len() == told {
        lines.push(format!("the files{of} come in another order"));
    }
}

/// Returns the digest that stands for a file's content among the ingredients.
fn content(value: &Value) -> Option<Digest> {
    value.as_str()?.parse().ok()
}

/// Returns the files that stand for a folder among the ingredients; `None` as well for two files of one name.
fn listing(value: &Value) -> Option<Listing<'_>> {
    let files = value.as_array().filter(|files| !files.is_empty())?;
    let named: Option<Listing<'_>> = files
        .iter()
        .map(|file| match file.as_array()?.as_slice() {
            [name, told] => Some((name.as_str()?, content(told).ok_or(told.as_str()?))),
            _ => None,
        })
        .collect();
    named.filter(|named| named.len() == files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_in_words() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let (one, two) = (digest("one"), digest("two"));
        let was = serde_json::json!({
            "seed": 1, "same": 2, "gone": true,
            "with": {"shelf": {"entry": {"path": [["config.json", one], ["old.txt", one]]}}, "list": one, "parts": [{"a": 1}, {"a": 2}]},
            "listed": [["config.json", one], ["more.txt", one]],
        });
        let is = serde_json::json!({
            "seed": 7, "same": 2, "new": [1, 2],
            "with": {"beta": 0.2, "shelf": {"entry": {"path": [["config.json", two], ["new.txt", one]]}}, "list": two, "parts": [{"a": 1}, {"a": 3}]},
            "listed": [["config.json", two], ["more.txt", two]],
        });
        let default = |path: &[&str]| (path == ["beta"]).then(|| 0.1.into());
        let lines = ingredients_differ(&was, &is, &default);
        let contents = format!("has other content: {} instead of {}", two.short(), one.short());
        let expected = [
            "`gone` was true and is the default".to_owned(),
            format!("`more.txt` {contents}"),
            "`new` was the default and is [1,2]".to_owned(),
            "`seed` was 1 and is 7".to_owned(),
            "`with.beta` was 0.1 (the default) and is 0.2".to_owned(),
            format!("`with.list` {contents}"),
            "`with.parts[1].a` was 2 and is 3".to_owned(),
            format!("`config.json` of `with.shelf.entry.path` {contents}"),
            "`new.txt` of `with.shelf.entry.path` is new".to_owned(),
            "`old.txt` of `with.shelf.entry.path` is gone".to_owned(),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_order_is_told() {
        let [one, two] = [["a", "b"], ["b", "a"]].map(|names| names.map(|name| (name, Digest::of(name.as_bytes()))));
        let mut lines = Vec::new();
        compare("files", Some(&serde_json::json!(one)), Some(&serde_json::json!(two)), &|_| None, &mut lines);
        assert_eq!(lines, ["the files of `files` come in another order"]);
    }
}
