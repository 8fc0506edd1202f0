//! What a report shows, gathered: every stage is asked for its widgets over what the store keeps of its inputs and outputs. Stages
//! answered from the store show what they showed when they ran.

use std::sync::Arc;

use super::model::{Edge, ReportModel, Shown};
use super::record::RunRecord;
use super::{ReportIo, ReportUnit, SomeUnits, chosen, left_out};
use crate::artifact::FileSet;
use crate::cache::files::UserFiles;
use crate::cache::kept::{Artifact, UnitRef};
use crate::cache::store::{Store, StoreError};
use crate::digest::Digest;
use crate::run::RunError;
use crate::run::node::STATE;
use crate::session::{maker, needs_by_id};
use crate::stage::StageError;
use crate::workflow::{Need, NodeWork, Workflow};

/// Gathers what the report of a run shows.
pub(crate) fn collect(
    workflow: &Workflow,
    record: &RunRecord,
    store: &Store,
    files: &UserFiles,
) -> Result<ReportModel, RunError> {
    let mut shown = Vec::new();
    let needs = needs_by_id(workflow);
    for told in &record.stages {
        // The workflow may have been edited since.
        let Some(stage) = workflow.stage(&told.id).filter(|stage| stage.kind == told.kind) else { continue };
        let io = Io { id: &told.id, needs: &needs[&told.id], record, store, files };
        let widgets = stage.stage.widgets(&io);
        let widgets = widgets.map_err(|error| RunError::Stage { stage: told.id.clone(), error })?;
        if !widgets.is_empty() {
            shown.push(Shown { stage: told.id.clone(), widgets });
        }
    }
    Ok(ReportModel {
        run: record.clone(),
        edges: edges(workflow),
        shown,
        left_out: left_out::left_out(record, store)?,
        compare: workflow.report.compare.clone(),
    })
}

/// Reads a listing back.
pub(crate) fn listing(store: &Store, digest: &Digest) -> Result<Artifact, StoreError> {
    let lost = || StoreError::Lost(format!("the listing {}", digest.short()));
    Artifact::decode(&store.blob(digest)?.ok_or_else(lost)?).ok_or_else(lost)
}

/// Reads the rows of units back, many in one look.
pub(crate) fn in_order<'s>(
    store: &'s Store,
    units: &'s [UnitRef],
) -> impl Iterator<Item = Result<ReportUnit, StoreError>> + 's {
    let rows = store.rows_in_order(units);
    units.iter().zip(rows).map(|(unit, rows)| Ok(ReportUnit { id: unit.id.clone(), step: unit.step, rows: rows? }))
}

/// Draws every edge, bodies included.
fn edges(workflow: &Workflow) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (id, needs) in needs_by_id(workflow) {
        for need in needs.into_iter().filter(|need| !need.slot.is_empty()) {
            let (from, output) = maker(&need.from, &id);
            edges.push(Edge { from, output, to: id.clone(), slot: need.slot.clone(), kind: need.kind.into() });
        }
    }
    for node in &workflow.nodes {
        let NodeWork::Loop(inner) = &node.work else { continue };
        let (carrier, output) = &inner.carry;
        let kind = inner.body.iter().find(|member| member.id == *carrier);
        let kind = kind.and_then(|member| member.output(output)).map_or("", |port| port.kind);
        edges.push(Edge {
            from: format!("{}/{carrier}", node.id),
            output: output.clone(),
            to: node.id.clone(),
            slot: "carry".into(),
            kind: kind.into(),
        });
    }
    edges
}

/// What one stage took and gave in a run.
struct Io<'a> {
    id: &'a str,
    needs: &'a [&'a Need],
    record: &'a RunRecord,
    store: &'a Store,
    files: &'a UserFiles,
}

impl Io<'_> {
    fn artifact(&self, slot: &str) -> Result<Option<Artifact>, StageError> {
        let (id, output) = match self.needs.iter().find(|need| need.slot == slot) {
            Some(need) => maker(&need.from, self.id),
            None => (self.id.to_owned(), slot.to_owned()),
        };
        let Some(stage) = self.record.stage(&id) else { return Ok(None) };
        let listed = match (stage.states, output.as_str()) {
            (Some(states), STATE) => Some(states),
            _ => stage.outputs.iter().find(|found| found.name == output).map(|found| found.listing),
        };
        listed.map(|digest| listing(self.store, &digest)).transpose().map_err(StageError::from)
    }
}

impl ReportIo for Io<'_> {
    fn rows(&self, slot: &str) -> Result<Vec<ReportUnit>, StageError> {
        match self.artifact(slot)? {
            Some(Artifact::Rows(units)) => Ok(in_order(self.store, &units).collect::<Result<_, _>>()?),
            Some(Artifact::Files(_)) => Err(holds_files(slot)),
            None => Ok(Vec::new()),
        }
    }

    fn some_rows(&self, slot: &str, records_max: usize) -> Result<SomeUnits, StageError> {
        match self.artifact(slot)? {
            Some(Artifact::Rows(units)) => {
                let (records, chosen) = chosen(units.iter().map(|unit| &*unit.id), records_max);
                let units: Vec<UnitRef> = units.iter().filter(|unit| chosen.contains(&*unit.id)).cloned().collect();
                Ok(SomeUnits { units: in_order(self.store, &units).collect::<Result<_, _>>()?, records })
            }
            Some(Artifact::Files(_)) => Err(holds_files(slot)),
            None => Ok(SomeUnits { units: Vec::new(), records: 0 }),
        }
    }

    fn files(&self, slot: &str) -> Result<Option<Arc<FileSet>>, StageError> {
        match self.artifact(slot)? {
            Some(Artifact::Files(files)) => Ok(Some(files)),
            Some(Artifact::Rows(_)) => Err(StageError::Bug(format!("slot `{slot}` holds rows"))),
            None => Ok(None),
        }
    }

    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError> {
        self.files.content(&digest)
    }
}

fn holds_files(slot: &str) -> StageError {
    StageError::Bug(format!("slot `{slot}` holds files"))
}
