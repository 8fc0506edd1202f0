//! Units of one stage, answered: each is looked up by its key, and what is not there is computed in batches and kept. A unit's
//! answer depends on the unit alone; which others were asked for with it only decides how fast it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::attempt::Worker;
use super::context::OnMiss;
use super::error::RunError;
use super::flow::{Answer, Ask, Given, Held};
use super::job::Share;
use crate::artifact::{Rows, rows_digest};
use crate::cache::kept::{Entry, Part, Row, Traced};
use crate::cache::key::{seen, unit_key};
use crate::cache::store::Batch;
use crate::digest::Digest;
use crate::report::record::{Counts, QUARANTINE_TOLD_MAX, Quarantined};
use crate::reporter::Event;
use crate::stage::{Fault, Input, StageError, Unit, UnitOutput, Work};
use crate::workflow::OnError;

/// Units handed to a stage in one go where the workflow does not say.
pub(crate) const BATCH: usize = 64;
/// Results wait this long at most for others to be kept with: so much work is lost if the run is killed. Keeping them batch by batch
/// would write every page of the index anew for a few of its keys.
const KEEP_EVERY: Duration = Duration::from_millis(250);

/// How the work of one stage goes: everything its record will tell.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) trace: Vec<Traced>,
    pub(crate) quarantined: Vec<Quarantined>,
    /// Units, or of a stage that works on everything at once records, of which some may have been set aside.
    pub(crate) records: u64,
    pub(crate) wall_ms: u64,
    /// When it was first at work, and when last.
    pub(crate) when: Option<(Instant, Instant)>,
    /// All units the stage will be asked for; not known of a loop's stages.
    pub(crate) of: Option<u64>,
    /// In a plan: the units that are not in the store, by their place in the trace.
    pub(crate) missed: Vec<usize>,
    /// In a plan: units nothing can be said of yet.
    pub(crate) undecided: u64,
}

impl Tally {
    /// Returns how many units were answered.
    fn done(&self) -> u64 {
        self.counts.hits + self.counts.computed
    }

    /// Notes that there was work from then until now.
    pub(crate) fn worked_since(&mut self, began: Instant) {
        let now = Instant::now();
        self.wall_ms += u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX);
        self.when = Some((self.when.map_or(began, |(first, _)| first), now));
    }

    /// In a plan: whether a unit is missing, or may come.
    pub(crate) fn is_open(&self) -> bool {
        !self.missed.is_empty() || self.undecided > 0
    }
}

/// What a stage sees of a unit, as far as its key needs it.
struct Look {
    key: Digest,
    /// The rows of every input that is seen through a view.
    shown: Vec<Option<Arc<Rows>>>,
}

