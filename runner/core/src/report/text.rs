//! The lines a run ends with on a terminal: what changed between the compared stages, where the records went, where things are.
//! Pure text without colour; columns are aligned by characters. Nothing a record says can steer the terminal.

use super::compare::{ComparedRow, Comparison, Outcome, comparisons};
use super::model::ReportModel;
use super::record::{RunRecord, StageRecord};
use super::wording::{amount, count, counted, counted_are, duration, named, number, safe};
use super::{Better, Number};
use crate::artifact::Form;

const NAME_CHARS_MAX: usize = 60;
const ROWS_MAX: usize = 40;
const COLUMNS_MAX: usize = 4;

/// Writes the closing lines. `places` says what is where, for example `("report", "runs/quickstart/report.html")`.
pub fn text(model: &ReportModel, places: &[(&str, String)]) -> String {
    let mut blocks = vec![vec![headline(&model.run)]];
    blocks.extend(comparisons(model).iter().map(comparison));
    blocks.push(ways(&model.run));
    let rows = places.iter().map(|(what, place)| vec![(*what).to_owned(), safe(place, usize::MAX)]);
    blocks.push(aligned(rows.collect(), 1));
    blocks.retain(|block| !block.is_empty());
    let blocks: Vec<String> = blocks.into_iter().map(|block| block.join("\n")).collect();
    blocks.join("\n\n") + "\n"
}

/// Writes what the last of the compared stages measures in each of several runs of one workflow: a column a run, a few at a time.
/// Of a name like `name@beta=0.1` the column shows what comes after `@`.
pub fn side_by_side(models: &[ReportModel]) -> String {
    let tables: Vec<(&str, Vec<Comparison<'_>>)> =
        models.iter().map(|model| (model.run.workflow.as_str(), comparisons(model))).collect();
    let Some((_, first)) = tables.first() else { return String::new() };
    let mut blocks = Vec::new();
    for (compared, runs) in first.iter().flat_map(|one| tables.chunks(COLUMNS_MAX).map(move |runs| (one, runs))) {
        let theirs = |tables: &Vec<Comparison<'_>>| tables.iter().position(|other| other.title == compared.title);
        let short = |name: &str| safe(name.split_once('@').map_or(name, |(_, values)| values), NAME_CHARS_MAX);
        let head =
            std::iter::once(safe(compared.heading, NAME_CHARS_MAX)).chain(runs.iter().map(|(name, _)| short(name)));
        let row = |row: &ComparedRow<'_>| {
            let values = runs.iter().map(|(_, tables)| {
                let row = tables[theirs(tables)?].rows.iter().find(|other| other.name == row.name)?;
                row.values.last().copied().flatten()
            });
            let values: Vec<String> = values.map(value_cell).collect();
            std::iter::once(name_cell(row)).chain(values).collect()
        };
        let rows = compared.rows.iter().take(ROWS_MAX).map(row);
        blocks.push(aligned(std::iter::once(head.collect()).chain(rows).collect(), runs.len() + 1).join("\n"));
    }
    blocks.iter().map(|block| format!("\n{block}\n")).collect()
}

/// Says that nothing had to be done, as far as everything could be.
pub fn nothing_to_do(run: &RunRecord) -> String {
    let told = "nothing to do: everything is there and whole";
    match run.quarantined() {
        0 => told.to_owned(),
        aside => format!("{told}, but {} set aside: {}", counted_are(aside, "record"), names_aside(run)),
    }
}

/// Names the records of which something was set aside.
fn names_aside(run: &RunRecord) -> String {
    named(run.quarantine.iter().map(|unit| unit.record.as_str()))
}

/// Tells what ran in one line.
pub(super) fn headline(run: &RunRecord) -> String {
    let stages: Vec<&StageRecord> = run.stages.iter().filter(|stage| stage.kind != "loop").collect();
    let computed: u64 = stages.iter().map(|stage| stage.counts.computed).sum();
    let hits: u64 = stages.iter().map(|stage| stage.counts.hits).sum();
    let stages = counted(stages.len() as u64, "stage");
    let name = safe(&run.workflow, NAME_CHARS_MAX);
    let units = counted(computed, "unit");
    format!("{name}: {stages} in {}, {units} computed, {} from the store", duration(run.wall_ms), count(hits))
}

