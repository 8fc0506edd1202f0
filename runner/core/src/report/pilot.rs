//! What the whole run would take, by what a pilot took: of stages that work unit by unit, whose time grows with their units.

use std::collections::BTreeMap;

use super::record::{RunRecord, StageRecord};
use super::text::aligned;
use super::wording::{bytes, count, counted, duration, number, safe};
use crate::artifact::Form;
use crate::cache::kept::{Part, Traced, UnitRef};
use crate::digest::Digest;

const NAME_CHARS_MAX: usize = 60;
const STAGES_MAX: usize = 40;

/// What the whole run would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Records of the pilot.
    pub records: u64,
    /// Records of the whole.
    pub of: u64,
    /// Stages that work unit by unit and were measured.
    pub stages: Vec<Left>,
    /// Those of which everything was in the store, so that nothing was measured.
    pub unmeasured: Vec<String>,
    /// Stages that work on everything at once.
    pub at_once: Vec<String>,
    /// What the lists of all units would take more of memory, in bytes.
    pub lists_bytes: u64,
}

/// What is left to do for one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The stage: its id; `loop/stage` in a loop's body.
    pub stage: String,
    /// Units.
    pub units: u64,
    /// Units computed in a second of the pilot.
    pub per_second: f64,
    /// At that speed, in milliseconds.
    pub ms: u64,
}

/// Estimates the whole by a pilot; `is_whole` knows which stages work on everything at once. `None` of a run that was not short of
/// any record.
pub(crate) fn estimate(run: &RunRecord, is_whole: &dyn Fn(&str) -> bool) -> Option<Estimate> {
    let held_back = |stage: &&StageRecord| stage.counts.held_back > 0;
    let first = run.stages.iter().find(held_back)?;
    let records = let_out(first);
    let of = records + first.counts.held_back;
    let (stages, unmeasured, at_once) = (Vec::new(), Vec::new(), Vec::new());
    let mut estimate = Estimate { records, of, stages, unmeasured, at_once, lists_bytes: 0 };
    let mut growth: BTreeMap<&str, f64> = BTreeMap::new();
    for stage in &run.stages {
        // What comes in from several sides grows as what grows most.
        let came = stage.inputs.iter().filter_map(|input| growth.get(input.from.0.as_str())).copied();
        let own = 1.0 + stage.counts.held_back as f64 / let_out(stage).max(1) as f64;
        let times = came.fold(own, f64::max);
        growth.insert(&stage.id, times);
        estimate.lists_bytes += (lists_bytes(stage) as f64 * (times - 1.0)) as u64;
        if times <= 1.0 || stage.inputs.is_empty() || stage.kind == "loop" {
            continue;
        }
        let name = stage.id.clone();
        if is_whole(&stage.id) {
            estimate.at_once.push(name);
        } else if stage.counts.computed == 0 {
            estimate.unmeasured.push(name);
        } else {
            let units = (stage.counts.units as f64 * (times - 1.0)).round();
            let seconds = stage.wall_ms.max(1) as f64 / 1000.0;
            let per_second = stage.counts.computed as f64 / seconds;
            let ms = (units / per_second * 1000.0).round() as u64;
            estimate.stages.push(Left { stage: name, units: units as u64, per_second, ms });
        }
    }
    Some(estimate)
}

/// Returns how many records a stage let out.
fn let_out(stage: &StageRecord) -> u64 {
    stage.outputs.iter().filter(|output| output.form == Form::Rows).map(|output| output.records).max().unwrap_or(0)
}

/// Returns what the lists of a stage's units take while a run goes: where rows are kept, and by what keys.
fn lists_bytes(stage: &StageRecord) -> u64 {
    let counts = 2 * size_of::<usize>();
    let listed = (size_of::<UnitRef>() + size_of::<Part>() + counts) as u64;
    let traced = (size_of::<Traced>() + stage.inputs.len() * size_of::<Digest>()) as u64;
    let units: u64 = stage.outputs.iter().filter(|output| output.form == Form::Rows).map(|output| output.records).sum();
    let traces = if stage.fingerprint.is_some() { stage.counts.units } else { 0 };
    units * listed + traces * traced
}

/// Writes an estimate in lines; `peak_bytes` is the most memory the pilot took.
pub fn lines(estimate: &Estimate, peak_bytes: Option<u64>) -> String {
    let Estimate { records, of, stages, unmeasured, at_once, lists_bytes } = estimate;
    let mut lines =
        vec![format!("a pilot of {} of {}; for the rest, at its speed:", count(*records), counted(*of, "record"))];
    let row = |left: &Left| {
        vec![
            safe(&left.stage, NAME_CHARS_MAX),
            counted(left.units, "unit"),
            match left.per_second {
                fast @ 100.0.. => format!("{} units/s", count(fast as u64)),
                slow => number(slow, 2, "units/s"),
            },
            duration(left.ms),
        ]
    };
    let all: u64 = stages.iter().map(|left| left.ms).sum();
    let mut rows: Vec<Vec<String>> = stages.iter().take(STAGES_MAX).map(row).collect();
    rows.push(vec!["together".to_owned(), String::new(), String::new(), duration(all)]);
    lines.extend(aligned(rows, 4));
    if let Some(peak) = peak_bytes {
        let (whole, more) = (bytes(peak.saturating_add(*lists_bytes)), bytes(*lists_bytes));
        lines.push(format!(
            "memory: {whole} at its peak; the pilot took {}, lists of units grow by {more}",
            bytes(peak)
        ));
    }
    let names = |names: &[String]| names.iter().map(|name| safe(name, NAME_CHARS_MAX)).collect::<Vec<_>>().join(", ");
    let mut beside = vec!["assumed: the other records are like these, and one stage works after the other".to_owned()];
    if !at_once.is_empty() {
        beside.push(format!("not estimated, for they work on everything at once: {}", names(at_once)));
    }
    if !unmeasured.is_empty() {
        beside.push(format!("not measured, for all was in the store: {}", names(unmeasured)));
    }
    lines.extend(beside);
    lines.join("\n") + "\n"
}
