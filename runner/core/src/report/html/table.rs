//! A stage's own table, as it is.

use super::element::{Element, column, el, scrolling};
use crate::report::Cell;
use crate::report::compare::shown;
use crate::report::wording::{clipped, counted};

const ROWS_MAX: usize = 1000;
/// Rows shown at a time.
const PAGE: usize = 25;
const COLUMNS_MAX: usize = 20;
const TEXT_CHARS_MAX: usize = 200;

/// Shows a table, under its own heading if it has not the section's; rows beyond the limit are counted.
pub(super) fn table(title: &str, headed: bool, columns: &[String], rows: &[Vec<Cell>]) -> Element {
    let head = columns.iter().take(COLUMNS_MAX).enumerate().map(|(place, name)| {
        let numbers = rows.iter().any(|row| matches!(row.get(place), Some(Cell::Number(_))));
        column(clipped(name, TEXT_CHARS_MAX)).class(if numbers { "number" } else { "text" })
    });
    let cell = |cell: &Cell| {
        let class = if matches!(cell, Cell::Number(_)) { "number" } else { "text" };
        el("td").class(class).text(clipped(&shown(cell), TEXT_CHARS_MAX))
    };
    let body = rows.iter().take(ROWS_MAX).map(|row| el("tr").all(row.iter().take(COLUMNS_MAX).map(cell)));
    let table = el("table").with(el("thead").with(el("tr").all(head))).with(el("tbody").all(body));
    let title = clipped(title, TEXT_CHARS_MAX);
    let scroll = scrolling(&title).attr("data-page", PAGE);
    let section = el("section").class("widget").all(headed.then(|| el("h4").text(&title))).with(scroll.with(table));
    match rows.len().saturating_sub(ROWS_MAX) {
        0 => section,
        more => section.with(el("p").class("note").text(counted(more as u64, "further row")).text(" left out.")),
    }
}
