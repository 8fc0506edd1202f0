//! Galleries: a picture with its boxes, and beside it what was said, toned. Nothing is told by colour alone: tones differ in their
//! underline and their mark, groups of boxes in their dashes and in the corner of their label.

use std::collections::{BTreeMap, BTreeSet};

use super::element::{Element, el};
use super::gather::{Exhibit, Gallery};
use super::overlay::{LOOKS, overlay};
use super::pictures::{Absence, Pictures};
use super::room::Room;
use super::svg;
use crate::report::wording::{clipped, count, counted};
use crate::report::{Line, Tone};

/// Lines of one card, characters of one line and of one label; what is beyond is left out, and said to be.
const LINES_MAX: usize = 40;
const LINE_CHARS_MAX: usize = 1200;
const LABEL_CHARS_MAX: usize = 40;

/// Shows a gallery, under its own heading if it has not the section's; `groups` numbers the groups of boxes.
pub(super) fn gallery(
    gallery: &Gallery<'_>,
    headed: bool,
    groups: &BTreeMap<&str, usize>,
    pictures: &Pictures,
    room: &mut Room,
) -> Element {
    let boxed = gallery.exhibits.iter().any(|exhibit| !exhibit.boxes.is_empty());
    let columns = gallery.exhibits.first().map_or(1, |exhibit| exhibit.columns.len());
    let layout = if boxed {
        "boxed"
    } else if columns > 1 {
        "together"
    } else {
        "small"
    };
    let mut cards = el("div").class(format_args!("cards {layout}"));
    let mut left_out = gallery.left_out;
    for exhibit in &gallery.exhibits {
        match room.take(card(exhibit, gallery.legend, groups, pictures)) {
            Some(card) => cards = cards.with(card),
            None => left_out += 1,
        }
    }
    let shown = el("section").class("gallery").attr("data-page", if layout == "small" { 6 } else { 4 });
    let heading = headed.then(|| el("h4").text(clipped(gallery.title, LINE_CHARS_MAX)));
    let some_of = gallery.some_of.map(|records| {
        let records = count(records);
        format!("Some of {records} records, chosen as by lot: the same ones wherever records are shown.")
    });
    let left_out = (left_out > 0).then(|| {
        let cards = counted(left_out as u64, "further card");
        format!("{cards} left out to keep this page small.")
    });
    let notes = some_of.into_iter().chain(left_out).map(|note| el("p").class("note").text(note));
    shown.all(heading).with(legend(gallery, groups)).with(cards).all(notes)
}

fn legend(gallery: &Gallery<'_>, groups: &BTreeMap<&str, usize>) -> Element {
    let exhibits = &gallery.exhibits;
    let lines = exhibits.iter().flat_map(|exhibit| &exhibit.columns).flat_map(|(_, lines)| *lines);
    let tones: BTreeSet<Tone> = lines.flat_map(|line| &line.spans).map(|(_, tone)| *tone).collect();
    let marked = [Tone::Good, Tone::Doubtful, Tone::Bad].into_iter().filter(|tone| tones.contains(tone));
    let tone = |tone| el("li").with(toned(tone).text(meaning(gallery.legend, tone)));
    let shown: BTreeSet<&str> =
        exhibits.iter().flat_map(|exhibit| exhibit.boxes).map(|found| found.group.as_str()).collect();
    let mut numbered: Vec<(usize, &str)> =
        shown.iter().map(|group| (groups.get(group).copied().unwrap_or(0), *group)).collect();
    numbered.sort_unstable();
    let swatch =
        || el("svg").attr("viewBox", "0 0 22 12").attr("aria-hidden", "true").with(svg::rect((1.5, 1.5), (19.0, 9.0)));
    let group = |(number, name): (usize, &str)| {
        let key = el("button").attr("type", "button").attr("aria-pressed", "true").attr("data-group", number % LOOKS);
        let key = key.class(format_args!("key g{}", number % LOOKS)).attr("title", "show or hide these boxes");
        el("li").with(key.with(swatch()).text(clipped(name, LABEL_CHARS_MAX)))
    };
    el("ul").class("legend").all(marked.map(tone)).all(numbered.into_iter().map(group))
}

/// Returns what a tone means, in the stage's words or in ours.
fn meaning(legend: &[(Tone, String)], tone: Tone) -> &str {
    let own = legend.iter().find(|(theirs, _)| *theirs == tone).map(|(_, meaning)| meaning.as_str());
    own.unwrap_or(match tone {
        Tone::Good => "confirmed",
        Tone::Doubtful => "in doubt",
        Tone::Bad => "refuted",
        Tone::Plain | Tone::Faint => "",
    })
}

fn card(
    exhibit: &Exhibit<'_>,
    legend: &[(Tone, String)],
    groups: &BTreeMap<&str, usize>,
    pictures: &Pictures,
) -> Element {
    let Exhibit { id, picture, boxes, columns } = exhibit;
    let id = clipped(id, LABEL_CHARS_MAX * 2);
    let mut card = el("article").class("card");
    let named = el("figcaption").text(&id);
    if let Some(digest) = picture {
        let shown = match pictures.get(*digest) {
            Ok(picture) => overlay(&id, picture, boxes, groups),
            Err(absence) => el("p").class("absent").text(match absence {
                Absence::NoRoom => "picture left out to keep this page small",
                Absence::NotFound => "picture not found in the store",
                Absence::Unreadable => "neither a PNG nor a JPEG picture",
            }),
        };
        card = card.with(el("figure").with(shown).with(named));
    } else {
        card = card.with(el("figure").class("bare").with(named));
    }
    let headed = columns.len() > 1;
    let column = |(stage, text): &(&str, &[Line])| {
        let said = el("div").class("said");
        let said = if headed { said.with(el("h5").text(clipped(stage, LABEL_CHARS_MAX))) } else { said };
        let hidden = text.len().saturating_sub(LINES_MAX);
        let said = said.all(text.iter().take(LINES_MAX).map(|text| line(text, legend)));
        if hidden == 0 { said } else { said.with(el("p").class("note").text(format_args!("… and {hidden} more"))) }
    };
    card.with(el("div").class("columns").all(columns.iter().map(column)))
}

fn line(line: &Line, legend: &[(Tone, String)]) -> Element {
    let mut shown = el("p").class(format_args!("line {}", tone_class(line.tone))).attr("dir", "auto");
    if let Some(label) = &line.label {
        shown = shown.with(el("span").class("label").text(clipped(label, LABEL_CHARS_MAX))).text(" ");
    }
    let mut left = LINE_CHARS_MAX;
    for (text, tone) in &line.spans {
        if left == 0 {
            return shown.text("…");
        }
        let piece = clipped(text, left);
        left = left.saturating_sub(text.chars().count());
        shown = match (*tone, meaning(legend, *tone)) {
            (Tone::Plain, _) => shown.text(piece),
            (tone, "") => shown.with(toned(tone).text(piece)),
            (tone, meaning) => {
                let unseen = el("span").class("unseen").text(format_args!(" ({meaning})"));
                shown.with(toned(tone).attr("title", meaning).text(piece).with(unseen))
            }
        };
    }
    shown
}

/// Begins a piece of text in its tone.
fn toned(tone: Tone) -> Element {
    el(if tone == Tone::Faint { "span" } else { "mark" }).class(tone_class(tone))
}

fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Doubtful => "doubtful",
        Tone::Bad => "bad",
        Tone::Faint => "faint",
    }
}
