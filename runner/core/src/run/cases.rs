//! Running the tests of a workflow: each stage is given what its test says, in a store of its own that is gone afterwards. No
//! model is opened, and nothing of the workflow's own store is read or written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::attempt::Worker;
use super::context::{Context, OnMiss};
use super::error::RunError;
use super::prepare::prepare_stage;
use super::stop::Stop;
use crate::artifact::Rows;
use crate::cache::files::UserFiles;
use crate::cache::key::seen;
use crate::cache::store::Store;
use crate::digest::Digest;
use crate::report::wording::value;
use crate::reporter::Silent;
use crate::stage::{Fault, Input, StageError, Unit, WholeInputs, WholeOutput, Work, to_rows};
use crate::workflow::{Case, Expected, Workflow, find};

/// Characters of a value that are told.
const VALUE_CHARS: usize = 200;

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was tested.
    pub name: String,
    /// The line of the file on which the test begins.
    pub line: usize,
    /// What is not as expected.
    pub failure: Option<String>,
}

/// Runs every test of a workflow, in order.
pub fn test(workflow: Workflow, stop: &Stop) -> Result<Vec<Outcome>, RunError> {
    let folder = tempfile::tempdir().map_err(|error| wrong("no folder can be made for the tests", error))?;
    let store = Arc::new(Store::open(folder.path())?);
    let files = Arc::new(UserFiles::new(workflow.roots.clone(), store.clone()));
    let workflow = Arc::new(workflow);
    let context = Context::new(workflow.clone(), store, files, Arc::new(Silent), stop.clone(), OnMiss::Compute);
    workflow
        .cases
        .iter()
        .map(|case| {
            let line = workflow.source.line_column(case.span.start).0;
            Ok(Outcome { name: case.name.clone(), line, failure: run(&context, case)? })
        })
        .collect()
}

fn wrong(story: &str, error: std::io::Error) -> RunError {
    RunError::Stage { stage: "the tests".into(), error: StageError::World(story.into(), Some(Box::new(error))) }
}

/// What came out of one output.
enum Came {
    Rows(Vec<Value>),
    Files(BTreeMap<String, Vec<u8>>),
}

/// Runs one test; returns what is not as expected.
fn run(context: &Context, case: &Case) -> Result<Option<String>, RunError> {
    let node = find(&context.workflow.nodes, &case.stage).expect("the workflow was checked: tests name its stages");
    let stage = node.stage().expect("tests name stages");
    let prepared = prepare_stage(node, stage, case.stage.clone(), &context.workflow, &context.files)
        .map_err(|(stage, error)| RunError::Stage { stage, error })?;
    let worker = Worker { context, stage: stage.stage.as_ref(), common: &node.common, prepared: &prepared };
    let came = match stage.stage.work() {
        Work::Units(_) => units(&worker, case)?,
        Work::Whole(_) => Ok(whole(&worker, case)?),
    };
    let came = match came {
        Ok(came) => came,
        Err(Fault { reason, detail }) => return Ok(Some(format!("the record is at fault: {reason}: {detail}"))),
    };
    Ok(case.expected.iter().find_map(|(output, expected)| difference(output, expected, &came[output.as_str()])))
}

/// What came in through a slot: the rows of every record.
type Given = Vec<(Arc<str>, Arc<Rows>)>;

/// What came of all units, by output.
type Outputs = BTreeMap<&'static str, Came>;

