//! How numbers, durations and texts of unknown origin are written for people, on a page or in a terminal.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::artifact::Form;

/// Names told of many.
const NAMES_TOLD: usize = 3;
/// Characters of a name that are told.
const NAME_CHARS_MAX: usize = 60;

/// Returns a count with its thousands set apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun: `1 unit`, `2 units`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Returns how much an output holds, whose name is a plural where it holds rows: `1 pair`, `2 pairs`, `1 log file`.
pub fn amount(size: u64, name: &str, form: Form) -> String {
    format!("{} {}", count(size), noun(size, name, form))
}

/// Returns what an output holds so many of.
pub(super) fn noun(size: u64, name: &str, form: Form) -> Cow<'_, str> {
    match (form, size) {
        (Form::Rows, 1) => Cow::Borrowed(name.strip_suffix('s').unwrap_or(name)),
        (Form::Rows, _) => Cow::Borrowed(name),
        (Form::Files, 1) => Cow::Owned(format!("{name} file")),
        (Form::Files, _) => Cow::Owned(format!("{name} files")),
    }
}

/// Returns a count with its noun and what follows it: `1 unit is`, `2 units are`.
pub fn counted_are(value: u64, noun: &str) -> String {
    format!("{} {}", counted(value, noun), if value == 1 { "is" } else { "are" })
}

/// Returns names in backticks, each once: the first three, and how many more there are. Nothing in them can steer a terminal.
pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut known = BTreeSet::new();
    let names: Vec<&str> = names.into_iter().filter(|name| known.insert(*name)).collect();
    let told: Vec<String> =
        names.iter().take(NAMES_TOLD).map(|name| format!("`{}`", safe(name, NAME_CHARS_MAX))).collect();
    let more = if names.len() > NAMES_TOLD {
        format!(" and {} more", count((names.len() - NAMES_TOLD) as u64))
    } else {
        String::new()
    };
    told.join(", ") + &more
}

/// Returns a value as JSON, cut after so many characters.
pub fn value(value: &Value, most: usize) -> String {
    let text = value.to_string();
    if text.chars().count() <= most { text } else { text.chars().take(most).chain("…".chars()).collect() }
}

/// Returns a duration at a precision that suits its length.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Returns how much memory or room something takes.
pub fn bytes(bytes: u64) -> String {
    let (size, unit) = match bytes {
        0..1_048_576 => (bytes as f64 / 1024.0, "KiB"),
        1_048_576..1_073_741_824 => (bytes as f64 / f64::from(1 << 20), "MiB"),
        _ => (bytes as f64 / f64::from(1 << 30), "GiB"),
    };
    number(size, 1, unit)
}

/// Returns how long something is past, in its one telling unit: `5 minutes`.
pub fn past(since: Duration) -> String {
    let seconds = since.as_secs();
    match seconds {
        0..60 => counted(seconds, "second"),
        60..3600 => counted(seconds / 60, "minute"),
        3600..86_400 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

/// Returns a value with so many decimals and its unit; never `-0`.
pub(super) fn number(value: f64, decimals: u8, unit: &str) -> String {
    let decimals = usize::from(decimals.min(12));
    let text = format!("{value:.decimals$}");
    let zero = text.strip_prefix('-').filter(|rest| rest.chars().all(|digit| matches!(digit, '0' | '.')));
    let text = zero.unwrap_or(&text).replace('-', "−");
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

/// Returns the text, or its beginning if it has more than `chars_max` characters.
pub(super) fn clipped(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text[..end].trim_end())),
    }
}

/// Returns a character that shows what it stands for: control characters become their pictures, what is no character at all
/// becomes U+FFFD. Line feeds and tabs stay.
pub(super) fn visible(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        '\u{0}'..'\u{20}' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{FFFD}'),
        '\u{7F}' => '\u{2421}',
        '\u{80}'..'\u{A0}' | '\u{FDD0}'..='\u{FDEF}' => '\u{FFFD}',
        _ if character as u32 & 0xFFFE == 0xFFFE => '\u{FFFD}',
        _ => character,
    }
}

/// Returns a text that stays on its line and cannot steer a terminal: neither by control characters nor by turning the direction
/// of writing.
pub(super) fn safe(text: &str, chars_max: usize) -> String {
    let shown = |character| match character {
        '\n' => '␊',
        '\t' => '␉',
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' => {
            '\u{FFFD}'
        }
        _ => visible(character),
    };
    clipped(text, chars_max).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "unit"), counted(0, "unit")], ["1 unit", "0 units"]);
        let amounts =
            [amount(1, "pairs", Form::Rows), amount(2000, "pairs", Form::Rows), amount(1, "log", Form::Files)];
        assert_eq!(amounts, ["1 pair", "2,000 pairs", "1 log file"]);
        assert_eq!([amount(1, "dropped", Form::Rows), amount(2, "page", Form::Files)], ["1 dropped", "2 page files"]);
        assert_eq!([named(["b", "a", "b"]), named([])], ["`b`, `a`", ""]);
        assert_eq!(named(["a", "b", "\u{1b}c", "d", "e"]), "`a`, `b`, `␛c` and 2 more");
        assert_eq!(
            [0, 999, 1_000, 59_999, 60_000, 192_000, 7_500_000].map(duration),
            ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 00 s", "3 min 12 s", "2 h 05 min"]
        );
        assert_eq!([0, 1_500, 3 << 20, 5 << 29].map(bytes), ["0.0 KiB", "1.5 KiB", "3.0 MiB", "2.5 GiB"]);
        assert_eq!(number(54.25, 1, "%"), "54.2 %");
        assert_eq!([number(-0.04, 1, ""), number(-1.0, 0, ""), number(f64::NAN, 1, "")], ["0.0", "−1", "NaN"]);
    }

    #[test]
    fn texts_are_clipped_between_characters_and_show_what_cannot_be_seen() {
        assert_eq!([clipped("äöü", 3), clipped("äöü", 2), clipped("a b", 2), clipped("", 0)], ["äöü", "äö…", "a…", ""]);
        let text: String = "a\u{0}\u{1b}[2J\u{7f}\u{85}\u{FFFE}\u{1FFFF}\n\té".chars().map(visible).collect();
        assert_eq!(text, "a␀␛[2J␡\u{FFFD}\u{FFFD}\u{FFFD}\n\té");
    }
}
