//! Why a text is not YAML, in words that help: unclosed quotes are shown where they open, tabs and braces of templates where they
//! stand, with what to write instead.

use std::sync::Arc;

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use super::DEPTH_MAX;
use crate::diag::{Diagnostic, Source, Span};

/// Returns the report of a text the parser cannot read; `last` is where the last event stood.
pub(super) fn syntax_error(source: &Arc<Source>, error: &ScanError, last: Span) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(last.end).min(source.text.len());
    for line_of in [at, last.end] {
        if let Some(template) = unquoted_template(source, line_of) {
            return not_quoted(source, template, template_at(source, template.start));
        }
    }
    if matches!(
        error.kind(),
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
    ) && let Some(quote) = source.slice(Span { start: last.end, end: at + 1 }).find(['"', '\''])
    {
        let start = source.boundary(last.end) + quote;
        let span = Span { start, end: start + 1 };
        return Diagnostic::error("E0101", source, span, "the quote that opens here is not closed")
            .help("close it on its line, or indent the lines it goes on");
    }
    if matches!(
        error.kind(),
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
    ) && let Some(span) = indenting_tab(source, at)
    {
        return Diagnostic::error("E0101", source, span, "a tab stands in the indentation")
            .help("YAML is indented by spaces: write two for each level");
    }
    let (code, message) = match error.kind() {
        ErrorKind::UnknownAnchor => ("E0106", "no anchor of this name stands before this alias".to_owned()),
        ErrorKind::RecursionLimitExceeded => ("E0102", format!("nested deeper than {DEPTH_MAX} levels")),
        ErrorKind::DirectiveDisallowed => ("E0105", "directives such as `%YAML` are not read".to_owned()),
        _ => ("E0101", error.info().trim_end_matches('.').to_owned()),
    };
    let end = source.text[source.boundary(at)..]
        .chars()
        .next()
        .filter(|next| *next != '\n')
        .map_or(at, |next| at + next.len_utf8());
    Diagnostic::error(code, source, Span { start: at, end }, message)
}

/// Returns the tab that indents the line of a byte, or the next one: a parser may notice it from either side.
fn indenting_tab(source: &Source, byte: usize) -> Option<Span> {
    let mut start = source.text[..source.boundary(byte)].rfind('\n').map_or(0, |newline| newline + 1);
    for line in source.text[start..].split_inclusive('\n').take(2) {
        let indentation = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        if let Some(tab) = indentation.find('\t') {
            return Some(Span { start: start + tab, end: start + indentation.len() });
        }
        start += line.len();
    }
    None
}

/// Returns the first `{{` outside quotes in the line that holds a byte.
fn unquoted_template(source: &Source, byte: usize) -> Option<Span> {
    let byte = source.boundary(byte);
    let start = source.text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let end = source.text[byte..].find('\n').map_or(source.text.len(), |newline| byte + newline);
    let line = &source.text[start..end];
    let (mut quote, mut from) = (None, None);
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if line[..at].ends_with([' ', '\t']) || at == 0 => break,
            (None, '"' | '\'')
                if line[..at].trim_end().is_empty() || line[..at].ends_with([' ', '[', '{', ',', ':']) =>
            {
                quote = Some(letter);
            }
            (Some(open), close) if open == close => quote = None,
            (None, '{') if line[at..].starts_with("{{") => {
                from = Some(if line[..at].ends_with('$') { at - 1 } else { at });
                break;
            }
            _ => {}
        }
    }
    let from = from?;
    let length = line[from..].find("}}").map_or(line.len() - from, |close| close + 2);
    Some(Span { start: start + from, end: start + from + length })
}

/// Returns the text from `{{` to `}}` in one line.
pub(super) fn template_at(source: &Source, start: usize) -> &str {
    let line = source.text[start..].lines().next().unwrap_or("");
    line.find("}}").map_or(line, |close| &line[..close + 2])
}

pub(super) fn not_quoted(source: &Arc<Source>, span: Span, template: &str) -> Diagnostic {
    let inner = template.trim().trim_start_matches('$').trim_start_matches("{{").trim_end_matches("}}").trim();
    let inner = inner.replace('"', "'");
    let span = Span { start: span.start, end: (span.start + template.len()).max(span.start) };
    let shown = if inner.starts_with("params.") || inner.contains(' ') || inner.is_empty() {
        inner
    } else {
        format!("params.{inner}")
    };
    Diagnostic::error("E0107", source, span, "an expression must stand in quotes")
        .help(format!("write `\"${{{{ {shown} }}}}\"`"))
}
