//! The words of an expression.

use std::ops::Range;

use super::ExprError;
use crate::workflow::params::ParamValue;
use crate::workflow::scalar;

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Value(ParamValue),
    Param(String),
    Compare(&'static str),
    And,
    Or,
    Not,
    Open,
    Close,
}

/// A word and where it stands.
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) range: Range<usize>,
}

/// Returns the error of an expression that cannot be read.
pub(super) fn malformed(range: Range<usize>, message: impl Into<String>) -> ExprError {
    ExprError { code: "E0301", range, message: message.into(), help: None }
}

/// Returns the words of a part of a text.
pub(super) fn tokens(text: &str, inner: Range<usize>) -> Result<Vec<Token>, ExprError> {
    let mut tokens = Vec::new();
    let mut at = inner.start;
    while at < inner.end {
        let rest = &text[at..inner.end];
        let first = rest.chars().next().expect("the rest is not empty");
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (word, length) =
            token(rest).map_err(|error| ExprError { range: at + error.range.start..at + error.range.end, ..error })?;
        tokens.push(Token { word, range: at..at + length });
        at += length;
    }
    Ok(tokens)
}

const COMPARISONS: &[&str] = &["==", "!=", "<=", ">=", "<", ">"];

/// Returns the first token of a text that does not begin with white space, and its length.
fn token(rest: &str) -> Result<(Word, usize), ExprError> {
    let first = rest.chars().next().expect("the caller has a character");
    if let Some(comparison) = COMPARISONS.iter().find(|comparison| rest.starts_with(**comparison)) {
        return Ok((Word::Compare(comparison), comparison.len()));
    }
    match first {
        '(' => Ok((Word::Open, 1)),
        ')' => Ok((Word::Close, 1)),
        '\'' | '"' => match rest[1..].find(first) {
            Some(length) => Ok((Word::Value(ParamValue::Text(rest[1..=length].to_owned())), length + 2)),
            None => Err(malformed(0..rest.len(), "a quoted text is not closed")),
        },
        '0'..='9' | '-' | '+' | '.' => number_token(rest),
        'a'..='z' | 'A'..='Z' | '_' => name_token(rest),
        _ => {
            let spelling = [("&&", "and"), ("||", "or"), ("!", "not"), ("=", "==")]
                .iter()
                .find(|(symbol, _)| rest.starts_with(symbol));
            let length = spelling.map_or(first.len_utf8(), |(symbol, _)| symbol.len());
            let help = spelling.map(|(_, word)| format!("write `{word}`"));
            Err(ExprError {
                help,
                ..malformed(0..length, format!("`{}` is not part of an expression", &rest[..length]))
            })
        }
    }
}

fn number_token(rest: &str) -> Result<(Word, usize), ExprError> {
    let length =
        rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !".+-".contains(letter)).unwrap_or(rest.len());
    let text = &rest[..length];
    let int =
        scalar::int(text).ok().and_then(|int| i64::try_from(int).ok()).filter(|_| !text.contains(['e', 'E', '.']));
    if text.chars().all(|letter| "+-".contains(letter)) {
        let help =
            "an expression compares parameters and joins comparisons with `and`, `or`, `not`; it does not calculate";
        return Err(ExprError {
            help: Some(help.to_owned()),
            ..malformed(0..length, format!("`{text}` is not part of an expression"))
        });
    }
    let value = match (int, scalar::number(text)) {
        (Some(int), _) => ParamValue::Int(int),
        (None, Ok(number)) => ParamValue::Number(number),
        (None, Err(_)) => return Err(malformed(0..length, format!("`{text}` is not a number"))),
    };
    Ok((Word::Value(value), length))
}

fn name_token(rest: &str) -> Result<(Word, usize), ExprError> {
    let length =
        rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"._-".contains(letter)).unwrap_or(rest.len());
    let name = &rest[..length];
    let word = match name {
        "true" => Word::Value(ParamValue::Bool(true)),
        "false" => Word::Value(ParamValue::Bool(false)),
        "and" => Word::And,
        "or" => Word::Or,
        "not" => Word::Not,
        _ => match name.split_once('.') {
            Some(("params", param)) if !param.is_empty() => Word::Param(param.to_owned()),
            Some(("env" | "secrets" | "matrix", _)) => {
                return Err(ExprError {
                    help: Some("declare a parameter and give it with `--set`".to_owned()),
                    ..malformed(0..length, format!("`{name}` cannot be read; only `params.NAME` can"))
                });
            }
            _ => {
                let help = format!("a parameter is written `params.{name}`, a text `'{name}'`");
                return Err(ExprError {
                    help: Some(help),
                    ..malformed(0..length, format!("`{name}` means nothing here"))
                });
            }
        },
    };
    Ok((word, length))
}
