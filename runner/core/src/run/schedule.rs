//! Who works when: every node in a thread of its own as soon as what it needs is there. Stages that compute on the device take
//! turns, batch by batch. When one node fails or the user asks to stop, nothing new begins and work in hand ends soon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;

use super::context::Context;
use super::error::RunError;
use super::node::{Flows, Told, work};
use super::prepare::PreparedNode;
use super::publish::{Published, Publisher};
use crate::reporter::Event;
use crate::stage::StageError;
use crate::workflow::Node;

/// What came of all nodes, in topological order.
pub(crate) type Results = Vec<(Vec<Told>, Published)>;

/// What came of one node.
type NodeResult = Result<(Flows, Vec<Told>, Published), RunError>;

/// Works on every node, on threads of its own. `publisher` puts results in their place; a plan has none.
pub(crate) fn execute(
    context: &Arc<Context>,
    prepared: &Arc<Vec<PreparedNode>>,
    publisher: Option<Arc<Publisher>>,
) -> Result<Results, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::Stage {
        stage: "the run itself".into(),
        error: StageError::World("no thread can be started".into(), Some(Box::new(error))),
    })?;
    let result = runtime.block_on(async {
        let signals = tokio::spawn(context.stop.clone().on_signals());
        let result = tokio::select! {
            result = all(context, prepared, publisher) => result,
            () = context.stop.asked(2) => Err(RunError::Aborted),
        };
        signals.abort();
        result
    });
    // Threads at work end with the process if they were not waited for.
    runtime.shutdown_background();
    result
}

async fn all(
    context: &Arc<Context>,
    prepared: &Arc<Vec<PreparedNode>>,
    publisher: Option<Arc<Publisher>>,
) -> Result<Results, RunError> {
    let nodes = &context.workflow.nodes;
    let mut waiting: BTreeSet<usize> = (0..nodes.len()).collect();
    let mut flows = Flows::new();
    let mut results: BTreeMap<usize, (Vec<Told>, Published)> = BTreeMap::new();
    let mut working: JoinSet<(usize, NodeResult)> = JoinSet::new();
    let mut error: Option<RunError> = None;
    let mut told_stopping = false;
    loop {
        if error.is_none() && !context.is_stopping() {
            let free = context.jobs - working.len();
            for index in ready(nodes, &waiting, &flows).into_iter().take(free) {
                waiting.remove(&index);
                let (context, prepared, publisher) = (context.clone(), prepared.clone(), publisher.clone());
                let flows = flows.clone();
                working.spawn_blocking(move || (index, one(&context, index, &prepared, &flows, publisher.as_deref())));
            }
        }
        let joined = tokio::select! {
            joined = working.join_next() => joined,
            () = context.stop.asked(1), if !told_stopping => {
                told_stopping = true;
                context.tell(&Event::Stopping);
                continue;
            }
        };
        match joined {
            None => break,
            Some(Ok((index, Ok((out, told, published))))) => {
                flows.extend(out);
                results.insert(index, (told, published));
            }
            Some(Ok((_, Err(found)))) => {
                context.failed.store(true, Ordering::Relaxed);
                // What was cancelled because something else failed is not the reason.
                if error.is_none() || error.as_ref().is_some_and(is_cancelled) {
                    error = Some(found);
                }
            }
            Some(Err(panic)) => {
                context.failed.store(true, Ordering::Relaxed);
                let error_here = StageError::Bug(format!("a thread panicked: {panic}"));
                error = Some(RunError::Stage { stage: "the run itself".into(), error: error_here });
            }
        }
    }
    match error {
        Some(error) if context.stop.is_asked() && is_cancelled(&error) => Err(RunError::Interrupted),
        Some(error) => Err(error),
        None if waiting.is_empty() => Ok(results.into_values().collect()),
        None => Err(RunError::Interrupted),
    }
}

/// Returns the nodes whose needs are all there.
fn ready(nodes: &[Node], waiting: &BTreeSet<usize>, flows: &Flows) -> Vec<usize> {
    let is_there = |need: &crate::workflow::Need| match &need.from {
        crate::workflow::Origin::Sibling { node, output } | crate::workflow::Origin::Outside { node, output } => {
            flows.contains_key(&(node.clone(), output.clone()))
        }
        crate::workflow::Origin::LoopState => true,
    };
    waiting.iter().copied().filter(|index| nodes[*index].needs.iter().all(is_there)).collect()
}

fn one(
    context: &Context,
    index: usize,
    prepared: &[PreparedNode],
    flows: &Flows,
    publisher: Option<&Publisher>,
) -> NodeResult {
    let node = &context.workflow.nodes[index];
    let _span = tracing::info_span!("stage", id = node.id).entered();
    let done = work(context, node, &prepared[index], flows)?;
    let published = match publisher {
        Some(publisher) => publisher.publish(&context.store, &done.told[0])?,
        None => Published::default(),
    };
    if let (Some(first), true) = (done.told.first(), publisher.is_some()) {
        let outputs = first.outputs.iter().map(|(port, artifact)| {
            (port.name.as_str(), port.form, artifact.as_ref().map_or(0, |artifact| artifact.size().1))
        });
        context.tell(&Event::StageFinished {
            stage: &node.id,
            counts: &first.tally.counts,
            outputs: outputs.collect(),
            wall_ms: first.tally.wall_ms,
        });
    }
    let names = node.outputs.iter().map(|port| (node.id.clone(), port.name.clone()));
    Ok((names.zip(done.flows).collect(), done.told, published))
}

fn is_cancelled(error: &RunError) -> bool {
    matches!(error, RunError::Stage { error: StageError::Cancelled, .. } | RunError::Interrupted)
}
