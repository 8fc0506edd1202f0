//! What stands where on the page, and what is left out of it: galleries of compared stages go side by side, what was shown there
//! is not shown again, nothing has more cards than a page can carry. It reads the model and writes no markup.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::report::compare::compared_shows;
use crate::report::model::{ReportModel, Shown};
use crate::report::{Card, Cell, Line, PictureBox, Series, Tone, Widget};

/// Cards of one gallery; those beyond are counted.
pub(super) const CARDS_MAX: usize = 60;

/// Everything the page shows of what stages show.
pub(super) struct Gathered<'a> {
    /// Galleries of compared stages, side by side.
    pub(super) together: Vec<Gallery<'a>>,
    /// Stage by stage, what is not told by a comparison already.
    pub(super) stages: Vec<StageShow<'a>>,
    /// Groups of boxes, numbered in the order in which they appear.
    pub(super) groups: BTreeMap<&'a str, usize>,
}

/// What one stage shows.
pub(super) struct StageShow<'a> {
    pub(super) stage: &'a str,
    pub(super) pieces: Vec<Piece<'a>>,
    /// Galleries of which every card stands further up already.
    pub(super) repeated: Vec<&'a str>,
}

impl StageShow<'_> {
    /// Returns what it shows in a word or two, each once; curves, which are many, by what they are.
    pub(super) fn titles(&self) -> Vec<&str> {
        let mut titles = Vec::new();
        for piece in &self.pieces {
            let title = match piece {
                Piece::Curve { .. } => "curves",
                Piece::Table { title, .. } | Piece::Gallery(Gallery { title, .. }) => title,
            };
            if !titles.contains(&title) {
                titles.push(title);
            }
        }
        titles
    }
}

/// One thing a stage shows.
pub(super) enum Piece<'a> {
    Table { title: &'a str, columns: &'a [String], rows: &'a [Vec<Cell>] },
    Curve { title: &'a str, x: &'a str, series: &'a [Series] },
    Gallery(Gallery<'a>),
}

/// Pictures with what was said of them.
pub(super) struct Gallery<'a> {
    pub(super) title: &'a str,
    pub(super) legend: &'a [(Tone, String)],
    pub(super) exhibits: Vec<Exhibit<'a>>,
    /// Of how many records these are some; `None` of all there are.
    pub(super) some_of: Option<u64>,
    /// Cards beyond the page's limit.
    pub(super) left_out: usize,
}

/// One picture, with what one or more stages say of it.
pub(super) struct Exhibit<'a> {
    pub(super) id: &'a str,
    pub(super) picture: Option<Digest>,
    pub(super) boxes: &'a [PictureBox],
    /// Stage and lines.
    pub(super) columns: Vec<(&'a str, &'a [Line])>,
}

/// Returns what the page shows; `compared` says of a stage's table, by its heading, that it stands in a comparison.
pub(super) fn gather<'a>(model: &'a ReportModel, compared: &dyn Fn(&str, &str) -> bool) -> Gathered<'a> {
    let together = side_by_side(&compared_shows(model));
    let mut told: BTreeSet<(&str, String)> = BTreeSet::new();
    for exhibit in together.iter().flat_map(|gallery| &gallery.exhibits) {
        told.extend(exhibit.columns.iter().map(|(_, lines)| (exhibit.id, plain(lines))));
    }
    let mut stages = Vec::new();
    for Shown { stage, widgets } in &model.shown {
        let mut show = StageShow { stage, pieces: Vec::new(), repeated: Vec::new() };
        for widget in widgets {
            match widget {
                Widget::Table { title, .. } if compared(stage, title) => show.repeated.push(title),
                Widget::Table { title, columns, rows } => show.pieces.push(Piece::Table { title, columns, rows }),
                Widget::Curve { title, x, series } => show.pieces.push(Piece::Curve { title, x, series }),
                Widget::Gallery { title, records, legend, cards } => {
                    match untold(Cards { title, records: *records, legend, cards }, &mut told) {
                        Some(gallery) => show.pieces.push(Piece::Gallery(gallery)),
                        None => show.repeated.push(title),
                    }
                }
            }
        }
        stages.push(show);
    }
    Gathered { together, stages, groups: groups(&model.shown) }
}

