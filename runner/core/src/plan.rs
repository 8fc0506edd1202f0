//! What a run would compute, told before it happens. Three answers, all honest: a unit is in the store; it is not, and why; or it
//! depends on what another stage will give.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cache::store::Store;
use crate::report::record::{Counts, RunRecord};
use crate::report::wording::{count, counted};
use crate::run::RunError;
use crate::run::node::Told;
use crate::run::prepare::PreparedNode;
use crate::run::schedule::Results;
use crate::session::{self, maker, needs_by_id};
use crate::stage::Work;
use crate::why;
use crate::workflow::{Need, NodeWork, Origin, Workflow, node_of};

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every stage that would run, in topological order, those of loop bodies included; loops themselves compute nothing.
    pub stages: Vec<Planned>,
    /// Stages that would not, and why.
    pub skipped: Vec<(String, String)>,
}

/// What a run would do for one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its id; `loop/stage` in a loop's body.
    pub id: String,
    /// Units in the store.
    pub cached: u64,
    /// Units, or of a stage that works on everything at once records, that are in the store as set aside.
    pub aside: u64,
    /// Units that would be computed.
    pub runs: u64,
    /// Whether more units follow from what other stages will give.
    pub undecided: bool,
    /// Those of the stages it reads from that would run or are undecided themselves.
    pub after: Vec<String>,
    /// Whether it is not asked to compute, so that a run would end where it had to.
    pub kept_only: bool,
    /// Why units would be computed, most telling first; why all would be, if the stage itself is not what it was.
    pub because: Vec<String>,
}

impl Plan {
    /// Makes a plan of what came of a walk that computed nothing.
    pub(crate) fn of(
        workflow: &Workflow,
        prepared: &[PreparedNode],
        store: &Store,
        results: Results,
    ) -> Result<Self, RunError> {
        let needs = needs_by_id(workflow);
        let open: BTreeSet<&str> = results.iter().flat_map(|(told, _)| told).flat_map(open).collect();
        let mut stages = Vec::new();
        for told in results.iter().flat_map(|(told, _)| told).filter(|told| told.fingerprint.is_some()) {
            let makers = needs[&told.id].iter().flat_map(|need| makers(workflow, &needs, need, &told.id, &open));
            let after: BTreeSet<String> = makers.filter(|maker| open.contains(maker.as_str())).collect();
            stages.push(Planned {
                runs: told.tally.missed.len() as u64,
                undecided: told.tally.undecided > 0,
                after: after.into_iter().collect(),
                because: why::because(workflow, prepared, store, told)?,
                ..Planned::kept(workflow, &told.id, &told.tally.counts)
            });
        }
        Ok(Self { stages, skipped: skipped(workflow) })
    }

    /// Makes the plan of a workflow that has run as it is, of which nothing is gone: everything is kept.
    pub(crate) fn of_done(workflow: &Workflow, record: &RunRecord) -> Self {
        let stages = record.stages.iter().filter(|stage| stage.fingerprint.is_some());
        let stages = stages.map(|stage| Planned::kept(workflow, &stage.id, &stage.counts));
        Self { stages: stages.collect(), skipped: skipped(workflow) }
    }

    /// Whether a run would compute nothing.
    pub fn is_all_cached(&self) -> bool {
        self.stages.iter().all(|stage| stage.runs == 0 && !stage.undecided)
    }
}

/// Returns the stages whose records come in. The state of a loop comes from what the loop runs over, or, where that is known, from
/// the step before.
fn makers(
    workflow: &Workflow,
    needs: &BTreeMap<String, Vec<&Need>>,
    need: &Need,
    id: &str,
    open: &BTreeSet<&str>,
) -> Vec<String> {
    let (maker, _) = maker(&need.from, id);
    let (Origin::LoopState, Some(NodeWork::Loop(inner))) = (&need.from, workflow.node(&maker).map(|node| &node.work))
    else {
        return vec![maker];
    };
    let over = needs[&maker].iter().filter(|need| need.slot == "over").map(|need| session::maker(&need.from, &maker).0);
    let over: Vec<String> = over.filter(|over| open.contains(over.as_str())).collect();
    if over.is_empty() { vec![format!("{maker}/{}", inner.carry.0)] } else { over }
}

/// Returns the stage, and the loop around it, if it would run or is undecided.
fn open(told: &Told) -> impl Iterator<Item = &str> {
    let around = told.id.split_once('/').map(|(around, _)| around);
    [Some(told.id.as_str()), around].into_iter().flatten().filter(|_| told.tally.is_open())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or_default();
        for stage in &self.stages {
            writeln!(f, "{:width$}  {}", stage.id, stage.answer())?;
            for reason in &stage.because {
                writeln!(f, "{:width$}    because {reason}", "")?;
            }
        }
        for (id, because) in &self.skipped {
            writeln!(f, "{id:width$}  skipped: {because}")?;
        }
        Ok(())
    }
}

fn skipped(workflow: &Workflow) -> Vec<(String, String)> {
    workflow.skipped.iter().map(|one| (one.id.clone(), one.because.clone())).collect()
}

impl Planned {
    /// Says of a stage what is kept, and that nothing else is wanted.
    fn kept(workflow: &Workflow, id: &str, counts: &Counts) -> Self {
        let aside = counts.quarantined.values().sum();
        let works_by_units = workflow.stage(id).is_some_and(|one| matches!(one.stage.work(), Work::Units(_)));
        Self {
            id: id.to_owned(),
            // What a run computed is kept since.
            cached: counts.hits + counts.computed - if works_by_units { aside } else { 0 },
            aside,
            runs: 0,
            undecided: false,
            after: Vec::new(),
            kept_only: workflow.kept_only.contains(node_of(id)),
            because: Vec::new(),
        }
    }

    fn answer(&self) -> String {
        let cached = if self.cached > 0 { format!(", {} cached", self.cached) } else { String::new() };
        let after = self.after.join(", ");
        let aside = if self.aside > 0 { format!(", {} set aside", count(self.aside)) } else { String::new() };
        let answer = match (self.runs, self.undecided) {
            (0, false) if self.aside > 0 => format!("{} cached", counted(self.cached, "unit")),
            (0, false) => format!("cached ({})", counted(self.cached, "unit")),
            (0, true) if !self.because.is_empty() => format!("runs after {after}{cached}"),
            (0, true) if self.cached == 0 => format!("decided after {after}: cached where that gives the same records"),
            (0, true) => format!("{} cached; more is decided after {after}", counted(self.cached, "unit")),
            (runs, true) => format!("runs {}{cached}; more is decided after {after}", counted(runs, "unit")),
            (runs, false) => format!("runs {}{cached}", counted(runs, "unit")),
        };
        let stop = if self.kept_only && self.runs > 0 { "; it is not asked to, so the run would end here" } else { "" };
        answer + &aside + stop
    }
}
