//! What of an answer is a sentence. A server is asked for more than one, for it does not know where sentences end; the connection is
//! dropped once enough has come, and what came beyond is cut off.

use sentinel_domain::ports::SentenceEnd;
use sentinel_domain::sentence::{Boundary, boundary};

use crate::events::{Finish, Reply};

/// A sentence of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) text: String,
    /// Whether the model ended its turn instead of ending the sentence.
    pub(crate) ended: bool,
    pub(crate) cut: bool,
}

/// Returns an answer's first sentence; `None` if more has to come.
pub(crate) fn first(reply: &Reply, rule: SentenceEnd) -> Option<First> {
    let text = reply.text.as_str();
    let found = judge(text, rule);
    let whole = |ended, cut| First { text: text.trim().to_owned(), ended, cut };
    match (found, reply.finish) {
        (Boundary::Ended(length), _) => {
            Some(First { text: text[..length].trim().to_owned(), ended: false, cut: false })
        }
        (_, None) => None,
        (_, Some(Finish::Ended)) => Some(whole(true, false)),
        (Boundary::Perhaps(length), Some(Finish::Length)) => Some(whole(false, !text[length..].trim().is_empty())),
        (Boundary::Inside, Some(Finish::Length)) => Some(whole(false, true)),
    }
}

/// Returns all sentences of a text that is complete.
pub(crate) fn all(text: &str, rule: SentenceEnd) -> Vec<String> {
    let mut rest = text.trim();
    let mut sentences = Vec::new();
    while !rest.is_empty() {
        let length = match judge(rest, rule) {
            Boundary::Ended(length) if length > 0 => length,
            _ => rest.len(),
        };
        let sentence = rest[..length].trim();
        if !sentence.is_empty() {
            sentences.push(sentence.to_owned());
        }
        rest = rest[length..].trim();
    }
    sentences
}

/// Judges a text by a rule. A server's tokens are not seen, so the rule by tokens is kept by characters: the first `.`, `!` or `?` ends
/// the sentence.
fn judge(text: &str, rule: SentenceEnd) -> Boundary {
    match rule {
        SentenceEnd::Text => boundary(text),
        SentenceEnd::Tokens => text.find(['.', '!', '?']).map_or(Boundary::Inside, |mark| Boundary::Ended(mark + 1)),
    }
}
