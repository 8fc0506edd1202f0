//! A part of a workflow: `--only`, `--from`, `--until`. What is not in the part is left alone, its results too; what the part needs
//! from outside itself must be in the store already.

use std::collections::{BTreeMap, BTreeSet};

use super::error::RunError;
use crate::session::unknown;
use crate::workflow::{Node, Origin, Workflow, node_of};

/// Which part of a workflow is run; each names stages by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These stages and no other.
    Only(Vec<String>),
    /// These stages and all that need them.
    From(Vec<String>),
    /// These stages and all that they need.
    Until(Vec<String>),
}

/// Leaves in a workflow what a part of it works on.
pub fn narrow(mut workflow: Workflow, selection: &Selection) -> Result<Workflow, RunError> {
    let (Selection::Only(ids) | Selection::From(ids) | Selection::Until(ids)) = selection;
    for id in ids {
        known(&workflow, id)?;
    }
    let named: BTreeSet<String> = ids.iter().cloned().collect();
    let needs: BTreeMap<&str, BTreeSet<&str>> =
        workflow.nodes.iter().map(|node| (node.id.as_str(), siblings(node).collect())).collect();
    let works = match selection {
        Selection::Only(_) => named,
        Selection::From(_) => reached(named, |known, id| needs[id].iter().any(|need| known.contains(*need)), &needs),
        Selection::Until(_) => needed(named, &needs),
    };
    let stays = needed(works.clone(), &needs);
    workflow.kept_only = stays.difference(&works).cloned().collect();
    let (nodes, left) = workflow.nodes.into_iter().partition(|node| stays.contains(&node.id));
    workflow.nodes = nodes;
    let names: BTreeSet<&str> = workflow.nodes.iter().flat_map(Node::and_body).flat_map(Node::asset_names).collect();
    workflow.assets.retain(|name, _| names.contains(name.as_str()));
    workflow.left_alone = left.into_iter().map(|node: Node| node.id).collect();
    workflow.skipped.retain(|skipped| stays.contains(node_of(&skipped.id)));
    workflow.report.compare.retain(|id| stays.contains(id));
    Ok(workflow)
}

fn known(workflow: &Workflow, id: &str) -> Result<(), RunError> {
    if workflow.nodes.iter().any(|node| node.id == id) {
        return Ok(());
    }
    if let Some(skipped) = workflow.skipped.iter().find(|skipped| skipped.id == id) {
        return Err(RunError::Unknown(format!("`{id}` will not run: {}", skipped.because)));
    }
    let around = id.split_once('/').map(|(around, _)| around);
    if let Some(around) = around.filter(|around| workflow.nodes.iter().any(|node| node.id == *around)) {
        return Err(RunError::Unknown(format!("`{id}` is in a loop, which runs as a whole: name `{around}`")));
    }
    Err(unknown(&format!("there is no stage `{id}`"), id, workflow.nodes.iter().map(|node| node.id.as_str())))
}

/// Returns the nodes a node reads from; those its loop's body reads from are among its own needs.
fn siblings(node: &Node) -> impl Iterator<Item = &str> {
    node.needs.iter().filter_map(|need| match &need.from {
        Origin::Sibling { node, .. } | Origin::Outside { node, .. } => Some(node.as_str()),
        Origin::LoopState => None,
    })
}

fn needed(these: BTreeSet<String>, needs: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeSet<String> {
    reached(these, |known, id| known.iter().any(|by| needs[by.as_str()].contains(id)), needs)
}

/// Adds what is next to what is known until there is no more.
fn reached(
    mut known: BTreeSet<String>,
    is_next: impl Fn(&BTreeSet<String>, &str) -> bool,
    all: &BTreeMap<&str, BTreeSet<&str>>,
) -> BTreeSet<String> {
    loop {
        let more: Vec<&str> = all.keys().copied().filter(|id| !known.contains(*id) && is_next(&known, id)).collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more.into_iter().map(str::to_owned));
    }
}
