//! What did not come through: stages that did not run, what stages left out and set aside, and what this page has no room for.

use super::element::{Element, el};
use super::pictures::{Absence, Pictures};
use crate::report::model::{Example, LeftOut, ReportModel};
use crate::report::record::{Quarantined, RunRecord};
use crate::report::wording::{clipped, count, counted};

const NAME_CHARS_MAX: usize = 120;
const VALUE_CHARS_MAX: usize = 300;
const REASONS_MAX: usize = 400;
const EXAMPLES_MAX: usize = 5;
const EXAMPLE_CHARS_MAX: usize = 800;
const ASIDE_MAX: usize = 50;
const SKIPPED_MAX: usize = 100;

/// Shows what did not run, what was set aside, and what this page leaves out; `None` if nothing of the kind.
pub(super) fn left_out(model: &ReportModel, pictures: &Pictures, pieces: usize) -> Option<Element> {
    let run = &model.run;
    let mut parts = Vec::new();
    if !model.left_out.is_empty() {
        parts.push(by_reason(&model.left_out));
    }
    if !run.skipped.is_empty() {
        let told = |(stage, because): &(String, String)| {
            let stage = el("b").text(clipped(stage, NAME_CHARS_MAX));
            el("li").with(stage).text(": ").text(clipped(because, VALUE_CHARS_MAX))
        };
        let list = el("ul").all(run.skipped.iter().take(SKIPPED_MAX).map(told));
        parts.extend([el("h3").text("Did not run"), list]);
    }
    if !run.quarantine.is_empty() {
        parts.extend(set_aside(run));
    }
    let notes = [
        (pictures.absent(Absence::NoRoom), "left out to keep this page small"),
        (pictures.absent(Absence::NotFound), "not found in the store"),
        (pictures.absent(Absence::Unreadable), "neither PNG nor JPEG"),
    ];
    let notes = notes.into_iter().map(|(pictures, why)| (pictures, "picture", why));
    let notes = notes.chain([(pieces, "table or curve", "left out to keep this page small")]);
    let note = |(number, what, why): (usize, &str, &str)| {
        let told = counted(number as u64, what).replace("table or curves", "tables or curves");
        (number > 0).then(|| el("p").class("note").text(format_args!("{told} {why}.")))
    };
    parts.extend(notes.filter_map(note));
    (!parts.is_empty()).then(|| el("div").all(parts))
}

/// Shows how much was left out and set aside by stage and reason, with a few of each.
fn by_reason(told: &[LeftOut]) -> Element {
    let column = |name: &str| el("th").attr("scope", "col").text(name);
    let head = el("tr").with(column("stage")).with(column("reason"));
    let head = head.with(column("how many").class("number")).with(column("for example"));
    let example = |Example { record, step, text }: &Example| {
        let record = el("b").text(clipped(record, NAME_CHARS_MAX));
        let step = (*step > 0).then(|| el("span").class("faint").text(format_args!(", step {}", step + 1)));
        el("li").attr("dir", "auto").with(record).all(step).text(" ").text(clipped(text, EXAMPLE_CHARS_MAX))
    };
    let row = |one: &LeftOut| {
        let reason = el("td").text(clipped(&one.reason, NAME_CHARS_MAX));
        let kind = el("span").class("hint").text(if one.set_aside { "set aside" } else { "left out" });
        el("tr")
            .with(el("th").attr("scope", "row").text(clipped(&one.stage, NAME_CHARS_MAX)))
            .with(reason.with(kind))
            .with(el("td").class("number").text(count(one.count)))
            .with(el("td").with(el("ul").all(one.examples.iter().take(EXAMPLES_MAX).map(example))))
    };
    let rows = el("tbody").all(told.iter().take(REASONS_MAX).map(row));
    let scroll = el("div").class("scroll").attr("tabindex", "0").attr("role", "region");
    let scroll = scroll.attr("aria-label", "what was left out, by reason");
    scroll.with(el("table").class("reasons").with(el("thead").with(head)).with(rows))
}

fn set_aside(run: &RunRecord) -> [Element; 3] {
    let column = |name: &str| el("th").attr("scope", "col").text(name);
    let head = el("tr").all(["stage", "record", "step", "reason", "detail"].map(column));
    let told = |unit: &Quarantined| {
        let Quarantined { stage, record, step, reason, detail } = unit;
        let text = |text: &str| el("td").text(clipped(text, VALUE_CHARS_MAX));
        el("tr")
            .with(text(stage))
            .with(text(record))
            .with(el("td").text(step + 1))
            .with(text(reason))
            .with(text(detail))
    };
    let rows = el("tbody").all(run.quarantine.iter().take(ASIDE_MAX).map(told));
    let table = el("table").with(el("thead").with(head)).with(rows);
    let shown = run.quarantine.len().min(ASIDE_MAX) as u64;
    let note = format!("{} of {} shown.", count(shown), counted(run.quarantined(), "unit"));
    let scroll =
        el("div").class("scroll").attr("tabindex", "0").attr("role", "region").attr("aria-label", "units set aside");
    [el("h3").text("Set aside"), scroll.with(table), el("p").class("note").text(note)]
}
