//! Tables of several stages side by side, row by row: what `report.compare` asks for. How it looks is the renderers' business.

use super::model::{ReportModel, Shown};
use super::{Better, Cell, Number, Widget, wording};

/// One table of several stages.
pub(super) struct Comparison<'a> {
    /// The table's heading.
    pub(super) title: &'a str,
    /// The stages, one a column.
    pub(super) stages: Vec<&'a str>,
    /// The heading of the first column.
    pub(super) heading: &'a str,
    /// The headings of what is told beside the compared number.
    pub(super) beside: Vec<&'a str>,
    /// The rows, in the order of the first stage's table.
    pub(super) rows: Vec<ComparedRow<'a>>,
}

/// One row of a comparison.
pub(super) struct ComparedRow<'a> {
    /// What is compared.
    pub(super) name: String,
    /// The number of each stage, if its table has it.
    pub(super) values: Vec<Option<&'a Number>>,
    /// What is told beside, one text a heading; where stages differ, all of it.
    pub(super) beside: Vec<String>,
}

/// How a number changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// The last less the first, in their unit.
    pub(super) difference: f64,
    /// The difference as a share of the first; `None` where the first is 0.
    pub(super) relative: Option<f64>,
    /// Whether it is for the better; `None` where no direction is.
    pub(super) outcome: Option<Outcome>,
}

/// Whether a change is for the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Better,
    Worse,
    Same,
}

/// Returns the tables that two or more of the compared stages show under the same heading with the same columns.
pub(super) fn comparisons(model: &ReportModel) -> Vec<Comparison<'_>> {
    same_tables(&compared_shows(model))
}

/// Returns what the compared stages show.
pub(super) fn compared_shows(model: &ReportModel) -> Vec<&Shown> {
    model.compare.iter().filter_map(|id| model.shown.iter().find(|shown| shown.stage == *id)).collect()
}

/// Returns the tables that two or more show under the same heading with the same columns.
pub(super) fn same_tables<'a>(shows: &[&'a Shown]) -> Vec<Comparison<'a>> {
    let Some((first, others)) = shows.split_first() else { return Vec::new() };
    let mut found = Vec::new();
    for (title, columns, rows) in first.widgets.iter().filter_map(table) {
        let [heading, _, beside @ ..] = columns else { continue };
        let mut tables = vec![(first.stage.as_str(), rows)];
        for other in others {
            let same = |(other_title, other_columns, _): &Table<'_>| (*other_title, *other_columns) == (title, columns);
            let theirs = other.widgets.iter().filter_map(table).find(same);
            tables.extend(theirs.map(|(_, _, rows)| (other.stage.as_str(), rows)));
        }
        if tables.len() > 1 {
            found.push(Comparison {
                title,
                stages: tables.iter().map(|(stage, _)| *stage).collect(),
                heading,
                beside: beside.iter().map(String::as_str).collect(),
                rows: rows.iter().filter_map(|row| compared_row(row, &tables, beside.len())).collect(),
            });
        }
    }
    found
}

type Table<'a> = (&'a str, &'a [String], &'a [Vec<Cell>]);

fn table(widget: &Widget) -> Option<Table<'_>> {
    match widget {
        Widget::Table { title, columns, rows } => Some((title, columns, rows)),
        Widget::Curve { .. } | Widget::Gallery { .. } => None,
    }
}

fn compared_row<'a>(first: &'a [Cell], tables: &[(&str, &'a [Vec<Cell>])], beside: usize) -> Option<ComparedRow<'a>> {
    let name = shown(first.first()?);
    let find = |rows: &'a [Vec<Cell>]| rows.iter().find(|row| row.first().is_some_and(|cell| shown(cell) == name));
    let rows: Vec<Option<&Vec<Cell>>> = tables.iter().map(|(_, rows)| find(rows)).collect();
    let value = |row: &Option<&'a Vec<Cell>>| match row.and_then(|row| row.get(1)) {
        Some(Cell::Number(number)) => Some(number),
        Some(Cell::Text(_)) | None => None,
    };
    let beside = (2..2 + beside).map(|column| {
        let mut texts: Vec<String> =
            rows.iter().filter_map(|row| row.and_then(|row| row.get(column)).map(shown)).collect();
        texts.dedup();
        texts.join(" / ")
    });
    Some(ComparedRow { values: rows.iter().map(value).collect(), beside: beside.collect(), name })
}

/// Returns a cell as text.
pub(super) fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Number(Number { value, decimals, unit, .. }) => wording::number(*value, *decimals, unit),
        Cell::Text(text) => text.clone(),
    }
}

impl ComparedRow<'_> {
    /// Returns which direction is better, if one is.
    pub(super) fn better(&self) -> Option<Better> {
        self.values.iter().flatten().find_map(|number| number.better)
    }

    /// Returns how the last number differs from the first, as far as shown decimals tell.
    pub(super) fn change(&self) -> Option<Change> {
        let (first, last) = match self.values.as_slice() {
            [Some(first), .., Some(last)] => (first, last),
            _ => return None,
        };
        let scale = 10_f64.powi(i32::from(first.decimals.max(last.decimals).min(12)));
        let [from, to] = [first, last].map(|number| (number.value * scale).round() / scale);
        let difference = to - from;
        if !difference.is_finite() {
            return None;
        }
        let outcome = self.better().map(|better| match better {
            _ if difference == 0.0 => Outcome::Same,
            Better::Lower if difference < 0.0 => Outcome::Better,
            Better::Higher if difference > 0.0 => Outcome::Better,
            Better::Lower | Better::Higher => Outcome::Worse,
        });
        Some(Change { difference, relative: (from != 0.0).then(|| difference / from.abs()), outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(f64, u8)], better: Option<Better>) -> Option<Change> {
        let numbers: Vec<Number> = values
            .iter()
            .map(|(value, decimals)| Number { value: *value, decimals: *decimals, unit: String::new(), better })
            .collect();
        ComparedRow { name: String::new(), values: numbers.iter().map(Some).collect(), beside: Vec::new() }.change()
    }

    #[test]
    fn a_change_is_what_the_shown_decimals_tell() {
        let change = row(&[(50.0, 1), (9.0, 1), (5.0, 1)], Some(Better::Lower)).unwrap();
        assert_eq!(change, Change { difference: -45.0, relative: Some(-0.9), outcome: Some(Outcome::Better) });
        let outcome = |from, to, better| row(&[(from, 1), (to, 1)], Some(better)).unwrap().outcome.unwrap();
        assert_eq!(outcome(1.0, 2.0, Better::Lower), Outcome::Worse);
        assert_eq!(outcome(1.0, 2.0, Better::Higher), Outcome::Better);
        assert_eq!(outcome(1.01, 1.04, Better::Higher), Outcome::Same);
        assert_eq!(row(&[(0.0, 1), (2.0, 1)], None).unwrap().relative, None);
        assert_eq!(row(&[(-2.0, 1), (-1.0, 1)], None).unwrap().relative, Some(0.5));
        assert_eq!(row(&[(f64::NAN, 1), (2.0, 1)], None), None);
        assert_eq!(row(&[(1.0, 1)], None), None);
    }
}
