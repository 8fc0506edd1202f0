//! A picture with boxes over it. Groups of boxes differ in colour, in their dashes and in the corner their labels stand at, so that
//! boxes of two groups around one thing can both be read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::element::{Element, el};
use super::labels::{self, Wanted};
use super::pictures::Picture;
use super::svg::{self, length};
use crate::report::PictureBox;
use crate::report::wording::clipped;

/// Boxes of one picture, characters of a label and of the text for those who do not see it; what is beyond is left out.
const BOXES_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 40;
const TOLD_CHARS_MAX: usize = 1200;
/// Letters are so high that this many, one on another, are as high as the picture is wide: it is shown at one width, whatever its own.
const LETTERS_ACROSS: f64 = 30.0;
/// Groups have so many looks; further groups begin again.
pub(super) const LOOKS: usize = 4;

/// Shows a picture under its boxes, and over them their labels.
pub(super) fn overlay(id: &str, picture: &Picture, boxes: &[PictureBox], groups: &BTreeMap<&str, usize>) -> Element {
    let Picture { number, width, height, .. } = picture;
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for found in boxes.iter().take(BOXES_MAX) {
        names.entry(&found.group).or_default().push(&found.label);
    }
    let told = names.iter().map(|(group, labels)| format!("; {group}: {}", labels.join(", "))).collect::<String>();
    let drawn = el("svg")
        .class("picture")
        .attr("viewBox", format_args!("0 0 {width} {height}"))
        .attr("role", "img")
        .attr("aria-label", clipped(&format!("{id}{told}"), TOLD_CHARS_MAX))
        .with(el("use").attr("href", format_args!("#p{number}")));
    let look = |found: &PictureBox| groups.get(found.group.as_str()).copied().unwrap_or(0) % LOOKS;
    let outlined = |found| Outline::of(found, look(found), picture);
    let outlines: Vec<Outline<'_>> = boxes.iter().take(BOXES_MAX).filter_map(outlined).collect();
    let letters = width / LETTERS_ACROSS;
    let wanted: Vec<Wanted> = outlines.iter().map(|outline| outline.wanted(letters)).collect();
    let labelled = outlines.iter().zip(&wanted).zip(labels::place((*width, *height), &wanted));
    let labels = labelled.filter_map(|((outline, wanted), at)| Some(outline.label(at?, wanted.size, letters)));
    drawn.all(outlines.iter().map(Outline::draw)).all(labels)
}

/// A box as far as it lies in the picture.
struct Outline<'a> {
    label: Cow<'a, str>,
    look: usize,
    at: (f64, f64),
    size: (f64, f64),
}

impl<'a> Outline<'a> {
    fn of(found: &'a PictureBox, look: usize, picture: &Picture) -> Option<Self> {
        let Picture { width, height, .. } = *picture;
        if !found.xyxy.iter().all(|side| side.is_finite()) {
            return None;
        }
        let [left, top, right, bottom] = found.xyxy.map(f64::from);
        let (left, right) = (left.clamp(0.0, width), right.clamp(0.0, width));
        let (top, bottom) = (top.clamp(0.0, height), bottom.clamp(0.0, height));
        let label = clipped(&found.label, LABEL_CHARS_MAX);
        let size = (right - left, bottom - top);
        (size.0 > 0.0 && size.1 > 0.0).then_some(Self { label, look, at: (left, top), size })
    }

    /// Returns where its label stands best: on the upper edge or below the lower one, by its group.
    fn wanted(&self, letters: f64) -> Wanted {
        let size = (letters * (0.64 * self.label.chars().count() as f64 + 0.7), letters * 1.3);
        let (left, right) = (self.at.0, self.at.0 + self.size.0 - size.0);
        let columns = if self.look < 2 { [left, right] } else { [right, left] };
        let top = if self.look.is_multiple_of(2) { self.at.1 - size.1 } else { self.at.1 + self.size.1 };
        Wanted { columns, top, size }
    }

    fn draw(&self) -> Element {
        let rect = || svg::rect(self.at, self.size);
        self.group().with(el("title").text(&self.label)).with(rect().class("halo")).with(rect().class("side"))
    }

    fn label(&self, at: (f64, f64), size: (f64, f64), letters: f64) -> Element {
        let text = el("text").attr("x", length(at.0 + size.0 / 2.0)).attr("y", length(at.1 + letters));
        let text = text.attr("font-size", length(letters)).text(&self.label);
        self.group().with(svg::rect(at, size).class("plate")).with(text)
    }

    fn group(&self) -> Element {
        el("g").class(format_args!("box g{}", self.look))
    }
}
