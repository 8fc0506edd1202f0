//! What did not come through: stages that did not run, what stages left out and set aside, and what this page has no room for.

use super::element::{Element, column, el, scrolling};
use super::pictures::{Absence, Pictures};
use super::room::Room;
use crate::report::model::{Example, LeftOut, ReportModel};
use crate::report::record::Quarantined;
use crate::report::wording::{clipped, count, counted};

/// What each of its two tables may take of the page.
const BYTES_MAX: usize = 1 << 19;
const NAME_CHARS_MAX: usize = 120;
const VALUE_CHARS_MAX: usize = 300;
const REASONS_MAX: usize = 400;
const EXAMPLES_MAX: usize = 5;
const EXAMPLE_CHARS_MAX: usize = 800;
/// Units set aside that are shown one by one, and how many at a time.
const ASIDE_MAX: usize = 1000;
const ASIDE_PAGE: usize = 20;
/// Reasons shown at a time.
const REASONS_PAGE: usize = 25;
const SKIPPED_MAX: usize = 100;

/// Shows what did not run, what was set aside, and what this page leaves out; `None` if nothing of the kind.
pub(super) fn left_out(model: &ReportModel, pictures: &Pictures, pieces: usize) -> Option<Element> {
    let run = &model.run;
    let mut parts = Vec::new();
    if !model.left_out.is_empty() {
        parts.extend(by_reason(&model.left_out));
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
        parts.push(el("h3").text("Set aside"));
        parts.extend(set_aside(&run.quarantine, run.quarantined()));
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
fn by_reason(told: &[LeftOut]) -> [Element; 2] {
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
    let rows = told.iter().take(REASONS_MAX).map(row);
    paged("what was left out, by reason", "reasons", head, rows, (told.len() as u64, "reason", REASONS_PAGE))
}

/// Shows units that were set aside, of so many.
fn set_aside(told: &[Quarantined], of: u64) -> [Element; 2] {
    let head = el("tr").all(["stage", "record", "step", "reason", "detail"].map(column));
    let row = |unit: &Quarantined| {
        let Quarantined { stage, record, step, reason, detail } = unit;
        let text = |text: &str| el("td").text(clipped(text, VALUE_CHARS_MAX));
        el("tr")
            .with(text(stage))
            .with(text(record))
            .with(el("td").text(step + 1))
            .with(text(reason))
            .with(text(detail))
    };
    let rows = told.iter().take(ASIDE_MAX).map(row);
    paged("units set aside", "asides", head, rows, (of, "unit", ASIDE_PAGE))
}

/// Shows rows page by page while there is room, and says of how many they are.
fn paged(
    label: &str,
    class: &str,
    head: Element,
    rows: impl Iterator<Item = Element>,
    (of, noun, page): (u64, &str, usize),
) -> [Element; 2] {
    let mut room = Room::of(BYTES_MAX);
    let rows: Vec<Element> = rows.map_while(|row| room.take(row)).collect();
    let note = format!("{} of {} shown.", count(rows.len() as u64), counted(of, noun));
    let table = el("table").class(class).with(el("thead").with(head)).with(el("tbody").all(rows));
    [scrolling(label).attr("data-page", page).with(table), el("p").class("note").text(note)]
}
