//! A picture with boxes over it. Groups of boxes differ in colour, in their dashes and in the corner their labels stand in, so that
//! boxes of two groups around one thing can both be read.

use std::collections::BTreeMap;

use super::element::{Element, el};
use super::pictures::Picture;
use super::svg::{self, length};
use crate::report::PictureBox;
use crate::report::wording::clipped;

/// Boxes of one picture, characters of a label and of the text for those who do not see it; what is beyond is left out.
const BOXES_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 40;
const TOLD_CHARS_MAX: usize = 1200;
/// Groups have so many looks; further groups begin again.
pub(super) const LOOKS: usize = 4;

/// Shows a picture under its boxes.
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
    let outlined = |found: &PictureBox| outline(found, groups.get(found.group.as_str()).copied().unwrap_or(0), picture);
    drawn.all(boxes.iter().take(BOXES_MAX).filter_map(outlined))
}

/// Draws a box as far as it lies in the picture, its label in the corner that belongs to its group.
fn outline(found: &PictureBox, group: usize, picture: &Picture) -> Option<Element> {
    let Picture { width, height, .. } = *picture;
    let [left, top, right, bottom] = found.xyxy.map(f64::from);
    if !found.xyxy.iter().all(|side| side.is_finite()) {
        return None;
    }
    let (left, right, top, bottom) =
        (left.clamp(0.0, width), right.clamp(0.0, width), top.clamp(0.0, height), bottom.clamp(0.0, height));
    if left >= right || top >= bottom {
        return None;
    }
    let look = group % LOOKS;
    let letters = width.max(height) / 29.0;
    let label = clipped(&found.label, LABEL_CHARS_MAX);
    let plate = (letters * (0.64 * label.chars().count() as f64 + 0.7), letters * 1.3);
    let x = if look < 2 { left } else { right - plate.0 }.clamp(0.0, (width - plate.0).max(0.0));
    let y = if look.is_multiple_of(2) { top } else { bottom - plate.1 }.clamp(0.0, (height - plate.1).max(0.0));
    let text = el("text").attr("x", length(x + letters * 0.35)).attr("y", length(y + letters));
    let outline = || svg::rect((left, top), (right - left, bottom - top));
    Some(
        el("g")
            .class(format_args!("box g{look}"))
            .with(outline().class("halo"))
            .with(outline().class("side"))
            .with(svg::rect((x, y), plate).class("plate"))
            .with(text.attr("font-size", length(letters)).text(label)),
    )
}
