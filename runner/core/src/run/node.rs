//! One node of the graph, from what flows in to what flows out. Inputs of a stage that works unit by unit are joined on the
//! record's id, in the order of its first input; files are the same for every unit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attempt::Worker;
use super::context::{Context, OnMiss};
use super::error::{RunError, TooMany};
use super::flow::{Answer, Ask, Flow, Given, Held, Open};
use super::looped::LoopWork;
use super::prepare::{Prepared, PreparedNode};
use super::units::Tally;
use crate::artifact::KindName;
use crate::cache::kept::{Artifact, RowsRef, UnitRef};
use crate::digest::Digest;
use crate::reporter::Event;
use crate::stage::Work;
use crate::workflow::{Node, NodeWork, Origin, Port};

/// The share of units, in percent, that may be set aside before a stage fails.
const QUARANTINE_PERCENT_MAX: u64 = 5;

/// Units whose rows are held at once.
const UNITS_HELD: usize = 1024;

/// The output under which the states of a loop's records are known to its body's inputs.
pub(crate) const STATE: &str = "state";

/// Everything that has flowed so far: (stage, output) → what.
pub(crate) type Flows = BTreeMap<(String, String), Flow>;

/// What came of a node.
pub(crate) struct NodeDone {
    /// What flows out, in the order of its ports.
    pub(crate) flows: Vec<Flow>,
    /// The node, followed by the stages of its body.
    pub(crate) told: Vec<Told>,
}

/// What is told of one stage, or of a loop.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) fingerprint: Option<Digest>,
    pub(crate) outputs: Vec<(Port, Option<Artifact>)>,
    pub(crate) tally: Tally,
    /// Of a loop: the states its records went through.
    pub(crate) states: Option<Artifact>,
}

/// Does a node's work.
pub(crate) fn work(
    context: &Context,
    node: &Node,
    prepared: &PreparedNode,
    flows: &Flows,
) -> Result<NodeDone, RunError> {
    let done = match (&node.work, prepared) {
        (NodeWork::Stage(stage), PreparedNode::Stage(prepared)) => {
            let worker = Worker { context, stage: stage.stage.as_ref(), common: &node.common, prepared };
            work_stage(worker, node, stage.kind, flows)?
        }
        (NodeWork::Loop(inner), PreparedNode::Loop { body, ends }) => {
            context.tell(&Event::StageStarted { stage: &node.id, kind: "loop", records: Some(records(flows, node)) });
            LoopWork { context, node, inner, body, ends: *ends }.work(flows)?
        }
        _ => unreachable!("nodes are prepared one by one, in order"),
    };
    for told in &done.told {
        not_too_many_faults(context, told)?;
    }
    Ok(done)
}

fn work_stage(worker: Worker<'_>, node: &Node, kind: KindName, flows: &Flows) -> Result<NodeDone, RunError> {
    let inputs: Vec<Flow> = worker.prepared.inputs.iter().map(|wire| flow(flows, &wire.from)).collect();
    let mut tally = Tally::default();
    let records = match worker.stage.work() {
        Work::Units(_) => Some(records(flows, node)),
        Work::Whole(_) => None,
    };
    worker.context.tell(&Event::StageStarted { stage: &node.id, kind, records });
    let mut out = match worker.stage.work() {
        Work::Whole(_) => worker.answer_whole(node, &inputs, &mut tally)?,
        Work::Units(_) => {
            let Joined { asks, open, unmatched } = join(&inputs, worker.prepared);
            tally.counts.unmatched = unmatched;
            tally.undecided = open.units();
            tally.of = Some(asks.len() as u64);
            answer_all(&worker, &asks, open, node.outputs.len(), &mut tally)?
        }
    };
    if let (true, Some(limit)) = (node.needs.is_empty(), worker.context.limit) {
        tally.counts.held_back = out.iter_mut().map(|flow| shorten(flow, limit)).max().unwrap_or_default();
    }
    let told = Told {
        id: node.id.clone(),
        kind: kind.to_owned(),
        fingerprint: Some(worker.prepared.fingerprint.digest),
        outputs: node.outputs.iter().cloned().zip(out.iter().map(Flow::artifact)).collect(),
        tally,
        states: None,
    };
    Ok(NodeDone { flows: out, told: vec![told] })
}

/// What a stage that works unit by unit is asked for.
struct Joined {
    asks: Vec<Ask>,
    open: Open,
    /// Records without a partner in another input.
    unmatched: u64,
}