fn comparison(compared: &Comparison<'_>) -> Vec<String> {
    let mut head = vec![safe(compared.heading, NAME_CHARS_MAX)];
    head.extend(compared.stages.iter().map(|stage| safe(stage, NAME_CHARS_MAX)));
    head.push("change".to_owned());
    let rows = compared.rows.iter().take(ROWS_MAX).map(compared_row);
    aligned(std::iter::once(head).chain(rows).collect(), compared.stages.len() + 2)
}

pub(super) fn compared_row(row: &ComparedRow<'_>) -> Vec<String> {
    let mut cells = vec![name_cell(row)];
    cells.extend(row.values.iter().copied().map(value_cell));
    cells.push(row.change().map_or_else(String::new, |change| {
        let share = match change.relative {
            Some(share) if change.difference != 0.0 => {
                let text = number(100.0 * share, if share.abs() < 0.1 { 1 } else { 0 }, "%");
                if share > 0.0 { format!("+{text}") } else { text }
            }
            _ => String::new(),
        };
        let outcome = match change.outcome {
            Some(Outcome::Better) => " better",
            Some(Outcome::Worse) => " worse",
            Some(Outcome::Same) => "same",
            None => "",
        };
        share + outcome
    }));
    cells
}

fn name_cell(row: &ComparedRow<'_>) -> String {
    let arrow = match row.better() {
        Some(Better::Lower) => " ↓",
        Some(Better::Higher) => " ↑",
        None => "",
    };
    safe(&row.name, NAME_CHARS_MAX) + arrow
}

fn value_cell(value: Option<&Number>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| number(value.value, value.decimals, &safe(&value.unit, 16)))
}

/// Tells of loops, and of stages that left records out, what came in and what came out; then what was set aside.
fn ways(run: &RunRecord) -> Vec<String> {
    let told =
        |stage: &&StageRecord| !stage.id.contains('/') && (stage.kind == "loop" || !stage.counts.dropped.is_empty());
    let mut lines = aligned(run.stages.iter().filter(told).map(way).collect(), 1);
    if run.quarantined() > 0 {
        let mut reasons = std::collections::BTreeMap::<&str, u64>::new();
        for (reason, units) in run.stages.iter().flat_map(|stage| &stage.counts.quarantined) {
            *reasons.entry(reason).or_default() += units;
        }
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, units)| format!("{} {}", count(*units), safe(reason, NAME_CHARS_MAX)))
            .collect();
        let names = names_aside(run);
        lines.push(format!("{} set aside: {}: {names}", counted(run.quarantined(), "record"), reasons.join(", ")));
    }
    lines
}

fn way(stage: &StageRecord) -> Vec<String> {
    let flow = |rows: u64, name: &str| format!("{} {}", count(rows), safe(name, NAME_CHARS_MAX));
    let amount = |rows: u64, name: &str| amount(rows, &safe(name, NAME_CHARS_MAX), Form::Rows);
    let came_in = stage.inputs.first().map(|input| amount(input.rows, &input.from.1)).unwrap_or_default();
    let rows = stage.outputs.iter().filter(|output| output.form == Form::Rows);
    let came_out: Vec<String> = rows.map(|output| amount(output.rows, &output.name)).collect();
    let left_out = stage.counts.dropped.iter().map(|(reason, rows)| flow(*rows, reason));
    let cut = (stage.counts.cut > 0).then(|| flow(stage.counts.cut, "cut at the step limit"));
    let left_out: Vec<String> = left_out.chain(cut).collect();
    let beside = if left_out.is_empty() { String::new() } else { format!(" (left out: {})", left_out.join(", ")) };
    vec![safe(&stage.id, NAME_CHARS_MAX), format!("{came_in} → {}{beside}", came_out.join(", "))]
}

/// Aligns cells: the first column and those from `numbers` on to the left, the others to the right.
pub(super) fn aligned(rows: Vec<Vec<String>>, numbers: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let chars = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let width = |column| rows.iter().map(|row| chars(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column > 0 && column < numbers { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
