//! Class names: from a file, one a line, or from the ONNX file's metadata, where ultralytics writes a Python dict.

use std::path::Path;

use crate::error::DetectError;
use crate::onnx::Model;

/// Largest labels file: 1 MiB.
const LABELS_BYTES_MAX: u64 = 1 << 20;
/// Most classes: LVIS and Objects365 have 1,203 and 365.
const CLASSES_MAX: usize = 65_536;
/// The metadata entry that holds class names.
const NAMES: &str = "names";

/// Returns the class names in the order of their numbers: those of `file`, or by default those the model carries.
pub(crate) fn read(file: Option<&Path>, model: &Model) -> Result<Vec<String>, DetectError> {
    let Some(path) = file else {
        let Some(text) = model.metadata.get(NAMES) else {
            return Err(model.refuse("carries no class names; give them in a file, one a line, as `labels:`"));
        };
        return parse_dict(text).map_err(|reason| DetectError::Labels { path: model.path.clone(), reason });
    };
    let failed = |source| DetectError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > LABELS_BYTES_MAX {
        return Err(DetectError::TooLarge { path: path.to_owned(), bytes, limit: LABELS_BYTES_MAX });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse_lines(&text).map_err(|reason| DetectError::Labels { path: path.to_owned(), reason })
}

fn parse_lines(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_end();
    if text.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    match lines.iter().position(|line| line.is_empty()) {
        Some(at) => Err(format!("line {} is empty", at + 1)),
        None => Ok(lines.into_iter().map(str::to_owned).collect()),
    }
}

/// Reads `{0: 'person', 1: "baker's dozen"}`; the numbers must be 0, 1, 2 … in any order.
fn parse_dict(text: &str) -> Result<Vec<String>, String> {
    let mut rest = Cursor { text, at: 0 };
    let mut named = std::collections::BTreeMap::new();
    rest.expect('{')?;
    while !rest.take('}') {
        let number = rest.number()?;
        rest.expect(':')?;
        let name = rest.string()?;
        if named.insert(number, name).is_some() {
            return Err(format!("class {number} is named twice"));
        }
        if !rest.take(',') {
            rest.expect('}')?;
            break;
        }
    }
    match named.keys().enumerate().find(|(place, number)| place != *number) {
        Some((place, _)) => Err(format!("class {place} has no name")),
        None if named.is_empty() => Err("there are none".to_owned()),
        None => Ok(named.into_values().collect()),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(format!("expected `{wanted}` at byte {} of `{NAMES}`", self.at)) }
    }

    fn number(&mut self) -> Result<usize, String> {
        self.peek();
        let digits: String = self.text[self.at..].chars().take_while(char::is_ascii_digit).collect();
        let number = digits.parse().ok().filter(|number| *number < CLASSES_MAX);
        let number = number
            .ok_or_else(|| format!("expected a class number below {CLASSES_MAX} at byte {} of `{NAMES}`", self.at))?;
        self.at += digits.len();
        Ok(number)
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().filter(|quote| matches!(quote, '\'' | '"'));
        let quote = quote.ok_or_else(|| format!("expected a quoted name at byte {} of `{NAMES}`", self.at))?;
        let start = self.at;
        let mut name = String::new();
        let mut letters = self.text[start + 1..].char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some((_, escaped @ ('\\' | '\'' | '"'))) => name.push(escaped),
                    other => {
                        return Err(format!(
                            "cannot read the escape {other:?} at byte {} of `{NAMES}`",
                            start + 1 + offset
                        ));
                    }
                },
                _ if letter == quote => {
                    self.at = start + 1 + offset + 1;
                    return Ok(name);
                }
                _ => name.push(letter),
            }
        }
        Err(format!("the name that starts at byte {start} of `{NAMES}` does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_python_writes() {
        let names = |text| parse_dict(text).unwrap();
        assert_eq!(names("{0: 'person', 1: 'traffic light'}"), ["person", "traffic light"]);
        assert_eq!(names(r#"{1: "baker's dozen", 0: 'a \'b\' \\ c',}"#), [r"a 'b' \ c", "baker's dozen"]);
    }

    #[test]
    fn says_where_a_dict_is_wrong() {
        let wrong = |text| parse_dict(text).unwrap_err();
        assert_eq!(wrong(""), "expected `{` at byte 0 of `names`");
        assert_eq!(wrong("{}"), "there are none");
        assert_eq!(wrong("{0: 'a', 2: 'b'}"), "class 1 has no name");
        assert_eq!(wrong("{0: 'a', 0: 'b'}"), "class 0 is named twice");
        assert_eq!(wrong("{0: 'a"), "the name that starts at byte 4 of `names` does not end");
        assert_eq!(wrong("{99999999999999999999: 'a'}"), "expected a class number below 65536 at byte 1 of `names`");
        assert_eq!(wrong("{0: 'é\\"), "cannot read the escape None at byte 7 of `names`");
    }

    #[test]
    fn reads_one_name_a_line() {
        assert_eq!(parse_lines("cat\r\nhot dog \n").unwrap(), ["cat", "hot dog"]);
        assert_eq!(parse_lines("cat\n\ndog\n").unwrap_err(), "line 2 is empty");
        assert_eq!(parse_lines(" \n").unwrap_err(), "the file is empty");
    }
}
