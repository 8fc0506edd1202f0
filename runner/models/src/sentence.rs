//! Where a sentence ends, told from the text generated so far. It is not a tokenizer, and it never looks at what comes after,
//! but for one case it names: a number before the period, which may go on as a decimal.
//!
//! The released code stops at the token of `.`, `!` or `?` instead: "3.5" and "Mr." end a sentence there and `."` does not
//! (`SentenceEnd::Tokens`).

/// What the text so far says of the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The sentence goes on.
    Inside,
    /// It has ended, unless the next token goes on without a space (`3.` of `3.5`).
    Perhaps,
    /// It has ended.
    Ended,
}

/// Words whose period does not end a sentence, in lower case.
const ABBREVIATIONS: &[&str] =
    &["approx", "cf", "dr", "e.g", "etc", "fig", "i.e", "jr", "mr", "mrs", "ms", "no", "prof", "sr", "st", "vs"];

/// Judges the text of one sentence generated so far.
pub fn boundary(text: &str) -> Boundary {
    if text.trim_start().contains('\n') {
        return Boundary::Ended;
    }
    let bare = text.trim_end().trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']);
    let Some(last) = bare.chars().next_back() else { return Boundary::Inside };
    if !matches!(last, '.' | '!' | '?' | '…') || open(text) {
        return Boundary::Inside;
    }
    if last != '.' || bare.ends_with("..") {
        return Boundary::Ended;
    }
    let word = bare[..bare.len() - 1].rsplit(|c: char| c.is_whitespace() || "([\"'“‘".contains(c)).next().unwrap_or("");
    if ABBREVIATIONS.contains(&word.to_lowercase().as_str()) || is_initial(word) {
        return Boundary::Inside;
    }
    if word.ends_with(|c: char| c.is_ascii_digit()) {
        let numbered_item = text.trim_start().len() <= word.len() + 1;
        return if numbered_item { Boundary::Inside } else { Boundary::Perhaps };
    }
    Boundary::Ended
}

/// Whether a quotation or a bracket is still open.
fn open(text: &str) -> bool {
    let count = |wanted: &[char]| text.matches(wanted).count();
    count(&['"']) % 2 == 1 || count(&['(', '[', '“', '«']) > count(&[')', ']', '”', '»'])
}

/// A single capital letter, as in "J. Smith".
fn is_initial(word: &str) -> bool {
    let mut characters = word.chars();
    matches!((characters.next(), characters.next()), (Some(only), None) if only.is_uppercase() && only != 'I' && only != 'A')
}

#[cfg(test)]
mod tests {
    use super::Boundary::{Ended, Inside, Perhaps};
    use super::boundary;

    #[test]
    fn sentences_end_where_a_reader_sees_them_end() {
        for (text, expected) in [
            ("", Inside),
            (" A dog sits", Inside),
            (" A dog sits.", Ended),
            (" A dog sits!", Ended),
            (" Is it a dog?", Ended),
            (" It trails off...", Ended),
            (" It trails off…", Ended),
            (" Mr.", Inside),
            (" The sign of St.", Inside),
            (" Fruits, e.g.", Inside),
            (" The painting by J.", Inside),
            (" This is plan A.", Ended),
            (" It is 3.", Perhaps),
            (" It is 3.5 metres long.", Ended),
            ("1.", Inside),
            (" The sign says \"stop.", Inside),
            (" The sign says \"stop.\"", Ended),
            (" A dog (or a cat.", Inside),
            (" A dog (or a cat.)", Ended),
            (" A line\n", Ended),
        ] {
            assert_eq!(boundary(text), expected, "{text:?}");
        }
    }
}
