//! Units of one stage, answered: each is looked up by its key, and what is not there is computed in batches and kept. A unit's
//! answer depends on the unit alone; which others were asked for with it only decides how fast it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::attempt::Worker;
use super::context::OnMiss;
use super::error::RunError;
use super::flow::{Answer, Ask, Given, Held};
use super::job::of_store;
use crate::artifact::{Rows, rows_digest};
use crate::cache::kept::{Entry, Part, Traced};
use crate::cache::key::{seen, unit_key};
use crate::digest::Digest;
use crate::report::record::{Counts, QUARANTINE_TOLD_MAX, Quarantined};
use crate::reporter::Event;
use crate::stage::{Fault, Input, StageError, Unit, UnitOutput, Work};
use crate::workflow::OnError;

/// Units looked up in one go.
const LOOK_UP: usize = 1024;
/// Units handed to a stage in one go where the workflow does not say.
const BATCH: usize = 64;

/// How the work of one stage goes: everything its record will tell.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) trace: Vec<Traced>,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) wall_ms: u64,
    /// In a plan: the units that are not in the store, by their place in the trace.
    pub(crate) missed: Vec<usize>,
    /// In a plan: units nothing can be said of yet.
    pub(crate) undecided: u64,
}

/// A unit that is not in the store.
struct Miss {
    /// Its place among what was asked for.
    index: usize,
    key: Digest,
    unit: Unit,
}

