//! The way of the records: stage by stage, what came in, what came out, what was left out or set aside, what the store already
//! had, and how long it took.

use std::collections::BTreeMap;

use super::element::{Element, column, el, scrolling};
use super::{anchor, svg};
use crate::artifact::Form;
use crate::report::record::{Counts, InputRecord, OutputRecord, StageRecord};
use crate::report::wording::{clipped, count, duration, noun};

const STAGES_MAX: usize = 400;
const FLOWS_MAX: usize = 12;
const REASONS_MAX: usize = 12;
const TEXT_CHARS_MAX: usize = 60;

/// Shows the way of the records; `shown` says where a stage shows more.
pub(super) fn records(stages: &[StageRecord], shown: &BTreeMap<&str, String>) -> Element {
    let head = el("tr")
        .with(column("stage"))
        .with(column("in"))
        .with(column("out"))
        .with(column("left out"))
        .with(column("set aside"))
        .with(column("units"))
        .with(column("time").class("number"));
    let offered = offered(stages);
    let longest_ms = stages.iter().map(|stage| stage.wall_ms).max().unwrap_or(0);
    let rows = stages.iter().take(STAGES_MAX).enumerate();
    let rows = rows.map(|(index, stage)| row(index, stage, &offered, shown, longest_ms));
    let table = el("table").class("records").with(el("thead").with(head)).with(el("tbody").all(rows));
    scrolling("records by stage").with(table)
}

/// Every output by its stage and name.
type Offered<'a> = BTreeMap<(&'a str, &'a str), &'a OutputRecord>;

fn offered(stages: &[StageRecord]) -> Offered<'_> {
    let outputs = stages.iter().flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
    outputs.map(|(stage, output)| ((stage.id.as_str(), output.name.as_str()), output)).collect()
}

fn row(
    index: usize,
    stage: &StageRecord,
    offered: &Offered<'_>,
    shown: &BTreeMap<&str, String>,
    longest_ms: u64,
) -> Element {
    let inner = stage.id.split_once('/').map(|(_, inner)| inner);
    let name = clipped(inner.unwrap_or(&stage.id), TEXT_CHARS_MAX);
    let name = match shown.get(stage.id.as_str()) {
        Some(anchor) => el("a").attr("href", format_args!("#{anchor}")).text(name),
        None => el("span").text(name),
    };
    let name = el("th").attr("scope", "row").with(name);
    let name = if stage.id == stage.kind {
        name
    } else {
        name.with(el("span").class("hint").text(clipped(&stage.kind, TEXT_CHARS_MAX)))
    };
    let Counts { quarantined, dropped, cut, unmatched, held_back, .. } = &stage.counts;
    let further =
        [("cut at the step limit", *cut), ("without a partner", *unmatched), ("held back: a pilot", *held_back)];
    let further = further.into_iter().filter(|(_, count)| *count > 0);
    let left_out = dropped.iter().map(|(reason, count)| (reason.as_str(), *count)).chain(further);
    let set_aside = quarantined.iter().map(|(reason, count)| (reason.as_str(), *count));
    el("tr")
        .attr("id", anchor(index))
        .class(if inner.is_some() { "inner" } else { "outer" })
        .with(name)
        .with(el("td").all(stage.inputs.iter().take(FLOWS_MAX).map(|came| input(came, offered))))
        .with(el("td").all(stage.outputs.iter().take(FLOWS_MAX).map(output)))
        .with(el("td").all(left_out.take(REASONS_MAX).map(|(reason, count)| flow(count, reason))))
        .with(el("td").class("aside").all(set_aside.take(REASONS_MAX).map(|(reason, count)| flow(count, reason))))
        .with(units(stage))
        .with(
            el("td")
                .class("number")
                .text(duration(stage.wall_ms))
                .with(svg::bar(stage.wall_ms as f64, longest_ms as f64)),
        )
}

/// Shows what came in, named by its kind where the output it comes from is known, else by its slot.
fn input(input: &InputRecord, offered: &Offered<'_>) -> Element {
    let InputRecord { slot, from: (stage, output), records, rows } = input;
    let told = match offered.get(&(stage.as_str(), output.as_str())) {
        Some(OutputRecord { kind, form, .. }) => amount(*rows, kind, *form),
        None => amount(*rows, slot, Form::Rows),
    };
    told.attr("title", format_args!("{slot}: {stage}.{output}, {} records", count(*records)))
}

fn output(output: &OutputRecord) -> Element {
    let OutputRecord { name, kind, form, records, rows, .. } = output;
    amount(*rows, kind, *form).attr("title", format_args!("{name}: {} records", count(*records)))
}

fn amount(rows: u64, kind: &str, form: Form) -> Element {
    flow(rows, &noun(rows, kind, form))
}

fn flow(number: u64, name: &str) -> Element {
    el("span").class("flow").with(el("b").text(count(number))).text(" ").text(clipped(name, TEXT_CHARS_MAX))
}

/// Shows how many units were found in the store, and how many were computed.
fn units(stage: &StageRecord) -> Element {
    let Counts { units, hits, computed, .. } = stage.counts;
    let cell = el("td").class("units");
    if stage.kind == "loop" {
        return cell.text(count(units)).text(if units == 1 { " record" } else { " records" });
    }
    let told = match (computed, hits) {
        (0, 0) => return cell.text("–"),
        (computed, 0) => format!("{} computed", count(computed)),
        (0, hits) => format!("{} from the store", count(hits)),
        (computed, hits) => format!("{} computed, {} from the store", count(computed), count(hits)),
    };
    cell.text(told)
}
