//! Where a sentence ends, told from the text generated so far. It is asked after every token and is not a tokenizer: it sees
//! characters only.
//!
//! | before the mark | example | it ends a sentence |
//! |---|---|---|
//! | a word | `A dog sits.` `Is it?` `Well…` | at once |
//! | a quotation or bracket opened less than `HELD_WORDS` words ago | `"Stop. Go."` | never; once closed, as the word before says |
//! | a number or a letter that begins the sentence | `1.` `a.` | never: it counts an item |
//! | a word of `LEADING` | `e.g.` | never |
//! | a number | `3.` of `3.5` | if a space follows |
//! | a word of `CLOSING`, a small letter, a word with a period in it | `etc.` `no.` `p.m.` | if the next word begins with a capital |
//! | a word of `TITLES`, capitals | `Mr.` `St.` `J.` `U.S.` | if the next word is one of `OPENINGS` |
//!
//! A line break ends every sentence. Where the next word decides, the end of the text ends it too. A mark that no space follows
//! ends nothing, so how tokens are cut matters in one case alone: a word's mark ends a sentence at once, and `?!` or `.jpg` are
//! seen whole only if one token says them.
//!
//! The released code stops at the token of `.`, `!` or `?` instead: "3.5" and "Mr." end a sentence there and `."` does not
//! (`SentenceEnd::Tokens`).

/// What the text so far says of its first sentence. An end is a length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The sentence goes on.
    Inside,
    /// It ends here, unless what comes next goes on with it.
    Perhaps(usize),
    /// It has ended here.
    Ended(usize),
}

/// Words that something always follows.
const LEADING: &[&str] = &["approx", "cf", "e.g", "i.e", "ph", "vs", "www"];
/// Shortened words that may be a sentence's last, or whole words spelt like them.
const CLOSING: &[&str] = &["etc", "fig", "no"];
/// Words that stand in names, mostly before a capital.
const TITLES: &[&str] = &["dr", "jr", "mr", "mrs", "ms", "mt", "prof", "sr", "st"];
/// Words that begin sentences and no names.
const OPENINGS: &[&str] = &[
    "a", "an", "and", "another", "at", "both", "but", "each", "he", "her", "his", "in", "it", "its", "many", "near",
    "on", "one", "several", "she", "some", "that", "the", "their", "there", "these", "they", "this", "to", "two", "we",
    "with", "you",
];

/// Words for which a quotation or bracket holds a sentence open; many are never closed.
const HELD_WORDS: usize = 16;
/// What opens, and what closes it.
const PAIRS: &[(char, char)] = &[('"', '"'), ('\'', '\''), ('(', ')'), ('[', ']'), ('“', '”'), ('‘', '’'), ('«', '»')];
const MARKS: [char; 4] = ['.', '!', '?', '…'];

/// What decides whether a mark ends a sentence.
enum Rule {
    AtOnce,
    Never,
    Space,
    Capital,
    Opening,
}

/// Judges the text of one sentence generated so far; what follows the sentence may be part of it.
pub fn boundary(text: &str) -> Boundary {
    let begin = text.len() - text.trim_start().len();
    let mut at = begin;
    while let Some(found) = text[at..].find(|c| c == '\n' || MARKS.contains(&c)) {
        let mark = at + found;
        if text[mark..].starts_with('\n') {
            return Boundary::Ended(mark);
        }
        let rest = text[mark..].trim_start_matches(MARKS).trim_start_matches(|c| PAIRS.iter().any(|pair| pair.1 == c));
        let end = text.len() - rest.len();
        if !is_open(&text[begin..end]) {
            let is_period = text[mark..].starts_with('.') && !text[mark + 1..].starts_with(MARKS);
            let rule = if is_period { rule(&text[begin..mark]) } else { Rule::AtOnce };
            match decide(&rule, rest) {
                Some(true) => return Boundary::Ended(end),
                Some(false) => (),
                None => return Boundary::Perhaps(end),
            }
        }
        at = end;
    }
    Boundary::Inside
}

/// Finds the rule of a period by what stands before it.
fn rule(before: &str) -> Rule {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("");
    let is_first = word.len() == before.len();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let is_letter = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
    let is_number = word.ends_with(|c: char| c.is_ascii_digit());
    let listed = |words: &[&str]| words.contains(&word.to_lowercase().as_str());
    match word {
        _ if is_first && (is_number || is_letter(word)) || listed(LEADING) => Rule::Never,
        _ if listed(CLOSING) => Rule::Capital,
        _ if listed(TITLES) => Rule::Opening,
        _ if is_number => Rule::Space,
        _ if word.split('.').all(|part| is_letter(part) && part.chars().all(char::is_uppercase)) => Rule::Opening,
        _ if is_letter(word) || word.contains('.') => Rule::Capital,
        _ => Rule::AtOnce,
    }
}

/// Decides by what follows; `None` where that is yet to come.
fn decide(rule: &Rule, rest: &str) -> Option<bool> {
    let next = rest.trim_start();
    let gap = &rest[..rest.len() - next.len()];
    match rule {
        Rule::Never => return Some(false),
        _ if gap.is_empty() && !rest.is_empty() => return Some(false),
        Rule::AtOnce => return Some(true),
        Rule::Space if !gap.is_empty() => return Some(true),
        _ if gap.contains('\n') => return Some(true),
        Rule::Space | Rule::Capital | Rule::Opening => (),
    }
    let next = next.trim_start_matches(|c| PAIRS.iter().any(|pair| pair.0 == c));
    // A character of which some bytes are yet to come reads as the replacement character.
    let first = next.chars().next().filter(|c| *c != char::REPLACEMENT_CHARACTER)?;
    if !first.is_uppercase() || matches!(rule, Rule::Capital) {
        return Some(first.is_uppercase());
    }
    let length = next.find(|c: char| !c.is_alphanumeric())?;
    Some(OPENINGS.contains(&next[..length].to_lowercase().as_str()))
}

/// Whether a quotation or a bracket is still open.
fn is_open(text: &str) -> bool {
    let mut open: Vec<(char, usize)> = Vec::new();
    let (mut previous, mut words) = (' ', 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let is_apostrophe = matches!(c, '\'' | '’') && previous.is_alphanumeric() && next.is_alphanumeric();
        words += usize::from(c.is_whitespace());
        if let Some(inner) = open.iter().rposition(|(closing, _)| *closing == c).filter(|_| !is_apostrophe) {
            open.truncate(inner);
        } else if let Some((_, closing)) = PAIRS.iter().find(|pair| pair.0 == c && opens(previous, c, next)) {
            open.push((*closing, words));
        }
        previous = c;
    }
    open.iter().any(|(_, since)| words - since < HELD_WORDS)
}

/// Whether a quotation mark or bracket opens: not so the frown `:(`, inches (`42"`) and the `'90s`.
fn opens(previous: char, c: char, next: char) -> bool {
    let before_a_word = !next.is_whitespace() && !MARKS.contains(&next);
    before_a_word
        && match c {
            '"' => !previous.is_alphanumeric() && !MARKS.contains(&previous),
            '\'' => !previous.is_alphanumeric() && !MARKS.contains(&previous) && next.is_alphabetic(),
            _ => true,
        }
}