impl Worker<'_> {
    /// Answers units, in order.
    pub(crate) fn answer(&self, asks: &[Ask], tally: &mut Tally) -> Result<Vec<Answer>, RunError> {
        let began = Instant::now();
        let mut answers: Vec<Answer> = Vec::with_capacity(asks.len());
        let mut waiting: Vec<Miss> = Vec::new();
        let batch = self.common.exec.batch.map_or(BATCH, |batch| batch as usize);
        tally.counts.units += asks.len() as u64;
        for (number, block) in asks.chunks(LOOK_UP).enumerate() {
            let units = block.iter().map(|ask| self.unit(ask)).collect::<Result<Vec<_>, _>>()?;
            let keys: Vec<Digest> = units.iter().map(|(traced, _)| traced.key).collect();
            let found = self.context.store.units(&keys)?;
            for (offset, ((traced, unit), found)) in units.into_iter().zip(found).enumerate() {
                let key = traced.key;
                let place = tally.trace.len();
                tally.trace.push(traced);
                match found {
                    Some(entry) if !(self.context.retry_quarantined && matches!(entry, Entry::Fault(_))) => {
                        tally.counts.hits += 1;
                        answers.push(self.settle(&unit, key, entry, tally)?);
                    }
                    _ => {
                        answers.push(Answer::Open);
                        if self.context.on_miss == OnMiss::Tell {
                            tally.missed.push(place);
                            continue;
                        }
                        waiting.push(Miss { index: number * LOOK_UP + offset, key, unit });
                    }
                }
            }
            self.may_compute(&waiting)?;
            while waiting.len() >= batch {
                let rest = waiting.split_off(batch);
                self.compute(std::mem::replace(&mut waiting, rest), &mut answers, tally)?;
            }
        }
        if !waiting.is_empty() {
            self.compute(waiting, &mut answers, tally)?;
        }
        tally.wall_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(answers)
    }

    /// Makes of what is asked for what the stage may see, and its key.
    fn unit(&self, ask: &Ask) -> Result<(Traced, Unit), RunError> {
        let mut inputs = BTreeMap::new();
        let mut digests = Vec::with_capacity(ask.inputs.len());
        for (wire, given) in self.prepared.inputs.iter().zip(&ask.inputs) {
            let (digest, input) = match (given, wire.slot.view) {
                (Given::Files(files), _) => (files.digest(), Input::Files(files.clone())),
                (Given::Rows(held), Some(view)) => {
                    let rows = seen(&*held.rows(&self.context.store)?, view).map_err(|error| self.failed(error))?;
                    (rows_digest(&rows), Input::Rows(Arc::new(rows)))
                }
                (Given::Rows(held), None) => (held.at.digest, Input::Rows(held.rows(&self.context.store)?)),
            };
            digests.push((wire.slot.name, digest));
            inputs.insert(wire.slot.name, input);
        }
        let key = unit_key(&self.prepared.fingerprint.digest, &ask.id, ask.step, &digests);
        let digests = digests.into_iter().map(|(_, digest)| digest).collect();
        let traced = Traced { id: ask.id.clone(), step: ask.step, key, inputs: digests };
        Ok((traced, Unit { id: ask.id.clone(), step: ask.step, inputs }))
    }

    fn may_compute(&self, waiting: &[Miss]) -> Result<(), RunError> {
        match (self.context.on_miss, waiting.first()) {
            (OnMiss::Fail, Some(first)) => Err(RunError::Miss {
                stage: self.prepared.id.clone(),
                record: first.unit.id.to_string(),
                step: first.unit.step,
            }),
            _ => Ok(()),
        }
    }

    fn compute(&self, misses: Vec<Miss>, answers: &mut [Answer], tally: &mut Tally) -> Result<(), RunError> {
        let Work::Units(work) = self.stage.work() else {
            return Err(self.failed(StageError::Bug("a stage that works on everything at once has no units".into())));
        };
        let units: Vec<Unit> = misses.iter().map(|miss| miss.unit.clone()).collect();
        let keys: Vec<Digest> = misses.iter().map(|miss| miss.key).collect();
        let checkpoints = Digest::of_parts(keys.iter().map(|key| key.as_bytes().as_slice()));
        let kept = self.attempt(
            checkpoints,
            |job| work.run(&units, job).and_then(|results| self.checked(results, units.len())),
            |results, blobs| {
                let again = self.context.retry_quarantined;
                let results = keys.into_iter().zip(results).collect();
                Ok(self.context.store.keep_units(&self.prepared.fingerprint, results, &blobs, again)?)
            },
        )?;
        for (miss, entry) in misses.into_iter().zip(kept) {
            tally.counts.computed += 1;
            answers[miss.index] = self.settle(&miss.unit, miss.key, entry, tally)?;
        }
        self.context.pass_warnings();
        Ok(())
    }

    /// Checks that what a stage returned is what it promised.
    fn checked(&self, results: Vec<Result<UnitOutput, Fault>>, asked: usize) -> Result<Vec<Entry>, StageError> {
        if results.len() != asked {
            return Err(StageError::Bug(format!("{asked} units were asked for and {} answered", results.len())));
        }
        let entry = |result| match result {
            Ok(outputs) => one_list_an_output(&outputs, self.prepared.outputs.len())
                .map(|()| Entry::Rows(outputs.into_iter().map(Arc::new).collect())),
            Err(fault) => Ok(Entry::Fault(fault)),
        };
        results.into_iter().map(entry).collect()
    }

    /// Counts an entry, and makes an answer of it.
    fn settle(&self, unit: &Unit, key: Digest, entry: Entry, tally: &mut Tally) -> Result<Answer, RunError> {
        let fault = match entry {
            Entry::Rows(outputs) => {
                if let Some(dropped) = self.prepared.dropped.and_then(|output| outputs.get(output)) {
                    count_reasons(dropped, &mut tally.counts.dropped);
                }
                let held = (0..).zip(outputs).map(|(output, rows)| Held::part(Part { key, output }, rows));
                return Ok(Answer::Rows(held.collect()));
            }
            Entry::Fault(fault) => fault,
        };
        *tally.counts.quarantined.entry(fault.reason.clone()).or_default() += 1;
        let quarantined = Quarantined {
            stage: self.prepared.id.clone(),
            record: unit.id.to_string(),
            step: unit.step,
            reason: fault.reason,
            detail: fault.detail,
        };
        self.context.tell(&Event::Quarantined(&quarantined));
        if self.common.on_error == OnError::Fail {
            return Err(RunError::Fault(Box::new(quarantined)));
        }
        if tally.quarantined.len() < QUARANTINE_TOLD_MAX {
            tally.quarantined.push(quarantined);
        }
        Ok(Answer::Aside)
    }
}

fn one_list_an_output(outputs: &UnitOutput, promised: usize) -> Result<(), StageError> {
    if outputs.len() != promised {
        return Err(StageError::Bug(format!("{promised} outputs were promised and {} came", outputs.len())));
    }
    match outputs.iter().flatten().find(|row| row.contains('\n')) {
        Some(row) => Err(StageError::Bug(format!("a row has a line break: {row:.200}"))),
        None => Ok(()),
    }
}

/// Counts rows by their `reason`.
pub(crate) fn count_reasons(rows: &Rows, counts: &mut BTreeMap<String, u64>) {
    for row in rows {
        let row: Option<Value> = serde_json::from_str(row).ok();
        let reason = row.as_ref().and_then(|row| row.get("reason")?.as_str()).unwrap_or("unknown");
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
}

/// Reads what a whole stage sees of a unit.
pub(crate) fn seen_of(
    worker: &Worker<'_>,
    held: &Held,
    view: Option<&'static [&'static str]>,
) -> Result<Arc<Rows>, StageError> {
    let rows = held.rows(&worker.context.store).map_err(of_store)?;
    match view {
        Some(view) => seen(&rows, view).map(Arc::new),
        None => Ok(rows),
    }
}
