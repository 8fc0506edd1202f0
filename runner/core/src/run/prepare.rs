//! A workflow made ready to be planned or run: every stage with its fingerprint, the inputs it sees and where they come from.
//! Files are digested here and nothing is computed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::artifact::KindName;
use crate::cache::files::UserFiles;
use crate::cache::key::{Fingerprint, canonical, fingerprint};
use crate::digest::Digest;
use crate::stage::{DROPPED, Slot, StageError};
use crate::workflow::{Collect, MarkKind, Node, NodeWork, Origin, StageNode, Workflow};

/// Says of a row whether it leaves a loop.
pub(crate) type Ends = fn(&str) -> bool;

/// A stage ready to be asked for its units.
pub(crate) struct Prepared {
    /// Its id; `loop/stage` in a loop's body.
    pub(crate) id: String,
    pub(crate) fingerprint: Fingerprint,
    /// The connected inputs it sees something of, in slot order.
    pub(crate) inputs: Vec<Wire>,
    /// Its outputs.
    pub(crate) outputs: Vec<Slot>,
    /// Which output tells what was left out.
    pub(crate) dropped: Option<usize>,
    /// Files and folders engines open by themselves; they must not change while the stage works.
    pub(crate) opens: Vec<PathBuf>,
}

/// A connected input.
pub(crate) struct Wire {
    pub(crate) slot: Slot,
    pub(crate) from: Origin,
}

/// A node ready to run.
pub(crate) enum PreparedNode {
    Stage(Arc<Prepared>),
    Loop { body: Vec<Arc<Prepared>>, ends: Ends },
}

impl PreparedNode {
    /// Returns its stages: itself, or those of its body.
    pub(crate) fn stages(&self) -> &[Arc<Prepared>] {
        match self {
            Self::Stage(stage) => std::slice::from_ref(stage),
            Self::Loop { body, .. } => body,
        }
    }
}

/// Prepares every node. `ends` tells for kinds that a loop can carry whether a row leaves it.
pub(crate) fn prepare(
    workflow: &Workflow,
    ends: &BTreeMap<KindName, Ends>,
    files: &UserFiles,
) -> Result<Vec<PreparedNode>, (String, StageError)> {
    let one = |node: &Node| match &node.work {
        NodeWork::Stage(stage) => prepare_stage(node, stage, node.id.clone(), workflow, files).map(PreparedNode::Stage),
        NodeWork::Loop(inner) => {
            let body = inner.body.iter().map(|member| {
                let stage = member.stage().expect("no body node is a loop");
                prepare_stage(member, stage, format!("{}/{}", node.id, member.id), workflow, files)
            });
            let kind = node.needs.iter().find(|need| need.slot == "over").map(|need| need.kind);
            let ends = kind.and_then(|kind| ends.get(kind)).copied().ok_or_else(|| {
                let story = format!("the loop runs over `{}`, which nothing can carry", kind.unwrap_or("nothing"));
                (node.id.clone(), StageError::Bug(story))
            })?;
            Ok(PreparedNode::Loop { body: body.collect::<Result<_, _>>()?, ends })
        }
    };
    let prepared = workflow.nodes.iter().map(one).collect();
    files.remember();
    prepared
}

/// Makes a stage ready: its fingerprint, the inputs it sees.
pub(crate) fn prepare_stage(
    node: &Node,
    stage: &StageNode,
    id: String,
    workflow: &Workflow,
    files: &UserFiles,
) -> Result<Arc<Prepared>, (String, StageError)> {
    tracing::debug!(stage = id, "fingerprint");
    let fingerprint = fingerprint(stage, workflow, files).map_err(|error| (id.clone(), error))?;
    let mut inputs = Vec::new();
    for slot in stage.stage.inputs() {
        // What shows nothing is there for the report alone.
        let shows = slot.view.is_none_or(|view| !view.is_empty());
        if let Some(need) = node.needs.iter().find(|need| need.slot == slot.name).filter(|_| shows) {
            inputs.push(Wire { slot, from: need.from.clone() });
        }
    }
    let outputs = stage.stage.outputs();
    let dropped = outputs.iter().position(|slot| slot.name == DROPPED);
    Ok(Arc::new(Prepared { id, fingerprint, inputs, outputs, dropped, opens: opens(stage, workflow) }))
}

/// Returns the paths of a stage and of what it names. A shelf holds too much to be watched; what is listed of it is read with care.
fn opens(stage: &StageNode, workflow: &Workflow) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for mark in &stage.marks {
        let Some(text) = stage.identity.pointer(&mark.pointer).and_then(|value| value.as_str()) else { continue };
        match mark.what {
            MarkKind::File | MarkKind::Dir => paths.push(PathBuf::from(text)),
            MarkKind::Shelf => {}
            MarkKind::Asset => {
                let entry = workflow.assets.get(text).into_iter();
                paths.extend(entry.flat_map(|entry| {
                    let path = |mark: &crate::workflow::Mark| entry.identity.pointer(&mark.pointer)?.as_str();
                    entry.marks.iter().filter_map(path).map(PathBuf::from).collect::<Vec<_>>()
                }));
            }
        }
    }
    paths
}

/// Returns the digest of everything a run's results and its report depend on: all fingerprints, how the stages hang together, and
/// whether a record's fault ends the run, for a run that went on does not answer for one that must not.
pub(crate) fn run_digest(workflow: &Workflow, prepared: &[PreparedNode], limit: Option<u64>) -> Digest {
    let mut parts: Vec<String> = vec![format!("{limit:?} {:?}", workflow.report.compare)];
    for (node, prepared) in workflow.nodes.iter().zip(prepared) {
        parts.push(format!("{} {:?}", node.id, node.common.on_error));
        parts.extend(node.needs.iter().map(|need| format!("{} {:?}", need.slot, need.from)));
        match (&node.work, prepared) {
            (NodeWork::Loop(inner), PreparedNode::Loop { body, .. }) => {
                parts.push(format!("loop {} {:?}", inner.max_steps, inner.carry));
                let names = node.outputs.iter().map(|port| port.name.as_str());
                parts.extend(
                    names.zip(&inner.collect).map(|(name, collect): (_, &Collect)| format!("{name} {collect:?}")),
                );
                for (member, prepared) in inner.body.iter().zip(body) {
                    parts.push(format!("{} {:?}", prepared.id, member.common.on_error));
                    parts.extend(member.needs.iter().map(|need| format!("{} {:?}", need.slot, need.from)));
                    parts.push(canonical(&prepared.fingerprint.ingredients));
                }
            }
            (_, PreparedNode::Stage(prepared)) => parts.push(canonical(&prepared.fingerprint.ingredients)),
            (NodeWork::Stage(_), PreparedNode::Loop { .. }) => {}
        }
    }
    Digest::of_parts(parts.iter().map(String::as_bytes))
}
