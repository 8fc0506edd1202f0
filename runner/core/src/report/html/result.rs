//! The comparison: how the numbers of one stage differ from those of another, first at a glance, then row by row.

use super::element::{Element, column, el, scrolling};
use super::svg;
use crate::report::compare::{Change, ComparedRow, Comparison, Outcome};
use crate::report::wording::{clipped, number};
use crate::report::{Better, Number};

/// Rows told at a glance: the first whose direction is known.
const TILES_MAX: usize = 4;
const ROWS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 120;

/// Shows a comparison.
pub(super) fn comparison(compared: &Comparison<'_>) -> Element {
    let directed = compared.rows.iter().filter(|row| row.better().is_some());
    let tiles: Vec<Element> = directed.filter_map(tile).take(TILES_MAX).collect();
    let shown = el("div").class("comparison");
    let shown = if tiles.is_empty() { shown } else { shown.with(el("div").class("tiles").all(tiles)) };
    let column = |name: &str| column(clipped(name, TEXT_CHARS_MAX));
    let head = el("tr")
        .with(column(compared.heading))
        .all(compared.stages.iter().map(|stage| column(stage).class("number")))
        .with(column("change").class("number"))
        .all(compared.beside.iter().map(|name| column(name).class("number")));
    let rows = compared.rows.iter().take(ROWS_MAX).map(row);
    let table = el("table").class("compared").with(el("thead").with(head)).with(el("tbody").all(rows));
    shown.with(scrolling(compared.title).with(table))
}

/// Shows one number large, with where it came from.
fn tile(row: &ComparedRow<'_>) -> Option<Element> {
    let [Some(first), .., Some(last)] = row.values.as_slice() else { return None };
    let change = row.change()?;
    let from = el("p").class("from").text(format_args!("from {}", value(first)));
    Some(
        el("div")
            .class(format_args!("tile {}", class(change.outcome)))
            .with(el("h4").text(clipped(&row.name, TEXT_CHARS_MAX)))
            .with(el("p").class("big").text(value(last)))
            .with(from)
            .with(el("p").class("chip").text(chip(&change))),
    )
}

fn row(row: &ComparedRow<'_>) -> Element {
    let hint = row.better().map(|better| match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
    });
    let name = el("th").attr("scope", "row").text(clipped(&row.name, TEXT_CHARS_MAX));
    let name = hint.into_iter().fold(name, |name, hint| name.with(el("span").class("hint").text(hint)));
    let most = row.values.iter().flatten().map(|number| number.value.abs()).fold(0.0, f64::max);
    let cell = |number: &Option<&Number>| match number {
        Some(number) => el("td").class("number").text(value(number)).with(svg::bar(number.value.abs(), most)),
        None => el("td").class("number").text("–"),
    };
    let change = el("td").class("number change");
    let change = match row.change() {
        Some(told) => change.with(el("span").class(class(told.outcome)).text(difference(&told, row))),
        None => change.text("–"),
    };
    let beside = row.beside.iter().map(|text| el("td").class("number faint").text(clipped(text, TEXT_CHARS_MAX)));
    el("tr").with(name).all(row.values.iter().map(cell)).with(change).all(beside)
}

fn value(value: &Number) -> String {
    number(value.value, value.decimals, &clipped(&value.unit, 16))
}

/// Tells a change shortly: `▼ 92 % lower, better`.
fn chip(change: &Change) -> String {
    let size = change.relative.map(|share| number(100.0 * share.abs(), if share.abs() < 0.1 { 1 } else { 0 }, "%"));
    let size = size.map(|size| format!("{size} ")).unwrap_or_default();
    let moved = if change.difference < 0.0 { format!("▼ {size}lower") } else { format!("▲ {size}higher") };
    match change.outcome {
        Some(Outcome::Same) => "= the same".to_owned(),
        Some(Outcome::Better) => format!("{moved}, better"),
        Some(Outcome::Worse) => format!("{moved}, worse"),
        None => moved,
    }
}

/// Tells a change in full: the difference, and the share it is of the first value.
fn difference(change: &Change, row: &ComparedRow<'_>) -> String {
    let decimals = row.values.iter().flatten().map(|number| number.decimals).max().unwrap_or(0);
    let points = if row.values.iter().flatten().any(|number| number.unit == "%") { "points" } else { "" };
    let signed = |value: f64, text: String| if value > 0.0 { format!("+{text}") } else { text };
    let arrow = match change.difference {
        0.0 => return "= the same".to_owned(),
        difference if difference < 0.0 => "▼",
        _ => "▲",
    };
    let amount = signed(change.difference, number(change.difference, decimals, points));
    let share = change.relative.filter(|_| change.difference != 0.0).map(|share| {
        let decimals = if share.abs() < 0.1 { 1 } else { 0 };
        format!(" ({})", signed(share, number(100.0 * share, decimals, "%")))
    });
    format!("{arrow} {amount}{}", share.unwrap_or_default())
}

fn class(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Better) => "better",
        Some(Outcome::Worse) => "worse",
        Some(Outcome::Same) | None => "same",
    }
}