/// Results on their way to the store, and back from there as answers.
#[derive(Default)]
struct Waiting {
    /// What each result is for: its place among what was asked for, and its key.
    places: Vec<(usize, Digest)>,
    /// What is not kept yet.
    batches: Vec<Batch>,
    /// How long it took to compute that.
    worth: Duration,
    /// What is kept of the first places, and not answered with yet.
    kept: Vec<(Entry, Row)>,
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
        tally.counts.units += asks.len() as u64;
        tally.records += asks.len() as u64;
        let mut viewed = self.rows_in(asks.iter(), true)?;
        let looks = asks.iter().map(|ask| self.look(ask, &mut viewed, tally));
        let looks = looks.collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<(Digest, Row)> = looks.iter().map(|look| (look.key, Row::default())).collect();
        let found = self.context.store.units(&keys)?;
        let (mut answers, mut missed, mut again) = (Vec::with_capacity(asks.len()), Vec::new(), Vec::new());
        for (index, (ask, found)) in asks.iter().zip(found).enumerate() {
            match found {
                Some(found) if !(self.context.retry_quarantined && matches!(found, (Entry::Fault(_), _))) => {
                    tally.counts.hits += 1;
                    if self.context.again.as_ref().is_some_and(|again| again.keys.contains(&keys[index].0)) {
                        again.push((index, found.0.clone()));
                    }
                    answers.push(self.settle(ask, keys[index].0, found, tally)?);
                }
                _ => {
                    answers.push(Answer::Open);
                    missed.push(index);
                }
            }
        }
        for batch in again.chunks(self.batch()) {
            self.compute_again(asks, &looks, batch)?;
        }
        match (self.context.on_miss(&self.prepared.id), missed.first()) {
            (OnMiss::Tell, _) => {
                let before = tally.trace.len() - asks.len();
                tally.missed.extend(missed.iter().map(|index| before + index));
            }
            (OnMiss::Fail, Some(first)) => {
                let Ask { id, step, .. } = &asks[*first];
                let (stage, record) = (self.prepared.id.clone(), id.to_string());
                return Err(RunError::Miss { stage, record, step: *step });
            }
            _ => {
                let mut waiting = Waiting::default();
                let computed = missed.chunks(self.batch()).try_for_each(|batch| {
                    let misses = self.misses(asks, &looks, batch.iter().copied())?;
                    self.compute(misses, &mut waiting, tally)?;
                    self.settle_kept(asks, &mut waiting, &mut answers, tally)
                });
                // What is done stays done, however this ended.
                self.keep(&mut waiting)?;
                computed?;
                self.settle_kept(asks, &mut waiting, &mut answers, tally)?;
            }
        }
        tally.worked_since(began);
        Ok(answers)
    }

    /// Makes units of what is asked for.
    fn misses(
        &self,
        asks: &[Ask],
        looks: &[Look],
        indices: impl Iterator<Item = usize> + Clone,
    ) -> Result<Vec<Miss>, RunError> {
        let mut whole = self.rows_in(indices.clone().map(|index| &asks[index]), false)?;
        let miss = |index: usize| {
            let (ask, look) = (&asks[index], &looks[index]);
            Miss { index, key: look.key, unit: self.unit(ask, look, &mut whole) }
        };
        Ok(indices.map(miss).collect())
    }

    /// Units handed to the stage in one go.
    pub(crate) fn batch(&self) -> usize {
        self.common.exec.batch.map_or(BATCH, |batch| batch as usize)
    }

    /// Reads the rows that come in through slots with a view, or through those without: ask by ask, slot by slot.
    fn rows_in<'a>(
        &self,
        asks: impl Iterator<Item = &'a Ask>,
        with_view: bool,
    ) -> Result<std::vec::IntoIter<Arc<Rows>>, RunError> {
        let given = asks.flat_map(|ask| self.prepared.inputs.iter().zip(&ask.inputs));
        let held = given.filter_map(|(wire, given)| match given {
            Given::Rows(held) if wire.slot.view.is_some() == with_view => Some(held),
            Given::Rows(_) | Given::Files(..) => None,
        });
        let held: Vec<&Held> = held.collect();
        Ok(Held::rows_of(&held, &self.context.store)?.into_iter())
    }

    /// Makes a unit's key; `viewed` are the rows of its slots with a view. Others need not be read for it.
    fn look(
        &self,
        ask: &Ask,
        viewed: &mut impl Iterator<Item = Arc<Rows>>,
        tally: &mut Tally,
    ) -> Result<Look, RunError> {
        let mut shown = Vec::with_capacity(ask.inputs.len());
        let mut digests = Vec::with_capacity(ask.inputs.len());
        for (wire, given) in self.prepared.inputs.iter().zip(&ask.inputs) {
            let (digest, rows) = match (given, wire.slot.view) {
                (Given::Files(_, digest), _) => (*digest, None),
                (Given::Rows(held), None) => (held.at.digest, None),
                (Given::Rows(_), Some(view)) => {
                    let rows = viewed.next().expect("rows were read for every slot with a view");
                    let rows = seen(&rows, view).map_err(|error| self.failed(error))?;
                    (rows_digest(&rows), Some(Arc::new(rows)))
                }
            };
            digests.push((wire.slot.name, digest));
            shown.push(rows);
        }
        let key = unit_key(&self.prepared.fingerprint.digest, &ask.id, ask.step, &digests);
        let inputs = digests.into_iter().map(|(_, digest)| digest).collect();
        tally.trace.push(Traced { id: ask.id.clone(), step: ask.step, key, inputs });
        Ok(Look { key, shown })
    }

    /// Makes of what is asked for what the stage is given; `whole` are the rows of its slots without a view.
    fn unit(&self, ask: &Ask, look: &Look, whole: &mut impl Iterator<Item = Arc<Rows>>) -> Unit {
        let mut inputs = BTreeMap::new();
        for ((wire, given), shown) in self.prepared.inputs.iter().zip(&ask.inputs).zip(&look.shown) {
            let input = match (given, shown) {
                (Given::Files(files, _), _) => Input::Files(files.clone()),
                (Given::Rows(_), Some(shown)) => Input::Rows(shown.clone()),
                (Given::Rows(_), None) => {
                    Input::Rows(whole.next().expect("rows were read for every slot without a view"))
                }
            };
            inputs.insert(wire.slot.name, input);
        }
        Unit { id: ask.id.clone(), step: ask.step, inputs }
    }

    /// Computes units that are kept, and compares what comes out with what is kept.
    fn compute_again(&self, asks: &[Ask], looks: &[Look], kept: &[(usize, Entry)]) -> Result<(), RunError> {
        let (Work::Units(work), Some(again)) = (self.stage.work(), &self.context.again) else { return Ok(()) };
        let units: Vec<Unit> =
            self.misses(asks, looks, kept.iter().map(|(index, _)| *index))?.into_iter().map(|miss| miss.unit).collect();
        let found = self.attempt(
            looks[kept[0].0].key,
            |job| work.run(&units, job).and_then(|results| self.checked(results, &units)),
            |results, _| Ok(results),
        )?;
        let outputs: Vec<&str> = self.prepared.outputs.iter().map(|output| output.name).collect();
        for ((index, kept), found) in kept.iter().zip(found) {
            let (ask, key) = (&asks[*index], &looks[*index].key);
            let difference = again.difference(kept, &found, &outputs);
            again.compare(&self.context.store, (&self.prepared.id, &ask.id, ask.step), key, difference)?;
        }
        Ok(())
    }

    /// Computes a batch, which then waits to be kept.
    fn compute(&self, misses: Vec<Miss>, waiting: &mut Waiting, tally: &Tally) -> Result<(), RunError> {
        let Work::Units(work) = self.stage.work() else {
            return Err(self.failed(StageError::Bug("a stage that works on everything at once has no units".into())));
        };
        let places: Vec<(usize, Digest)> = misses.iter().map(|miss| (miss.index, miss.key)).collect();
        let units: Vec<Unit> = misses.into_iter().map(|miss| miss.unit).collect();
        let checkpoints = Digest::of_parts(places.iter().map(|(_, key)| key.as_bytes().as_slice()));
        let share = self.share(units.len() as u64, waiting, tally);
        self.tell_records(units.len() as u64, waiting, tally);
        let began = Instant::now();
        self.attempt(
            checkpoints,
            |job| work.run(&units, job.with_share(share)).and_then(|results| self.checked(results, &units)),
            |results, blobs| {
                let results = places.iter().map(|(_, key)| *key).zip(results).collect();
                waiting.batches.push(Batch { results, blobs });
                waiting.places.extend(places);
                waiting.worth += began.elapsed();
                // Where the first fault ends the run, it must be seen at once.
                let is_due = waiting.worth >= KEEP_EVERY || self.common.on_error == OnError::Fail;
                if is_due { self.keep(waiting) } else { Ok(()) }
            },
        )?;
        self.tell_records(0, waiting, tally);
        Ok(())
    }

    /// Keeps what waits for it.
    fn keep(&self, waiting: &mut Waiting) -> Result<(), RunError> {
        if !waiting.batches.is_empty() {
            let batches = std::mem::take(&mut waiting.batches);
            let again = self.context.retry_quarantined;
            waiting.kept.extend(self.context.store.keep_units(&self.prepared.fingerprint, batches, again)?);
            waiting.worth = Duration::ZERO;
            self.context.pass_warnings();
        }
        Ok(())
    }

    /// Answers with what is kept by now.
    fn settle_kept(
        &self,
        asks: &[Ask],
        waiting: &mut Waiting,
        answers: &mut [Answer],
        tally: &mut Tally,
    ) -> Result<(), RunError> {
        let kept = std::mem::take(&mut waiting.kept);
        for ((index, key), kept) in waiting.places.drain(..kept.len()).zip(kept) {
            tally.counts.computed += 1;
            answers[index] = self.settle(&asks[index], key, kept, tally)?;
        }
        Ok(())
    }

    /// Returns what part of the stage's work a batch of so many units is, behind those that wait to be kept.
    fn share(&self, units: u64, waiting: &Waiting, tally: &Tally) -> Share {
        let (total, unit) = tally.of.map_or((tally.counts.units, "units"), |of| (of, "records"));
        Share { before: tally.done() + waiting.places.len() as u64, units, total, unit }
    }

    /// Tells how far a stage is whose end is known.
    fn tell_records(&self, in_flight: u64, waiting: &Waiting, tally: &Tally) {
        if let Some(total) = tally.of {
            let done = tally.done() + waiting.places.len() as u64;
            let (stage, kept) = (&self.prepared.id, tally.counts.hits);
            self.context.tell(&Event::Records { stage, done, kept, total, in_flight });
        }
    }

    /// Checks that what a stage returned is what it promised.
    fn checked(&self, results: Vec<Result<UnitOutput, Fault>>, units: &[Unit]) -> Result<Vec<Entry>, StageError> {
        let (asked, answered) = (units.len(), results.len());
        if answered != asked {
            return Err(StageError::Bug(format!("{asked} units were asked for and {answered} answered")));
        }
        let entry = |(result, unit): (_, &Unit)| match result {
            Ok(outputs) => {
                self.as_promised(&unit.id, &outputs)?;
                Ok(Entry::Rows(outputs.into_iter().map(Arc::new).collect()))
            }
            Err(fault) => Ok(Entry::Fault(fault)),
        };
        results.into_iter().zip(units).map(entry).collect()
    }

    fn as_promised(&self, id: &str, outputs: &UnitOutput) -> Result<(), StageError> {
        let (promised, came) = (self.prepared.outputs.len(), outputs.len());
        if came != promised {
            return Err(StageError::Bug(format!("record `{id}`: {promised} outputs were promised and {came} came")));
        }
        outputs.iter().try_for_each(|rows| one_line_each(id, rows))
    }

    /// Counts an entry, and makes an answer of it.
    fn settle(
        &self,
        ask: &Ask,
        key: Digest,
        (entry, row): (Entry, Row),
        tally: &mut Tally,
    ) -> Result<Answer, RunError> {
        let fault = match entry {
            Entry::Rows(outputs) => {
                if let Some(dropped) = self.prepared.dropped.and_then(|output| outputs.get(output)) {
                    count_reasons(dropped, &mut tally.counts.dropped);
                }
                let held = (0..).zip(outputs).map(|(output, rows)| Held::part(Part { key, output, row }, rows));
                return Ok(Answer::Rows(held.collect()));
            }
            Entry::Fault(fault) => fault,
        };
        self.set_aside(&ask.id, ask.step, fault, tally)?;
        Ok(Answer::Aside)
    }

    /// Counts and tells a record's fault; ends the run where the first fault shall.
    pub(crate) fn set_aside(&self, id: &str, step: u32, fault: Fault, tally: &mut Tally) -> Result<(), RunError> {
        *tally.counts.quarantined.entry(fault.reason.clone()).or_default() += 1;
        let quarantined = Quarantined {
            stage: self.prepared.id.clone(),
            record: id.to_owned(),
            step,
            reason: fault.reason,
            detail: fault.detail,
        };
        self.context.tell(&Event::Quarantined(&quarantined));
        // A plan tells of every stage, those behind this one too.
        if self.common.on_error == OnError::Fail && self.context.on_miss != OnMiss::Tell {
            return Err(RunError::Fault(Box::new(quarantined)));
        }
        if tally.quarantined.len() < QUARANTINE_TOLD_MAX {
            tally.quarantined.push(quarantined);
        }
        Ok(())
    }
}

/// Checks that every row of a record is one line: where rows are published, lines are what tells them apart.
pub(crate) fn one_line_each(id: &str, rows: &Rows) -> Result<(), StageError> {
    match rows.iter().find(|row| row.contains('\n')) {
        Some(row) => Err(StageError::Bug(format!("record `{id}`: a row has a line break: {row:.200}"))),
        None => Ok(()),
    }
}

/// Counts rows by their `reason`.
pub(crate) fn count_reasons(rows: &Rows, counts: &mut BTreeMap<String, u64>) {
    for row in rows {
        let row: Value = serde_json::from_str(row).unwrap_or_default();
        *counts.entry(reason(&row).to_owned()).or_default() += 1;
    }
}

/// Returns why a row was left out.
pub(crate) fn reason(row: &Value) -> &str {
    row.get("reason").and_then(Value::as_str).unwrap_or("unknown")
}
