//! A report as one HTML file that needs nothing else: no network, no other file, no script to be read. A pure function: the same
//! model gives the same bytes. When it ran is not told, so that reports of equal runs differ in nothing but how long they took.
//!
//! # Steps
//! [`gather`] decides what stands where, [`pictures`] which pictures get in, then every section is drawn by a file of its own. All
//! markup is built by [`element`], which escapes; `page.css`, `parts.css` and `page.js` are the only text written as it is.

mod curve;
mod element;
mod frame;
mod gallery;
mod gather;
mod graph;
mod labels;
mod layout;
mod left_out;
mod overlay;
mod pictures;
mod records;
mod result;
mod room;
mod svg;
mod table;
mod timeline;
mod versus;

pub use versus::versus;

use std::collections::BTreeMap;

use element::{Element, el, scrolling};
use gather::{Gathered, Piece, StageShow};
use pictures::Pictures;
use room::Room;

use super::compare::comparisons;
use super::model::ReportModel;
use super::wording::clipped;
use crate::digest::Digest;

/// The largest report, of however many records: half of it is for pictures.
pub const HTML_BYTES_MAX: usize = 10 << 20;
/// Of which cards, tables and curves may take this much, and pictures that much; what was left out has its own limit, and the rest
/// is bounded by the number of stages.
const TEXT_BYTES_MAX: usize = 3 << 20;
const PICTURE_BYTES_MAX: usize = 5 << 20;
/// Stages that show something; a workflow has a few.
const SHOWS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 80;

/// Renders a report. `blob` gives the content of a picture by its digest, if the store still has it.
pub fn html(model: &ReportModel, blob: &dyn Fn(Digest) -> Option<Vec<u8>>) -> String {
    let compared = comparisons(model);
    let in_comparison = |stage: &str, title: &str| {
        compared.iter().any(|comparison| comparison.title == title && comparison.stages.contains(&stage))
    };
    let mut gathered = gather::gather(model, &in_comparison);
    gathered.stages.truncate(SHOWS_MAX);
    let pictures = Pictures::take(&gathered, blob, PICTURE_BYTES_MAX);
    let mut page = Page { room: Room::of(TEXT_BYTES_MAX), pieces_left_out: 0, sections: Vec::new() };
    if let Some(comparison) = compared.first() {
        page.section(
            "result",
            "Result",
            &comparison.stages.join(" → "),
            el("div").all(compared.iter().map(result::comparison)),
        );
    }
    page.together(&gathered, &pictures);
    if let Some(drawing) = graph::graph(model) {
        let note = el("p").class("note").text(
            "Numbers are rows of a stage's first output. Every edge says what flows where the pointer rests on it.",
        );
        let wide = el("span").class("narrow").text(" The drawing is wider than this screen: it scrolls sideways.");
        let note = note.with(wide);
        let drawn = el("div").with(scrolling("the workflow as a graph").with(drawing)).with(note);
        page.section("graph", "Workflow", "", drawn);
    }
    for (number, show) in gathered.stages.iter().enumerate() {
        page.stage(number, show, &gathered.groups, &pictures);
    }
    page.section("records", "Records", "", records::records(&model.run.stages, &anchors(&gathered)));
    if let Some(timeline) = timeline::timeline(&model.run) {
        page.section("timeline", "Timeline", "", timeline);
    }
    if let Some(told) = left_out::left_out(model, &pictures, page.pieces_left_out) {
        page.section("left-out", "Left out", "", told);
    }
    page.section("origin", "Origin", "", frame::origin(&model.run));
    let heading = frame::heading("sentinel run report", &model.run.workflow, frame::facts(&model.run));
    page.whole(&format!("{} · sentinel report", model.run.workflow), heading, &pictures)
}

/// The page as far as it is drawn.
struct Page {
    room: Room,
    pieces_left_out: usize,
    /// Anchor, title, content.
    sections: Vec<(String, String, Element)>,
}

