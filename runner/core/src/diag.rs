//! A mistake in the user's text: what, where, and what to do. All mistakes of a file are collected before anything stops.
//! How they look on a terminal is the binary's business; here they are data.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

/// A stretch of a source text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A source file, for line and column and the underlined text.
#[derive(Debug, Serialize)]
pub struct Source {
    /// As the user named it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnostic {
    /// Stable code, for example `E0203`; listed in [`CODES`](crate::diag).
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, no final period, literals in backticks.
    pub message: String,
    /// Where it stands.
    #[serde(skip)]
    pub source: Arc<Source>,
    /// The place, with a few words to stand under the underline.
    pub primary: Label,
    /// Related places: the definition, the alias.
    pub related: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place with a remark.
#[derive(Debug, Clone, Serialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What to say there; may be empty.
    pub text: String,
}