fn units(worker: &Worker<'_>, case: &Case) -> Result<Result<Outputs, Fault>, RunError> {
    let Work::Units(work) = worker.stage.work() else { unreachable!("the caller looked") };
    let mut ids: Vec<&str> = Vec::new();
    for (id, _) in case.given.values().flatten() {
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
    }
    let rows = given(worker, case)?;
    let unit = |id: &&str| {
        let of = |rows: &Given| rows.iter().find(|(other, _)| **other == **id).map(|(_, rows)| rows.clone());
        let inputs = rows.iter().map(|(slot, rows)| (*slot, Input::Rows(of(rows).unwrap_or_default())));
        Unit { id: (*id).into(), step: 0, inputs: inputs.collect() }
    };
    let units: Vec<Unit> = ids.iter().map(unit).collect();
    let answers = worker.attempt(Digest::of(case.name.as_bytes()), |job| work.run(&units, job), |done, _| Ok(done))?;
    let mut came: Vec<Vec<Value>> = vec![Vec::new(); worker.prepared.outputs.len()];
    for answer in answers {
        match answer {
            Ok(outputs) => came.iter_mut().zip(&outputs).for_each(|(came, rows)| came.extend(parsed(rows))),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    let names = worker.prepared.outputs.iter().map(|output| output.name);
    Ok(Ok(names.zip(came.into_iter().map(Came::Rows)).collect()))
}

fn whole(worker: &Worker<'_>, case: &Case) -> Result<Outputs, RunError> {
    let Work::Whole(work) = worker.stage.work() else { unreachable!("the caller looked") };
    let rows = given(worker, case)?.into_iter().map(|(slot, rows)| (slot, Arc::new(rows)));
    let inputs = WholeInputs { rows: rows.collect(), files: BTreeMap::new() };
    let outputs = worker.attempt(Digest::of(case.name.as_bytes()), |job| work.run(&inputs, job), |done, _| Ok(done))?;
    let mut came = Outputs::new();
    for (slot, output) in worker.prepared.outputs.iter().zip(outputs) {
        let output = match output {
            WholeOutput::Rows(units) | WholeOutput::Sifted(units, _) => {
                Came::Rows(units.iter().flat_map(|(_, rows)| parsed(rows)).collect())
            }
            WholeOutput::Files(files) => {
                let read = |(name, file): (&String, &crate::artifact::FileEntry)| {
                    let bytes = worker.context.files.content(&file.digest).map_err(|error| worker.failed(error))?;
                    Ok((name.clone(), bytes))
                };
                Came::Files(files.files.iter().map(read).collect::<Result<_, RunError>>()?)
            }
        };
        came.insert(slot.name, output);
    }
    Ok(came)
}

/// Returns what the stage sees of the given rows, by slot.
fn given(worker: &Worker<'_>, case: &Case) -> Result<BTreeMap<&'static str, Given>, RunError> {
    let mut slots = BTreeMap::new();
    for slot in worker.stage.inputs() {
        let Some(records) = case.given.get(slot.name) else { continue };
        let shown = |(id, rows): &(String, Vec<Value>)| {
            let rows = to_rows(rows);
            let rows = match slot.view {
                Some(view) => seen(&rows, view).map_err(|error| worker.failed(error))?,
                None => rows,
            };
            Ok((id.as_str().into(), Arc::new(rows)))
        };
        slots.insert(slot.name, records.iter().map(shown).collect::<Result<_, RunError>>()?);
    }
    Ok(slots)
}

fn parsed(rows: &Rows) -> impl Iterator<Item = Value> {
    rows.iter().map(|row| serde_json::from_str(row).unwrap_or_else(|_| Value::from(&**row)))
}

/// Says how an output is not as expected.
fn difference(output: &str, expected: &Expected, came: &Came) -> Option<String> {
    let count = match came {
        Came::Rows(rows) => rows.len(),
        Came::Files(files) => files.len(),
    };
    match (expected, came) {
        (Expected::Count(wanted), _) if *wanted == count => None,
        (Expected::Count(wanted), _) => Some(format!("`{output}` holds {count}, expected {wanted}")),
        (Expected::Rows(wanted), Came::Rows(rows)) if wanted.len() != rows.len() => {
            let first =
                rows.first().map(|row| format!("; the first is {}", value(row, VALUE_CHARS))).unwrap_or_default();
            Some(format!("`{output}` holds {} rows, expected {}{first}", rows.len(), wanted.len()))
        }
        (Expected::Rows(wanted), Came::Rows(rows)) => {
            wanted.iter().zip(rows).enumerate().find_map(|(row, (wanted, came))| {
                let differs = unlike("", wanted, came)?;
                Some(format!("row {} of `{output}`: {differs}", row + 1))
            })
        }
        (Expected::Files(wanted), Came::Files(files)) => wanted.iter().find_map(|(name, wanted)| {
            let Some(bytes) = files.get(name) else {
                let names: Vec<&str> = files.keys().map(String::as_str).collect();
                return Some(format!("`{output}` has no file `{name}`; it has {}", names.join(", ")));
            };
            Some(format!("`{name}` of `{output}`: {}", unlike("", wanted, &content(bytes, wanted))?))
        }),
        (Expected::Rows(_), Came::Files(_)) | (Expected::Files(_), Came::Rows(_)) => {
            unreachable!("the workflow was checked: outputs are expected in their form")
        }
    }
}

/// Returns a file's content as what is expected of it: a text, JSON, or JSON lines.
fn content(bytes: &[u8], wanted: &Value) -> Value {
    let text = String::from_utf8_lossy(bytes);
    match wanted {
        Value::String(_) => Value::from(text),
        _ => serde_json::from_str(&text).unwrap_or_else(|_| {
            let lines: Option<Vec<Value>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
            lines.map_or_else(|| Value::from(text), Value::Array)
        }),
    }
}

/// Says where a value is not what is expected. Of objects, fields that are not named may be anything.
fn unlike(place: &str, wanted: &Value, came: &Value) -> Option<String> {
    match (wanted, came) {
        (Value::Object(wanted), Value::Object(came)) => wanted.iter().find_map(|(name, wanted)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            unlike(&place, wanted, came.get(name).unwrap_or(&Value::Null))
        }),
        (Value::Array(wanted), Value::Array(came)) if wanted.len() == came.len() => {
            let mut pairs = wanted.iter().zip(came).enumerate();
            pairs.find_map(|(index, (wanted, came))| unlike(&format!("{place}[{index}]"), wanted, came))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if wanted == came => None,
        _ => {
            let place = if place.is_empty() { "it".to_owned() } else { format!("`{place}`") };
            Some(format!("{place} is {}, expected {}", value(came, VALUE_CHARS), value(wanted, VALUE_CHARS)))
        }
    }
}
