//! A stage that works on everything at once: one key, one result.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Worker;
use super::context::OnMiss;
use super::error::RunError;
use super::flow::{Flow, Open};
use super::job::StageJob;
use super::prepare::Wire;
use super::units::{Tally, count_reasons, one_line_each};
use crate::artifact::{FileSet, Form, Rows, rows_digest};
use crate::cache::kept::{Artifact, Part, Row, RowsRef, Traced, UnitRef, Whole};
use crate::cache::key::{content_key, seen, units_digest, whole_key};
use crate::digest::Digest;
use crate::stage::{StageError, Units, WholeInputs, WholeOutput, Work};
use crate::workflow::Node;

impl Worker<'_> {
    /// Answers with all outputs. `inputs` are in the order of the stage's wires.
    pub(crate) fn answer_whole(&self, node: &Node, inputs: &[Flow], tally: &mut Tally) -> Result<Vec<Flow>, RunError> {
        let began = Instant::now();
        tally.counts.units = 1;
        if let Some(after) = inputs.iter().find_map(Flow::after) {
            tally.undecided = 1;
            return Ok(node.outputs.iter().map(|port| open(port.form, after.clone())).collect());
        }
        let key = self.whole_key(inputs, tally)?;
        let found = self.context.store.whole(&key)?;
        self.context.pass_warnings();
        let found = found.filter(|whole| whole.aside.is_empty() || !self.context.retry_quarantined);
        let Whole { outputs, aside } = match (found, self.context.on_miss(&self.prepared.id)) {
            (Some(whole), _) => {
                tally.counts.hits = 1;
                self.compare_whole(&key, &whole, inputs)?;
                whole
            }
            (None, OnMiss::Tell) => {
                tally.missed.push(0);
                let after: Arc<str> = self.prepared.id.as_str().into();
                return Ok(node.outputs.iter().map(|port| open(port.form, after.clone())).collect());
            }
            (None, OnMiss::Fail) => {
                return Err(RunError::Miss { stage: self.prepared.id.clone(), record: String::new(), step: 0 });
            }
            (None, OnMiss::Compute) => {
                tally.counts.computed = 1;
                self.compute_whole(key, &self.whole_inputs(inputs)?)?
            }
        };
        self.count_dropped(&outputs, tally)?;
        tally.records = outputs.first().map_or(0, |output| output.size().0) + aside.len() as u64;
        for (id, fault) in aside {
            self.set_aside(&id, 0, fault, tally)?;
        }
        tally.worked_since(began);
        Ok(outputs.into_iter().map(Flow::from).collect())
    }

    /// Makes the key. Rows are read only where a view hides a part of them.
    fn whole_key(&self, flows: &[Flow], tally: &mut Tally) -> Result<Digest, RunError> {
        let mut digests = Vec::with_capacity(flows.len());
        for (wire, flow) in self.prepared.inputs.iter().zip(flows) {
            let digest = match flow {
                Flow::Files(Ok(files)) => files.digest(),
                Flow::Files(Err(_)) => unreachable!("nothing is open, or the caller would not be here"),
                Flow::Rows { known, .. } => {
                    let digests: Vec<Digest> = match wire.slot.view {
                        Some(_) => {
                            let digests = self.shown(known, wire).map(|rows| Ok(rows_digest(&rows?)));
                            digests.collect::<Result<_, RunError>>()?
                        }
                        None => known.iter().map(|unit| unit.rows.digest).collect(),
                    };
                    units_digest(known.iter().map(|unit| &*unit.id).zip(digests))
                }
            };
            digests.push((wire.slot.name, digest));
        }
        let key = whole_key(&self.prepared.fingerprint.digest, &digests);
        let inputs = digests.into_iter().map(|(_, digest)| digest).collect();
        tally.trace.push(Traced { id: "".into(), step: 0, key, inputs });
        Ok(key)
    }

    /// Reads what the stage is given.
    fn whole_inputs(&self, flows: &[Flow]) -> Result<WholeInputs, RunError> {
        let mut inputs = WholeInputs::default();
        for (wire, flow) in self.prepared.inputs.iter().zip(flows) {
            match flow {
                Flow::Files(files) => inputs.files.extend(files.clone().map(|files| (wire.slot.name, files))),
                Flow::Rows { known, .. } => {
                    let units = known.iter().zip(self.shown(known, wire));
                    let units = units.map(|(unit, rows)| Ok((unit.id.clone(), rows?)));
                    inputs.rows.insert(wire.slot.name, Arc::new(units.collect::<Result<Units, RunError>>()?));
                }
            }
        }
        Ok(inputs)
    }

    /// Reads what the stage sees of units, one after the other.
    fn shown<'u>(
        &'u self,
        units: &'u [UnitRef],
        wire: &'u Wire,
    ) -> impl Iterator<Item = Result<Arc<Rows>, RunError>> + 'u {
        self.context.store.rows_in_order(units).map(|rows| match wire.slot.view {
            Some(view) => seen(&*rows?, view).map(Arc::new).map_err(|error| self.failed(error)),
            None => Ok(rows?),
        })
    }

    fn compute_whole(&self, key: Digest, inputs: &WholeInputs) -> Result<Whole, RunError> {
        let Work::Whole(work) = self.stage.work() else {
            return Err(self.failed(StageError::Bug("a stage that works unit by unit was asked for everything".into())));
        };
        self.attempt(
            key,
            |job| work.run(inputs, job).and_then(|outputs| self.checked_whole(outputs)),
            |(whole, rows), blobs| {
                let again = self.context.retry_quarantined;
                Ok(self.context.store.keep_whole(&self.prepared.fingerprint, &key, whole, &rows, &blobs, again)?)
            },
        )
    }

    /// Computes a result that is kept, if that is asked for, and compares the two.
    fn compare_whole(&self, key: &Digest, kept: &Whole, flows: &[Flow]) -> Result<(), RunError> {
        let Some(again) = self.context.again.as_ref().filter(|again| again.keys.contains(key)) else { return Ok(()) };
        let Work::Whole(work) = self.stage.work() else { return Ok(()) };
        let inputs = self.whole_inputs(flows)?;
        let run = |job: &StageJob<'_>| work.run(&inputs, job).and_then(|outputs| self.checked_whole(outputs));
        let (found, rows) = self.attempt(*key, run, |done, _| Ok(done))?;
        let (mut difference, mut before) = (None, 0);
        for (output, (was, is)) in self.prepared.outputs.iter().zip(kept.outputs.iter().zip(&found.outputs)) {
            let both = |place: usize| match was {
                Artifact::Rows(units) => {
                    Ok([self.context.store.rows(&units[place].rows)?, rows[before + place].clone()])
                }
                Artifact::Files(_) => unreachable!("files have no rows"),
            };
            difference = again.of_output(output.name, was, is, both)?;
            if difference.is_some() {
                break;
            }
            before += if let Artifact::Rows(units) = is { units.len() } else { 0 };
        }
        let aside = |whole: &Whole| whole.aside.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        if difference.is_none() && aside(kept) != aside(&found) {
            difference = Some("other records are set aside".to_owned());
        }
        Ok(again.compare(&self.context.store, (&self.prepared.id, "", 0), key, difference)?)
    }

    /// Checks that what a stage returned is what it promised, and says where its rows will be kept.
    fn checked_whole(&self, outputs: Vec<WholeOutput>) -> Result<(Whole, Vec<Arc<Rows>>), StageError> {
        let promised = self.prepared.outputs.len();
        if outputs.len() != promised {
            return Err(StageError::Bug(format!("{promised} outputs were promised and {} came", outputs.len())));
        }
        let (mut artifacts, mut kept) = (Vec::new(), Vec::new());
        let mut all_aside = Vec::new();
        for (output, promised) in outputs.into_iter().zip(&self.prepared.outputs) {
            let (units, aside) = match output {
                WholeOutput::Rows(units) if promised.form == Form::Rows => (units, Vec::new()),
                WholeOutput::Sifted(units, aside) if promised.form == Form::Rows => (units, aside),
                WholeOutput::Files(files) if promised.form == Form::Files => {
                    self.all_kept(&files)?;
                    artifacts.push(Artifact::Files(Arc::new(files)));
                    continue;
                }
                _ => return Err(StageError::Bug(format!("output `{}` has another form than promised", promised.name))),
            };
            let mut ids: BTreeSet<Arc<str>> = aside.iter().map(|(id, _)| id.clone()).collect();
            all_aside.extend(aside);
            let mut listed = Vec::with_capacity(units.len());
            for (id, rows) in units {
                if !ids.insert(id.clone()) {
                    return Err(StageError::Bug(format!("two records are called `{id}`")));
                }
                one_line_each(&id, &rows)?;
                let digest = rows_digest(&rows);
                let part = Part { key: content_key(&digest), output: 0, row: Row::default() };
                let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                listed.push(UnitRef { id, step: 0, rows: RowsRef { digest, count, parts: Arc::new([part]) } });
                kept.push(Arc::new(rows));
            }
            artifacts.push(Artifact::Rows(Arc::new(listed)));
        }
        Ok((Whole { outputs: artifacts, aside: all_aside }, kept))
    }

    /// Checks that files can be put anywhere under their names, and are in the store.
    fn all_kept(&self, files: &FileSet) -> Result<(), StageError> {
        for (name, file) in &files.files {
            let is_plain = |part| matches!(part, std::path::Component::Normal(_));
            if name.is_empty() || !Path::new(name).components().all(is_plain) {
                return Err(StageError::Bug(format!("a file is called `{name}`, which is no path below a folder")));
            }
            if !self.context.store.has_blob(&file.digest, file.bytes) {
                return Err(StageError::Bug(format!("the content of the file `{name}` was not kept")));
            }
        }
        Ok(())
    }

    fn count_dropped(&self, outputs: &[Artifact], tally: &mut Tally) -> Result<(), RunError> {
        if let Some(Artifact::Rows(units)) = self.prepared.dropped.and_then(|output| outputs.get(output)) {
            for rows in self.context.store.rows_in_order(units) {
                count_reasons(&*rows?, &mut tally.counts.dropped);
            }
        }
        Ok(())
    }
}

fn open(form: Form, after: Arc<str>) -> Flow {
    match form {
        Form::Files => Flow::Files(Err(after)),
        Form::Rows => {
            let open = Open { more: true, after: Some(after), ..Open::default() };
            Flow::Rows { known: Arc::default(), open: Arc::new(open) }
        }
    }
}
