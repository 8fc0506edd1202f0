//! Pictures for the report: cards with toned lines. What is shown of a stage is the stage's business.

use sentinel_core::digest::Digest;
use sentinel_core::report::{Card, Line, Tone, Widget};

/// Cards of one gallery, each of another record.
pub(crate) const CARDS_MAX: usize = 60;

/// What tones mean where they show what the detectors say.
pub(crate) const STANDINGS: &[(Tone, &str)] =
    &[(Tone::Good, "factual"), (Tone::Doubtful, "uncertain"), (Tone::Bad, "hallucinated")];

/// Returns a gallery of some of so many records, unless there is nothing to show. `legend` says what tones mean in it.
pub(crate) fn of(title: &str, legend: &[(Tone, &str)], (cards, records): (Vec<Card>, u64)) -> Vec<Widget> {
    let legend = legend.iter().map(|(tone, meaning)| (*tone, (*meaning).to_owned())).collect();
    if cards.is_empty() {
        Vec::new()
    } else {
        vec![Widget::Gallery { title: title.to_owned(), records, legend, cards }]
    }
}

/// Returns a card without boxes.
pub(crate) fn card(id: &str, picture: Option<Digest>, lines: Vec<Line>) -> Card {
    Card { id: id.to_owned(), picture, boxes: Vec::new(), lines }
}

/// Returns a line of one tone.
pub(crate) fn line(label: Option<&str>, text: &str, tone: Tone) -> Line {
    Line { label: label.map(str::to_owned), tone: Tone::Plain, spans: vec![(text.to_owned(), tone)] }
}

/// Returns a line with some of its pieces toned, the rest plain. `pieces` are byte ranges of `text`; those that overlap an
/// earlier one or are not pieces of the text at all are left plain.
pub(crate) fn toned(label: Option<&str>, text: &str, pieces: impl IntoIterator<Item = (usize, usize, Tone)>) -> Line {
    let mut pieces: Vec<_> =
        pieces.into_iter().filter(|(start, end, _)| start < end && text.get(*start..*end).is_some()).collect();
    pieces.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
    let mut spans = Vec::new();
    let mut told = 0;
    for (start, end, tone) in pieces {
        if start < told {
            continue;
        }
        if told < start {
            spans.push((text[told..start].to_owned(), Tone::Plain));
        }
        spans.push((text[start..end].to_owned(), tone));
        told = end;
    }
    if told < text.len() {
        spans.push((text[told..].to_owned(), Tone::Plain));
    }
    Line { label: label.map(str::to_owned), tone: Tone::Plain, spans }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_whole_text() {
        let text = "a dög and a cat";
        let line = toned(
            None,
            text,
            [(13, 16, Tone::Bad), (2, 6, Tone::Good), (2, 3, Tone::Bad), (3, 4, Tone::Bad), (9, 90, Tone::Bad)],
        );
        assert_eq!(line.spans.iter().map(|(text, _)| text.as_str()).collect::<String>(), text);
        assert_eq!(line.spans.iter().filter(|(_, tone)| *tone != Tone::Plain).count(), 2);
    }
}