fn join(inputs: &[Flow], prepared: &Prepared) -> Joined {
    let mut joined = Joined { asks: Vec::new(), open: Open::default(), unmatched: 0 };
    // A big set of files is digested once, not once a record.
    let digests: Vec<Option<Digest>> = inputs.iter().map(files_digest).collect();
    let rows = |flow: &Flow| match flow {
        Flow::Rows { known, open } => Some((known.clone(), open.clone())),
        Flow::Files(_) => None,
    };
    let Some((lead, lead_open)) = inputs.iter().find_map(rows) else { return joined };
    let others: Vec<Option<BTreeMap<&str, &RowsRef>>> = inputs.iter().map(by_id).collect();
    for unit in lead.iter() {
        let mut given = Vec::with_capacity(inputs.len());
        let mut open_after = None;
        let mut is_matched = true;
        for ((flow, others), digest) in inputs.iter().zip(&others).zip(&digests) {
            match (flow, others.as_ref().and_then(|others| others.get(&*unit.id))) {
                (Flow::Files(Ok(files)), _) => given.extend(digest.map(|digest| Given::Files(files.clone(), digest))),
                (Flow::Rows { .. }, Some(rows)) => given.push(Given::Rows(Held::away((*rows).clone()))),
                (Flow::Rows { open, .. }, None) if open.may_bring(&unit.id) => open_after = flow.after(),
                (Flow::Rows { .. }, None) => is_matched = false,
                (Flow::Files(Err(after)), _) => open_after = Some(after),
            }
        }
        match (is_matched, open_after) {
            (false, _) => joined.unmatched += 1,
            (true, Some(after)) => joined.open.leave(&unit.id, after),
            (true, None) => joined.asks.push(Ask { id: unit.id.clone(), step: 0, inputs: given }),
        }
    }
    if let Some(after) = &lead_open.after {
        joined.open.ids.extend(lead_open.ids.iter().cloned());
        joined.open.more |= lead_open.more;
        joined.open.after.get_or_insert_with(|| after.clone());
    }
    let known: BTreeSet<&str> = lead.iter().map(|unit| &*unit.id).collect();
    let strangers = others.iter().flatten().flat_map(BTreeMap::keys);
    let strangers = strangers.filter(|id| !known.contains(*id) && !lead_open.may_bring(id));
    joined.unmatched += strangers.collect::<BTreeSet<_>>().len() as u64;
    debug_assert_eq!(inputs.len(), prepared.inputs.len());
    joined
}

/// Returns the digest of files that are known.
fn files_digest(flow: &Flow) -> Option<Digest> {
    match flow {
        Flow::Files(Ok(files)) => Some(files.digest()),
        Flow::Files(Err(_)) | Flow::Rows { .. } => None,
    }
}

fn by_id(flow: &Flow) -> Option<BTreeMap<&str, &RowsRef>> {
    match flow {
        Flow::Rows { known, .. } => Some(known.iter().map(|unit| (&*unit.id, &unit.rows)).collect()),
        Flow::Files(_) => None,
    }
}

/// Answers all units of a stage. Their rows are held for some of them at a time; what flows on is where they are kept.
fn answer_all(
    worker: &Worker<'_>,
    asks: &[Ask],
    mut open: Open,
    outputs: usize,
    tally: &mut Tally,
) -> Result<Vec<Flow>, RunError> {
    let mut known: Vec<Vec<UnitRef>> = vec![Vec::with_capacity(asks.len()); outputs];
    let after: Arc<str> = worker.prepared.id.as_str().into();
    let batches = (UNITS_HELD / worker.batch()).max(1);
    for asks in asks.chunks(batches * worker.batch()) {
        for (ask, answer) in asks.iter().zip(worker.answer(asks, tally)?) {
            match answer {
                Answer::Rows(held) => {
                    for (known, held) in known.iter_mut().zip(held) {
                        known.push(UnitRef { id: ask.id.clone(), step: 0, rows: held.at });
                    }
                }
                Answer::Aside => {}
                Answer::Open => open.leave(&ask.id, &after),
            }
        }
    }
    let open = Arc::new(open);
    Ok(known.into_iter().map(|known| Flow::Rows { known: Arc::new(known), open: open.clone() }).collect())
}

/// Holds records beyond a limit back; returns how many.
fn shorten(flow: &mut Flow, limit: u64) -> u64 {
    let Flow::Rows { known, .. } = flow else { return 0 };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let beyond = known.len().saturating_sub(limit);
    if beyond > 0 {
        *known = Arc::new(known[..limit].to_vec());
    }
    beyond as u64
}

/// Returns what an origin outside a loop's body gives.
pub(crate) fn flow(flows: &Flows, from: &Origin) -> Flow {
    let (Origin::Sibling { node, output } | Origin::Outside { node, output }) = from else {
        unreachable!("only a loop's body reads its state");
    };
    flows.get(&(node.clone(), output.clone())).cloned().expect("nodes run after what they need")
}

/// Returns how many records come in through the first input of rows.
fn records(flows: &Flows, node: &Node) -> u64 {
    let rows = node.needs.iter().find_map(|need| match flow(flows, &need.from) {
        Flow::Rows { known, .. } => Some(known.len()),
        Flow::Files(_) => None,
    });
    rows.unwrap_or_default() as u64
}

fn not_too_many_faults(context: &Context, told: &Told) -> Result<(), RunError> {
    let faults: u64 = told.tally.counts.quarantined.values().sum();
    let of = told.tally.records;
    if context.on_miss == OnMiss::Tell || faults * 100 <= of * QUARANTINE_PERCENT_MAX {
        return Ok(());
    }
    Err(RunError::Quarantine(TooMany {
        stage: told.id.clone(),
        faults,
        of,
        percent: QUARANTINE_PERCENT_MAX,
        told: told.tally.quarantined.clone(),
        list: None,
    }))
}
