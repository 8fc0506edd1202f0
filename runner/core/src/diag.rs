//! A mistake in the user's text: what, where, and what to do. All mistakes of a file are collected before anything stops.
//! Here they are data; [`render`] turns them into text for people, machines and CI, and [`codes`] lists every code.

pub mod codes;
pub mod render;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

pub use codes::{CODES, Code};

/// More mistakes than this are counted, not kept.
pub const DIAGNOSTICS_MAX: usize = 200;

/// A stretch of a source text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A source text, for line and column and the underlined text: a file, or what was given on the command line.
#[derive(Debug, PartialEq, Eq)]
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
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable code, for example `E0203`; listed in [`CODES`].
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, no final period, literals in backticks.
    pub message: String,
    /// Where the primary label stands.
    pub source: Arc<Source>,
    /// The place, with a few words to stand under the underline.
    pub primary: Label,
    /// Related places: the definition, the alias.
    pub related: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place with a remark.
#[derive(Debug, Clone)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What to say there; may be empty.
    pub text: String,
    /// The text it stands in, where that is not the diagnostic's own.
    pub source: Option<Arc<Source>>,
}

/// All mistakes of a text.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    /// In the order they were found; [`Self::sorted`] orders them by place.
    pub list: Vec<Diagnostic>,
    /// How many more there were beyond [`DIAGNOSTICS_MAX`].
    pub omitted: usize,
}

impl Span {
    /// Returns the empty stretch at a byte.
    pub const fn at(byte: usize) -> Self {
        Self { start: byte, end: byte }
    }

    /// Returns the stretch from the start of this to the end of that.
    pub fn to(self, that: Self) -> Self {
        Self { start: self.start, end: that.end.max(self.start) }
    }
}

impl Source {
    /// Returns a source.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// Returns line and column of a byte, both from 1, columns in characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let byte = self.boundary(byte);
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1)
    }

    /// Returns the text of a stretch.
    pub fn slice(&self, span: Span) -> &str {
        let start = self.boundary(span.start);
        &self.text[start..self.boundary(span.end).max(start)]
    }

    /// Returns the nearest character boundary at or before a byte.
    pub fn boundary(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        (0..=byte).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

impl Diagnostic {
    /// Returns an error with nothing but a place and a message.
    pub fn error(code: &'static str, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        debug_assert!(codes::find(code).is_some(), "code {code} is not listed");
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            source: source.clone(),
            primary: Label { span, text: String::new(), source: None },
            related: Vec::new(),
            help: None,
        }
    }

    /// Returns a warning with nothing but a place and a message.
    pub fn warning(code: &'static str, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, source, span, message) }
    }

    /// The same, with words under the underline.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// The same, with a related place of the same text.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label { span, text: text.into(), source: None });
        self
    }

    /// The same, with a related place of another text.
    #[must_use]
    pub fn elsewhere(mut self, source: &Arc<Source>, span: Span, text: impl Into<String>) -> Self {
        let source = (source != &self.source).then(|| source.clone());
        self.related.push(Label { span, text: text.into(), source });
        self
    }

    /// The same, with advice.
    #[must_use]
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help = Some(advice.into());
        self
    }

    /// The same, with advice if there is any and none yet.
    #[must_use]
    pub fn maybe_help(mut self, advice: Option<String>) -> Self {
        self.help = self.help.or(advice);
        self
    }
}

impl Diagnostics {
    /// Adds one; the same mistake at the same place, met twice through aliases, is kept once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let same = |other: &Diagnostic| {
            other.code == diagnostic.code
                && other.primary.span == diagnostic.primary.span
                && other.message == diagnostic.message
                && Arc::ptr_eq(&other.source, &diagnostic.source)
        };
        if self.list.iter().any(same) {
            return;
        }
        if self.list.len() < DIAGNOSTICS_MAX {
            self.list.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Self) {
        self.omitted += other.omitted;
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Returns how many there are, with those that are only counted.
    pub fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether further ones are only counted; then nothing costly should be done to word them well.
    pub fn is_full(&self) -> bool {
        self.list.len() >= DIAGNOSTICS_MAX
    }

    /// Whether something stops the workflow.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns them ordered by source and place.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.list
            .sort_by(|a, b| (&a.source.path, a.primary.span, a.code).cmp(&(&b.source.path, b.primary.span, b.code)));
        self
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&render::human(self, false))
    }
}

impl std::error::Error for Diagnostics {}

/// Returns "did you mean `…`?" for the nearest of some names, if one is near enough.
pub fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, names).map(|name| format!("did you mean `{name}`?"))
}

/// Returns "did you mean `…`?", or if no name is near enough all there are, after words like "there are".
pub fn advice<'a>(written: &str, offer: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    did_you_mean(written, names.clone()).unwrap_or_else(|| format!("{offer} {}", listed(names)))
}

/// Returns names in backticks, for a message.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Returns the nearest of some names, if a third of its letters or fewer are different.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NAME_CHARS_MAX: usize = 64;
    if written.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let written = plain(written);
    let distance = |name: &'a str| (strsim::damerau_levenshtein(&written, &plain(name)), name);
    let (edits, name) = names.into_iter().map(distance).min_by_key(|(edits, _)| *edits)?;
    let letters = name.chars().count().max(written.chars().count());
    (edits <= (letters / 3).max(1) && edits < letters).then_some(name)
}
