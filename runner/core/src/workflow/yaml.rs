//! YAML text as a tree in which every value and every key knows its place. Scalars keep their text and whether they were quoted:
//! what they mean is decided by the field that receives them. [`reader`] builds it.

mod mistakes;
mod reader;

use std::sync::Arc;

use super::params::ParamValue;
use crate::diag::{Diagnostic, Diagnostics, Source, Span};

/// A file longer than this many bytes is not read.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Lists and mappings nested deeper than this are refused.
pub const DEPTH_MAX: usize = 64;
/// A file with more values than this, copies made by aliases included, is refused.
pub const NODES_MAX: usize = 50_000;
/// A file with more aliases than this is refused.
pub const ALIASES_MAX: usize = 200;
/// A scalar longer than this many bytes is refused.
pub const SCALAR_BYTES_MAX: usize = 64 << 10;
/// All scalars together, copies made by aliases included, hold at most this many bytes.
pub const SCALARS_BYTES_MAX: usize = 4 << 20;

/// Where something stands, and the alias through which it got where it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it is written.
    pub span: Span,
    /// Where the alias stands, if it is used elsewhere.
    pub alias: Option<Span>,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// Where.
    pub at: Place,
    /// What.
    pub value: T,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing, `~` or `null`, unquoted.
    Null,
    /// A scalar as written.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Spanned<Node>>),
    /// A mapping in the order of the file, keys distinct.
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    /// What an expression gave.
    Value(ParamValue),
    /// Something wrong that has been reported; whoever meets it stays silent.
    Poison,
}

/// A scalar as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, escapes read.
    pub text: String,
    /// Whether quotes or a block style say that it is text.
    pub quoted: bool,
}

/// Collects mistakes of one text.
pub struct Sink {
    /// The text.
    pub source: Arc<Source>,
    /// What was found.
    pub found: Diagnostics,
}

/// Reads exactly one YAML document. What is wrong goes to the sink; `None` if nothing could be read at all.
pub fn read(sink: &mut Sink) -> Option<Spanned<Node>> {
    reader::read(sink)
}

impl Sink {
    /// Returns a sink for a text.
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, found: Diagnostics::default() }
    }

    /// Returns an error at a place, with the alias that brought it there as a related place.
    pub fn error(&self, code: &'static str, at: Place, message: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::error(code, &self.source, at.span, message);
        match at.alias {
            Some(alias) => diagnostic.related(alias, "used through this alias"),
            None => diagnostic,
        }
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }
}

impl Place {
    /// Returns a place that no alias leads to.
    pub const fn of(span: Span) -> Self {
        Self { span, alias: None }
    }
}

impl Spanned<Node> {
    /// Returns what stands here in a few words, for "expected …, found …".
    pub fn found(&self) -> String {
        match &self.value {
            Node::Null => "nothing".to_owned(),
            Node::Scalar(scalar) if scalar.quoted => format!("the text `{}`", shortened(&scalar.text)),
            Node::Scalar(scalar) => format!("`{}`", shortened(&scalar.text)),
            Node::Seq(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
            Node::Value(value) => format!("{} (`{}`)", value.type_name(), shortened(&value.to_string())),
            Node::Poison => "something wrong".to_owned(),
        }
    }

    /// Returns the value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Spanned<Node>> {
        match &self.value {
            Node::Map(entries) => entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Returns the first letters of a text that may be long.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}
