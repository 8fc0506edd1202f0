//! What a finished run shows: widgets that stages fill and the core renders. The core knows tables, curves and annotated
//! pictures; what they show is the stages' business.
//!
//! [`record`] is what is written down of every run, [`model`] what its report is rendered from: [`html`] makes a page of it, [`text`]
//! the lines a run ends with, [`markdown`] the summary of a CI job.

pub(crate) mod collect;
mod compare;
pub mod html;
mod left_out;
pub mod markdown;
pub mod model;
pub mod pilot;
pub mod record;
pub mod text;
pub mod wording;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::artifact::{FileSet, Rows};
use crate::digest::Digest;
use crate::stage::StageError;

/// A stage's kept inputs and outputs, for its widgets.
pub trait ReportIo {
    /// Units of an input or output slot in record order; inside a loop, in (record, step) order. Rows are whole, whatever the
    /// slot's view: a report may show more than the result depended on. An unconnected slot has no units.
    fn rows(&self, slot: &str) -> Result<Vec<ReportUnit>, StageError>;
    /// The same of at most so many records, and how many records there are: where there are more, those [`chosen`] by their ids, so
    /// that all slots of all stages give the same ones. Only their rows are read.
    fn some_rows(&self, slot: &str, records_max: usize) -> Result<SomeUnits, StageError>;
    /// Files of an input or output slot.
    fn files(&self, slot: &str) -> Result<Option<Arc<FileSet>>, StageError>;
    /// Content by digest.
    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError>;
}

/// One unit's rows.
#[derive(Debug, Clone)]
pub struct ReportUnit {
    /// The root record's id.
    pub id: Arc<str>,
    /// The loop step.
    pub step: u32,
    /// Its rows.
    pub rows: Arc<Rows>,
}

/// The units of some records.
#[derive(Debug, Clone)]
pub struct SomeUnits {
    /// In record order; in a loop, in (record, step) order.
    pub units: Vec<ReportUnit>,
    /// How many records there are.
    pub records: u64,
}

/// Returns how many distinct ids there are, and some of them where those are too many: as by lot, but always the same.
pub fn chosen<'i>(ids: impl IntoIterator<Item = &'i str>, most: usize) -> (u64, BTreeSet<&'i str>) {
    let all: BTreeSet<&str> = ids.into_iter().collect();
    let records = all.len() as u64;
    if all.len() <= most {
        return (records, all);
    }
    let mut lots: Vec<(Digest, &str)> = all.into_iter().map(|id| (Digest::of(id.as_bytes()), id)).collect();
    lots.sort_unstable();
    (records, lots.into_iter().take(most).map(|(_, id)| id).collect())
}

/// Something the report shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "widget", rename_all = "kebab-case")]
pub enum Widget {
    /// Numbers by name; two tables with the same columns can be compared row by row.
    Table {
        /// Its heading.
        title: String,
        /// Column headings.
        columns: Vec<String>,
        /// Rows, one cell a column.
        rows: Vec<Vec<Cell>>,
    },
    /// Lines over a common x axis.
    Curve {
        /// Its heading.
        title: String,
        /// The x axis's name.
        x: String,
        /// The lines.
        series: Vec<Series>,
    },
    /// Pictures with boxes and lines of coloured text.
    Gallery {
        /// Its heading.
        title: String,
        /// How many records there are to show; more than are shown where they are too many.
        records: u64,
        /// What each tone means here, in the stage's own words; tones left out stand for themselves.
        legend: Vec<(Tone, String)>,
        /// The pictures.
        cards: Vec<Card>,
    },
}

/// A table cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

/// A number as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The value, in its unit.
    pub value: f64,
    /// How many decimals to show.
    pub decimals: u8,
    /// What stands behind it: `%`, or nothing.
    pub unit: String,
    /// Which direction is better, if one is.
    pub better: Option<Better>,
}

/// The direction in which a number improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// One line of a curve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points in x order.
    pub points: Vec<(f64, f64)>,
}

/// A picture with what was said and found about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Card {
    /// The record's id; cards of two stages with the same id can stand side by side.
    pub id: String,
    /// The picture's content.
    pub picture: Option<Digest>,
    /// Boxes over the picture, in pixels of the picture.
    pub boxes: Vec<PictureBox>,
    /// Lines of text below it.
    pub lines: Vec<Line>,
}

/// A box over a picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PictureBox {
    /// Left, top, right, bottom in pixels.
    pub xyxy: [f32; 4],
    /// What stands beside it.
    pub label: String,
    /// Which group (say, which detector) it belongs to: boxes of one group share a colour.
    pub group: String,
}

/// A line of text whose spans are toned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What stands before it, for example `chosen`.
    pub label: Option<String>,
    /// How the line as a whole is marked.
    pub tone: Tone,
    /// The text in pieces.
    pub spans: Vec<(String, Tone)>,
}

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Plain.
    Plain,
    /// Confirmed.
    Good,
    /// In doubt.
    Doubtful,
    /// Refuted.
    Bad,
    /// Secondary.
    Faint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_records_are_chosen_wherever_they_are() {
        let ids: Vec<String> = (0..1000).map(|number| format!("r{number}")).collect();
        let all = || ids.iter().map(String::as_str);
        let (records, few) = chosen(all(), 20);
        assert_eq!((records, few.len()), (1000, 20));
        assert_eq!(chosen(all().chain(all()).rev(), 20), (1000, few.clone()), "in any order, however often");
        assert!(few.iter().any(|id| *id > "r5") && few.iter().any(|id| *id < "r5"), "from everywhere: {few:?}");
        let (_, of_fewer) = chosen(all().filter(|id| !id.ends_with('7')), 20);
        assert!(few.iter().filter(|id| !id.ends_with('7')).all(|id| of_fewer.contains(id)));
        assert_eq!(chosen(["b", "a"], 2), (2, ["a", "b"].into()));
    }
}