impl Page {
    /// Adds a section; `stages` are the ids of those it shows.
    fn section(&mut self, anchor: &str, title: &str, stages: &str, content: Element) {
        let title = clipped(title, NAME_CHARS_MAX);
        let heading = el("h2").text(&title);
        let heading = match stages {
            "" => heading,
            stages => heading.text(" ").with(el("small").text(clipped(stages, NAME_CHARS_MAX))),
        };
        let section = el("section").class("part").attr("id", anchor).with(heading).with(content);
        self.sections.push((anchor.to_owned(), title.into_owned(), section));
    }

    /// Writes the whole page.
    fn whole(self, title: &str, heading: Element, pictures: &Pictures) -> String {
        let entries: Vec<(String, String)> =
            self.sections.iter().map(|(anchor, title, _)| (anchor.clone(), title.clone())).collect();
        let skip = el("a").class("skip").attr("href", "#main").text("Skip to the content");
        let main = el("main").attr("id", "main").all(self.sections.into_iter().map(|(.., section)| section));
        let body = el("body").with(skip).with(heading).with(frame::contents(&entries)).with(main);
        frame::document(title, body.with(pictures.definitions()))
    }

    /// Adds what compared stages say of the same pictures.
    fn together(&mut self, gathered: &Gathered<'_>, pictures: &Pictures) {
        if gathered.together.is_empty() {
            return;
        }
        let shown =
            gathered.together.iter().map(|one| gallery::gallery(one, true, &gathered.groups, pictures, &mut self.room));
        let note = el("p").class("note").text("Those of which more got better come first.");
        let shown = el("div").with(note).all(shown.collect::<Vec<_>>());
        self.section("together", "Side by side", "", shown);
    }

    /// Adds what one stage shows. Curves that follow one another stand in one row.
    fn stage(&mut self, number: usize, show: &StageShow<'_>, groups: &BTreeMap<&str, usize>, pictures: &Pictures) {
        if show.pieces.is_empty() {
            return;
        }
        let titles = show.titles();
        let headed = titles.len() > 1;
        let mut content = el("div");
        let mut curves: Vec<Element> = Vec::new();
        for piece in &show.pieces {
            let drawn = match piece {
                Piece::Curve { title, x, series } => {
                    let taken = self.room.take(curve::curve(title, x, series));
                    self.pieces_left_out += usize::from(taken.is_none());
                    curves.extend(taken);
                    continue;
                }
                Piece::Table { title, columns, rows } => self.room.take(table::table(title, headed, columns, rows)),
                Piece::Gallery(shown) => Some(gallery::gallery(shown, headed, groups, pictures, &mut self.room)),
            };
            self.pieces_left_out += usize::from(drawn.is_none());
            content = content.all(row(&mut curves)).all(drawn);
        }
        content = content.all(row(&mut curves));
        if !show.repeated.is_empty() {
            content = content
                .with(el("p").class("note").text("Shown further up: ").text(clipped(&show.repeated.join(", "), 200)));
        }
        self.section(&anchor_of_show(number), &capital(&titles.join(", ")), show.stage, content);
    }
}

/// Returns a row of the curves so far, if there are any.
fn row(curves: &mut Vec<Element>) -> Option<Element> {
    (!curves.is_empty()).then(|| el("div").class("curves").all(curves.drain(..)))
}

/// Returns where each stage shows more.
fn anchors<'a>(gathered: &Gathered<'a>) -> BTreeMap<&'a str, String> {
    let shows = gathered.stages.iter().enumerate().filter(|(_, show)| !show.pieces.is_empty());
    shows.map(|(number, show)| (show.stage, anchor_of_show(number))).collect()
}

/// Returns a text with its first letter large.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn anchor_of_show(number: usize) -> String {
    format!("show-{number}")
}

/// Returns where a stage stands in the table of records.
fn anchor(index: usize) -> String {
    format!("stage-{index}")
}