/// Returns galleries that two or more show under one heading: the cards all of them have, those first of which more got better.
pub(super) fn side_by_side<'a>(shows: &[&'a Shown]) -> Vec<Gallery<'a>> {
    let mut together = Vec::new();
    for first in shows.first().into_iter().flat_map(|first| galleries(first)) {
        let same = shows.iter().filter_map(|stage| {
            let theirs = galleries(stage).find(|theirs| theirs.title == first.title)?;
            Some((stage.stage.as_str(), by_id(theirs.cards)))
        });
        let columns: Vec<(&str, BTreeMap<&str, &Card>)> = same.collect();
        let exhibit = |card| Exhibit::of(card, &columns);
        let mut exhibits: Vec<Exhibit<'_>> = first.cards.iter().filter_map(exhibit).collect();
        exhibits.sort_by_key(Exhibit::got_worse);
        if columns.len() > 1 && !exhibits.is_empty() {
            together.push(limited(first, exhibits));
        }
    }
    together
}

/// A gallery as its stage gave it.
#[derive(Clone, Copy)]
struct Cards<'a> {
    title: &'a str,
    records: u64,
    legend: &'a [(Tone, String)],
    cards: &'a [Card],
}

fn galleries(shown: &Shown) -> impl Iterator<Item = Cards<'_>> {
    shown.widgets.iter().filter_map(|widget| match widget {
        Widget::Gallery { title, records, legend, cards } => Some(Cards { title, records: *records, legend, cards }),
        Widget::Table { .. } | Widget::Curve { .. } => None,
    })
}

fn by_id(cards: &[Card]) -> BTreeMap<&str, &Card> {
    cards.iter().map(|card| (card.id.as_str(), card)).collect()
}

impl<'a> Exhibit<'a> {
    /// Returns what every stage says of a picture; `None` if one says nothing.
    fn of(card: &'a Card, columns: &[(&'a str, BTreeMap<&'a str, &'a Card>)]) -> Option<Self> {
        let column = |(stage, cards): &(&'a str, BTreeMap<&'a str, &'a Card>)| {
            cards.get(card.id.as_str()).map(|card| (*stage, card.lines.as_slice()))
        };
        let columns = columns.iter().map(column).collect::<Option<_>>()?;
        Some(Self { id: &card.id, picture: card.picture, boxes: &card.boxes, columns })
    }

    /// Returns how many more words are refuted in the last column than in the first.
    fn got_worse(&self) -> isize {
        let bad = |(_, lines): &(_, &[Line])| {
            lines.iter().flat_map(|line| &line.spans).filter(|(_, tone)| *tone == Tone::Bad).count().cast_signed()
        };
        self.columns.last().map_or(0, bad) - self.columns.first().map_or(0, bad)
    }
}

/// Returns the cards that do not repeat what was told; `None` if all do.
fn untold<'a>(given: Cards<'a>, told: &mut BTreeSet<(&'a str, String)>) -> Option<Gallery<'a>> {
    let mut exhibits = Vec::new();
    for Card { id, picture, boxes, lines } in given.cards {
        let key = (id.as_str(), plain(lines));
        if !boxes.is_empty() || lines.is_empty() || told.insert(key) {
            exhibits.push(Exhibit { id, picture: *picture, boxes, columns: vec![("", lines)] });
        }
    }
    (!exhibits.is_empty()).then(|| limited(given, exhibits))
}

fn limited<'a>(given: Cards<'a>, mut exhibits: Vec<Exhibit<'a>>) -> Gallery<'a> {
    let left_out = exhibits.len().saturating_sub(CARDS_MAX);
    exhibits.truncate(CARDS_MAX);
    let some_of = (given.records > given.cards.len() as u64).then_some(given.records);
    Gallery { title: given.title, legend: given.legend, exhibits, some_of, left_out }
}

/// Returns the text of some lines, whatever their tones.
pub(super) fn plain(lines: &[Line]) -> String {
    let text = |line: &Line| line.spans.iter().map(|(text, _)| text.as_str()).collect::<String>();
    lines.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// Numbers the groups of boxes.
pub(super) fn groups<'a>(shown: impl IntoIterator<Item = &'a Shown>) -> BTreeMap<&'a str, usize> {
    let mut groups = BTreeMap::new();
    let cards = shown.into_iter().flat_map(galleries).flat_map(|given| given.cards);
    for PictureBox { group, .. } in cards.flat_map(|card| &card.boxes) {
        let next = groups.len();
        groups.entry(group.as_str()).or_insert(next);
    }
    groups
}
