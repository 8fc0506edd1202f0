//! A stage that works on everything at once: one key, one result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Worker;
use super::context::OnMiss;
use super::error::RunError;
use super::flow::{Flow, Held, Open};
use super::units::{Tally, count_reasons, seen_of};
use crate::artifact::{Form, Rows, rows_digest};
use crate::cache::kept::{Artifact, Part, RowsRef, Traced, UnitRef};
use crate::cache::key::{content_key, units_digest, whole_key};
use crate::digest::Digest;
use crate::stage::{StageError, Units, WholeInputs, WholeOutput, Work};
use crate::workflow::Node;

/// What came in, and the key it makes.
struct Asked {
    inputs: WholeInputs,
    traced: Traced,
}

impl Worker<'_> {
    /// Answers with all outputs. `inputs` are in the order of the stage's wires.
    pub(crate) fn answer_whole(&self, node: &Node, inputs: &[Flow], tally: &mut Tally) -> Result<Vec<Flow>, RunError> {
        let began = Instant::now();
        tally.counts.units = 1;
        if let Some(after) = inputs.iter().find_map(Flow::after) {
            tally.undecided = 1;
            return Ok(node.outputs.iter().map(|port| open(port.form, after.clone())).collect());
        }
        let Asked { inputs, traced } = self.ask(inputs)?;
        let key = traced.key;
        tally.trace.push(traced);
        let found = self.context.store.whole(&key)?;
        self.context.pass_warnings();
        let outputs = match (found, self.context.on_miss) {
            (Some(outputs), _) => {
                tally.counts.hits = 1;
                outputs
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
                self.compute_whole(key, &inputs)?
            }
        };
        self.count_dropped(&outputs, tally)?;
        tally.wall_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(outputs.into_iter().map(Flow::from).collect())
    }

    fn ask(&self, flows: &[Flow]) -> Result<Asked, RunError> {
        let mut inputs = WholeInputs::default();
        let mut digests = Vec::new();
        for (wire, flow) in self.prepared.inputs.iter().zip(flows) {
            let slot = wire.slot.name;
            match flow {
                Flow::Files(Ok(files)) => {
                    digests.push((slot, files.digest()));
                    inputs.files.insert(slot, files.clone());
                }
                Flow::Files(Err(_)) => unreachable!("nothing is open, or the caller would not be here"),
                Flow::Rows { known, .. } => {
                    let mut units: Units = Vec::with_capacity(known.len());
                    for unit in known.iter() {
                        let held = Held::away(unit.rows.clone());
                        let rows = seen_of(self, &held, wire.slot.view).map_err(|error| self.failed(error))?;
                        units.push((unit.id.clone(), rows));
                    }
                    let digest = units_digest(units.iter().map(|(id, rows)| (&**id, rows_digest(rows))));
                    digests.push((slot, digest));
                    inputs.rows.insert(slot, Arc::new(units));
                }
            }
        }
        let key = whole_key(&self.prepared.fingerprint.digest, &digests);
        let digests = digests.into_iter().map(|(_, digest)| digest).collect();
        Ok(Asked { inputs, traced: Traced { id: "".into(), step: 0, key, inputs: digests } })
    }

    fn compute_whole(&self, key: Digest, inputs: &WholeInputs) -> Result<Vec<Artifact>, RunError> {
        let Work::Whole(work) = self.stage.work() else {
            return Err(self.failed(StageError::Bug("a stage that works unit by unit was asked for everything".into())));
        };
        self.attempt(
            key,
            |job| work.run(inputs, job).and_then(|outputs| self.checked_whole(outputs)),
            |(outputs, rows), blobs| {
                Ok(self.context.store.keep_whole(&self.prepared.fingerprint, &key, outputs, &rows, &blobs)?)
            },
        )
    }

    /// Checks that what a stage returned is what it promised, and says where its rows will be kept.
    fn checked_whole(&self, outputs: Vec<WholeOutput>) -> Result<(Vec<Artifact>, Vec<Arc<Rows>>), StageError> {
        let promised = self.prepared.outputs.len();
        if outputs.len() != promised {
            return Err(StageError::Bug(format!("{promised} outputs were promised and {} came", outputs.len())));
        }
        let (mut artifacts, mut kept) = (Vec::new(), Vec::new());
        for output in outputs {
            let units = match output {
                WholeOutput::Files(files) => {
                    artifacts.push(Artifact::Files(Arc::new(files)));
                    continue;
                }
                WholeOutput::Rows(units) => units,
            };
            let mut ids = BTreeSet::new();
            let mut listed = Vec::with_capacity(units.len());
            for (id, rows) in units {
                if !ids.insert(id.clone()) {
                    return Err(StageError::Bug(format!("two records are called `{id}`")));
                }
                if let Some(row) = rows.iter().find(|row| row.contains('\n')) {
                    return Err(StageError::Bug(format!("a row has a line break: {row:.200}")));
                }
                let digest = rows_digest(&rows);
                let part = Part { key: content_key(&digest), output: 0 };
                let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                listed.push(UnitRef { id, step: 0, rows: RowsRef { digest, count, parts: Arc::new([part]) } });
                kept.push(Arc::new(rows));
            }
            artifacts.push(Artifact::Rows(Arc::new(listed)));
        }
        Ok((artifacts, kept))
    }

    fn count_dropped(&self, outputs: &[Artifact], tally: &mut Tally) -> Result<(), RunError> {
        if let Some(Artifact::Rows(units)) = self.prepared.dropped.and_then(|output| outputs.get(output)) {
            for unit in units.iter() {
                count_reasons(&*self.context.store.rows(&unit.rows)?, &mut tally.counts.dropped);
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
