//! Diagnostics as text: underlined source for people, JSON for machines, annotations for GitHub. Pure functions to `String`;
//! where it is printed is the binary's business.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Label, Severity, Source, Span};
use crate::report::wording::counted;

/// Renders all diagnostics with underlined source, in order of place, followed by a count.
pub fn human(diagnostics: &Diagnostics, colour: bool) -> String {
    let sorted = diagnostics.clone().sorted();
    let mut text: String = sorted.list.iter().map(|diagnostic| one_human(diagnostic, colour) + "\n\n").collect();
    text.push_str(&count(&sorted));
    text
}

fn one_human(diagnostic: &Diagnostic, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let source = &diagnostic.source;
    let group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code));
    let mut group = if source.text.is_empty() {
        // Nothing of it is known, so there is nothing to underline.
        group.element(Origin::path(source.path.to_string_lossy()))
    } else {
        let near = diagnostic.related.iter().filter(|label| label.source.is_none());
        let near = near.map(|label| annotation(AnnotationKind::Context, source, label));
        let own = annotation(AnnotationKind::Primary, source, &diagnostic.primary);
        group.element(snippet(source).annotation(own).annotations(near))
    };
    for label in &diagnostic.related {
        if let Some(source) = &label.source {
            group = group.element(snippet(source).annotation(annotation(AnnotationKind::Context, source, label)));
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn snippet<'a>(source: &'a Source) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    Snippet::source(source.text.as_str()).path(source.path.to_string_lossy()).fold(true)
}

fn annotation<'a>(kind: AnnotationKind, source: &Source, label: &'a Label) -> annotate_snippets::Annotation<'a> {
    let annotation = kind.span(first_line(source, label.span));
    if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
}

/// A stretch over many lines would fill the screen: its first line says where.
fn first_line(source: &Source, span: Span) -> Range<usize> {
    let text = source.slice(span);
    let start = source.boundary(span.start);
    let line = text.find('\n').map_or(text, |newline| &text[..newline]).trim_end();
    start..start + line.len()
}

fn count(diagnostics: &Diagnostics) -> String {
    let of = |severity| diagnostics.list.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let words = |count: usize, word: &str| counted(count as u64, word);
    let mut parts = vec![words(of(Severity::Error) + diagnostics.omitted, "error")];
    if of(Severity::Warning) > 0 {
        parts.push(words(of(Severity::Warning), "warning"));
    }
    if diagnostics.omitted > 0 {
        parts.push(format!("{} not shown", diagnostics.omitted));
    }
    parts.join(", ")
}

/// Returns all diagnostics as a JSON array, in order of place; lines and columns from 1, offsets in bytes.
pub fn json(diagnostics: &Diagnostics) -> Value {
    diagnostics.clone().sorted().list.iter().map(one_json).collect()
}

fn one_json(diagnostic: &Diagnostic) -> Value {
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .map(|label| place(label.source.as_ref().unwrap_or(&diagnostic.source), label))
        .collect();
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "place": place(&diagnostic.source, &diagnostic.primary),
        "related": related,
        "help": diagnostic.help,
    })
}

fn place(source: &Source, label: &Label) -> Value {
    let (line, column) = source.line_column(label.span.start);
    let (end_line, end_column) = source.line_column(label.span.end);
    json!({
        "file": source.path.to_string_lossy(),
        "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        "start": label.span.start, "end": label.span.end,
        "text": label.text,
    })
}

/// Renders all diagnostics as GitHub workflow commands, one a line.
pub fn github(diagnostics: &Diagnostics) -> String {
    diagnostics.clone().sorted().list.iter().map(one_github).collect()
}

fn one_github(diagnostic: &Diagnostic) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let (line, column) = diagnostic.source.line_column(diagnostic.primary.span.start);
    let file = property(&diagnostic.source.path.to_string_lossy());
    let help = diagnostic.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    let message = data(&format!("{}{help}", diagnostic.message));
    format!("::{command} file={file},line={line},col={column},title={}::{message}\n", diagnostic.code)
}

/// Renders a failure that has no place in a file as a GitHub workflow command.
pub fn github_error(title: &str, message: &str) -> String {
    format!("::error title={}::{}\n", property(title), data(message))
}

/// GitHub ends a message at a line break and reads `%`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property, commas and colons mean something, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
