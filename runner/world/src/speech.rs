//! Sentences about one object: each begins with a place and names exactly one new object there. Pure grammar: whether a sentence
//! is true is the caller's business.
//!
//! The place comes first because a small model can look up what stands in a place, and hardly where a thing stands: with the
//! object first, two places in three came out wrong.

use crate::scene::{COLUMNS, Placed, ROWS};

/// How a sentence is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// "At the top left there is a cat."
    There,
    /// "At the top left sits a cat."
    Verb,
    /// "To the right of the clock there is a cat."
    Relation,
}

/// All forms but the relation, which needs a neighbour.
pub(crate) static PLACE_FORMS: [Form; 2] = [Form::There, Form::Verb];
/// All forms, as often as they are picked.
pub(crate) static FORMS: [Form; 4] = [Form::There, Form::Verb, Form::Verb, Form::Relation];

/// Says where an object is: in the place of `cell`.
pub(crate) fn with_place(form: Form, name: &str, cell: usize) -> String {
    let verb = if form == Form::Verb { verb(name) } else { "there is" };
    capital(&format!("{} {verb} {}.", place(cell), with_article(name)))
}

/// Says where an object is: beside its neighbour in the direction from the neighbour's cell to its own.
pub(crate) fn with_neighbour(name: &str, direction: &str, neighbour: &str) -> String {
    format!("{direction} the {neighbour} there is {}.", with_article(name))
}

/// Returns the words for going from one cell to an adjacent one; `None` when they are not adjacent in a row or column.
pub(crate) fn direction(from: usize, to: usize) -> Option<&'static str> {
    let place = |cell: usize| ((cell / COLUMNS) as i32, (cell % COLUMNS) as i32);
    let ((from_row, from_column), (row, column)) = (place(from), place(to));
    match (row - from_row, column - from_column) {
        (0, 1) => Some("To the right of"),
        (0, -1) => Some("To the left of"),
        (1, 0) => Some("Below"),
        (-1, 0) => Some("Above"),
        _ => None,
    }
}

/// Returns the words for a cell's part of the picture: nine places, the two middle columns being one.
pub(crate) fn place(cell: usize) -> &'static str {
    match (cell / COLUMNS, cell % COLUMNS) {
        (0, 0) => "at the top left",
        (0, 3) => "at the top right",
        (0, _) => "at the top",
        (1, 0) => "on the left",
        (1, 3) => "on the right",
        (1, _) => "in the middle",
        (ROWS.., _) => unreachable!("a cell number is below ROWS × COLUMNS"),
        (_, 0) => "at the bottom left",
        (_, 3) => "at the bottom right",
        _ => "at the bottom",
    }
}

/// Returns the adjacent pairs among some objects: (known, its neighbour).
pub(crate) fn neighbours<'a>(known: &[&'a Placed], of: &Placed) -> Vec<&'a Placed> {
    known.iter().copied().filter(|other| direction(other.cell, of.cell).is_some()).collect()
}

/// Returns an object with its article.
pub(crate) fn with_article(name: &str) -> String {
    format!("{} {name}", if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}

/// Returns what an object does where it is.
fn verb(name: &str) -> &'static str {
    match name {
        "banana" | "book" | "fork" | "frisbee" | "kite" | "knife" | "pizza" | "skateboard" | "umbrella" => "lies",
        "bird" | "bowl" | "cake" | "cat" | "clock" | "cup" | "laptop" => "sits",
        _ => "stands",
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(with_place(Form::There, "kite", 3), "At the top right there is a kite.");
        assert_eq!(with_place(Form::There, "umbrella", 5), "In the middle there is an umbrella.");
        assert_eq!(with_place(Form::Verb, "dog", 7), "On the right stands a dog.");
        assert_eq!(with_neighbour("vase", "To the right of", "clock"), "To the right of the clock there is a vase.");
    }

    #[test]
    fn directions() {
        assert_eq!(direction(0, 1), Some("To the right of"));
        assert_eq!(direction(1, 0), Some("To the left of"));
        assert_eq!(direction(0, 4), Some("Below"));
        assert_eq!(direction(7, 3), Some("Above"));
        assert_eq!(direction(3, 4), None, "the end of a row is not beside the start of the next");
        assert_eq!(direction(0, 5), None);
    }
}
