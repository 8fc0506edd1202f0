//! What a report shows of one run: the input of its renderers, and of nothing else. It is made from the run's record and from
//! what the store keeps (`report::collect`); how it looks is the renderer's business. Pictures are named by digest;
//! the renderer asks for their content as it needs it.

use serde::{Deserialize, Serialize};

use super::Widget;
use super::record::RunRecord;

/// Everything a report shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportModel {
    /// The run: workflow, parameters, versions, and for every stage what went in, came out, was left out, set aside, found in
    /// the store; how long it took.
    pub run: RunRecord,
    /// The DAG, loop bodies included.
    pub edges: Vec<Edge>,
    /// What stages show, in the order of [`RunRecord::stages`]; stages that show nothing are left out.
    pub shown: Vec<Shown>,
    /// What stages left out and set aside, by stage and reason.
    pub left_out: Vec<LeftOut>,
    /// Stages whose tables stand side by side, as the workflow's `report.compare` says.
    pub compare: Vec<String>,
}

/// An edge of the DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The stage that gives: an id; `loop/stage` in a loop's body.
    pub from: String,
    /// The output's name; `state` for a loop's record as it stands at a step.
    pub output: String,
    /// The stage that takes.
    pub to: String,
    /// The input's name; `over` for what a loop runs over, `carry` (of the loop) for what becomes its next step's record.
    pub slot: String,
    /// The artifact kind that flows.
    pub kind: String,
}

/// What one stage shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    /// The stage: its id; `loop/stage` in a loop's body.
    pub stage: String,
    /// Its widgets.
    pub widgets: Vec<Widget>,
}

/// What one stage left out, or set aside, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The stage: its id; `loop/stage` in a loop's body.
    pub stage: String,
    /// A short stable word.
    pub reason: String,
    /// Rows left out, or units set aside.
    pub count: u64,
    /// Whether it could not be worked on; otherwise it was not wanted.
    pub set_aside: bool,
    /// A few of them, the first.
    pub examples: Vec<Example>,
}

/// One thing that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The root record's id.
    pub record: String,
    /// The loop step.
    pub step: u32,
    /// What it is, or why it could not be worked on.
    pub text: String,
}
