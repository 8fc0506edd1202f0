//! Parser events become the tree: limits hold before memory is spent, and one mistake does not hide the next. Anchors, aliases
//! and merge keys are resolved here, and every copy remembers the alias that made it.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

use super::mistakes::{not_quoted, syntax_error, template_at};
use super::{
    ALIASES_MAX, DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, Node, Place, SCALAR_BYTES_MAX, SCALARS_BYTES_MAX, Scalar, Sink,
    Spanned,
};
use crate::diag::{Diagnostic, Span};

/// Reads exactly one YAML document. What is wrong goes to the sink; `None` if nothing could be read at all.
pub(super) fn read(sink: &mut Sink) -> Option<Spanned<Node>> {
    let source = sink.source.clone();
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; the limit is {FILE_BYTES_MAX}", source.text.len());
        sink.found.push(Diagnostic::error("E0102", &source, Span::at(0), message));
        return None;
    }
    let mut options = Options::default();
    options.strict_indentation = true;
    options.disallow_directives = true;
    options.flow_nesting_limit = DEPTH_MAX + 1;
    options.block_nesting_limit = DEPTH_MAX + 1;
    let parser = Parser::new_from_str_with_options(&source.text, options);
    let mut reader = Reader {
        parser,
        sink,
        anchors: BTreeMap::new(),
        read: Cost::default(),
        kept: Cost::default(),
        aliases: 0,
        last: Span::at(0),
    };
    reader.document().ok()
}

/// What was wrong has been reported and reading cannot go on.
struct Stopped;

/// What a tree costs when it is copied.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

struct Anchor {
    tree: Spanned<Node>,
    cost: Cost,
    depth: usize,
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    sink: &'a mut Sink,
    anchors: BTreeMap<usize, Anchor>,
    /// What the tree holds so far.
    read: Cost,
    /// What anchors hold for their aliases.
    kept: Cost,
    aliases: usize,
    /// Where the last event stood.
    last: Span,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Spanned<Node>, Stopped> {
        let mut tree = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if tree.is_some() => {
                    let message = "a second document starts here; a workflow is one document";
                    return self.stop(
                        "E0105",
                        span,
                        message,
                        Some("remove the `---`, or put the second document in a file of its own"),
                    );
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    tree = Some(self.node(event, span, 0)?.0);
                }
                Event::StreamEnd => break,
                _ => return self.stop("E0101", span, "unexpected content", None),
            }
        }
        match tree {
            Some(tree) if tree.value != Node::Null => Ok(tree),
            _ => self.stop("E0105", Span::at(0), "the file is empty", Some("start with `version: 1`")),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stopped> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or(0..0);
                self.last = Span { start: range.start, end: range.end };
                Ok((event, self.last))
            }
            Some(Err(error)) => {
                let diagnostic = syntax_error(&self.sink.source, &error, self.last);
                self.sink.found.push(diagnostic);
                Err(Stopped)
            }
            None => self.stop("E0101", self.last, "the text ends too early", None),
        }
    }

    /// Returns a node and how deep it goes.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Spanned<Node>, usize), Stopped> {
        if depth > DEPTH_MAX {
            return self.stop("E0102", span, format!("nested deeper than {DEPTH_MAX} levels"), None);
        }
        let before = self.read;
        let at = Place { span, alias: None };
        let (value, end, below, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                (self.scalar(text.into_owned(), style, span)?, span, 0, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.spend(Cost { nodes: 1, bytes: 0 }, span)?;
                let (value, end, below) = self.sequence(depth)?;
                (value, end, below, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.spend(Cost { nodes: 1, bytes: 0 }, span)?;
                let (value, end, below) = self.mapping(span, depth)?;
                (value, end, below, anchor)
            }
            Event::Alias(id) => return self.alias(id, span, depth),
            _ => return self.stop("E0101", span, "a value is missing here", None),
        };
        let tree = Spanned { at: Place { span: at.span.to(end), ..at }, value };
        if anchor != 0 {
            let cost = Cost { nodes: self.read.nodes - before.nodes, bytes: self.read.bytes - before.bytes };
            self.kept = Cost { nodes: self.kept.nodes + cost.nodes, bytes: self.kept.bytes + cost.bytes };
            self.spend(Cost::default(), span)?;
            self.anchors.insert(anchor, Anchor { tree: tree.clone(), cost, depth: below });
        }
        Ok((tree, below))
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, span: Span) -> Result<Node, Stopped> {
        if text.len() > SCALAR_BYTES_MAX {
            let message = format!("a scalar of {} bytes; the limit is {SCALAR_BYTES_MAX}", text.len());
            return self.stop("E0102", span, message, None);
        }
        self.spend(Cost { nodes: 1, bytes: text.len() }, span)?;
        let quoted = style != ScalarStyle::Plain;
        if !quoted && text.contains("${{") {
            let diagnostic = not_quoted(&self.sink.source, span, &text);
            self.sink.found.push(diagnostic);
            return Ok(Node::Poison);
        }
        let nothing = !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        Ok(if nothing { Node::Null } else { Node::Scalar(Scalar { text, quoted }) })
    }

    fn sequence(&mut self, depth: usize) -> Result<(Node, Span, usize), Stopped> {
        let (mut items, mut below) = (Vec::new(), 0);
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((Node::Seq(items), span, below + 1));
            }
            let (item, deep) = self.node(event, span, depth + 1)?;
            below = below.max(deep);
            items.push(item);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<(Node, Span, usize), Stopped> {
        let mut entries: Vec<(Spanned<String>, Spanned<Node>)> = Vec::new();
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        let (mut merges, mut below) = (Vec::new(), 0);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                self.merge(&mut entries, merges)?;
                return Ok((Node::Map(entries), span, below + 1));
            }
            if matches!(event, Event::MappingStart(..)) && self.sink.source.text[start.start..].starts_with("{{") {
                let diagnostic = not_quoted(&self.sink.source, start, template_at(&self.sink.source, start.start));
                self.sink.found.push(diagnostic);
                return Err(Stopped);
            }
            let merges_here = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let (key, _) = self.node(event, span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let (value, deep) = self.node(event, value_span, depth + 1)?;
            below = below.max(deep);
            let Some(key) = self.key(key) else { continue };
            if let Some(first) = places.insert(key.value.clone(), key.at.span) {
                let message = format!("key `{}` is given twice", key.value);
                self.push(
                    Diagnostic::error("E0103", &self.sink.source, key.at.span, message)
                        .label("again")
                        .related(first, "first given here"),
                );
                places.insert(key.value, first);
            } else if merges_here {
                merges.push(value);
            } else {
                entries.push((key, value));
            }
        }
    }

    /// Returns a key as text; anything else is reported.
    fn key(&mut self, key: Spanned<Node>) -> Option<Spanned<String>> {
        let at = key.at;
        match key.value {
            Node::Scalar(scalar) => Some(Spanned { at, value: scalar.text }),
            Node::Poison => None,
            Node::Null => {
                let written = self.sink.source.slice(at.span).to_owned();
                let message = if written.is_empty() {
                    "a key is missing".to_owned()
                } else {
                    format!("`{written}` as a key means nothing")
                };
                self.push(
                    Diagnostic::error("E0108", &self.sink.source, at.span, message)
                        .help("write a plain word, or quote it"),
                );
                None
            }
            _ => {
                self.push(Diagnostic::error("E0108", &self.sink.source, at.span, "a list or mapping cannot be a key"));
                None
            }
        }
    }

    /// Adds what merge keys bring: given keys win, earlier merges win over later ones.
    fn merge(
        &mut self,
        entries: &mut Vec<(Spanned<String>, Spanned<Node>)>,
        merges: Vec<Spanned<Node>>,
    ) -> Result<(), Stopped> {
        let mut present: BTreeSet<String> = entries.iter().map(|(key, _)| key.value.clone()).collect();
        let mut maps = Vec::new();
        for merge in merges {
            match merge.value {
                Node::Seq(list) => maps.extend(list),
                _ => maps.push(merge),
            }
        }
        for map in maps {
            match map.value {
                Node::Map(brought) => {
                    let fresh: Vec<_> =
                        brought.into_iter().filter(|(key, _)| present.insert(key.value.clone())).collect();
                    entries.extend(fresh);
                }
                Node::Poison => {}
                _ => {
                    let diagnostic = self.sink.error("E0109", map.at, "`<<` merges mappings, and this is none");
                    self.sink.found.push(diagnostic);
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<(Spanned<Node>, usize), Stopped> {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            return self.stop("E0102", span, format!("more than {ALIASES_MAX} aliases"), None);
        }
        let Some(anchor) = self.anchors.get(&id) else {
            let name = self.sink.source.slice(span).to_owned();
            return self.stop("E0106", span, format!("`{name}` stands inside its own anchor"), None);
        };
        if depth + anchor.depth > DEPTH_MAX {
            return self.stop("E0102", span, format!("with this alias, nested deeper than {DEPTH_MAX} levels"), None);
        }
        let (cost, below) = (anchor.cost, anchor.depth);
        self.spend(cost, span)?;
        let mut tree = self.anchors[&id].tree.clone();
        through_alias(&mut tree, span);
        Ok((tree, below))
    }

    fn spend(&mut self, cost: Cost, span: Span) -> Result<(), Stopped> {
        self.read.nodes += cost.nodes;
        self.read.bytes += cost.bytes;
        if self.read.nodes + self.kept.nodes > NODES_MAX {
            return self.stop(
                "E0102",
                span,
                format!("more than {NODES_MAX} values, copies made by aliases included"),
                None,
            );
        }
        if self.read.bytes + self.kept.bytes > SCALARS_BYTES_MAX {
            return self.stop(
                "E0102",
                span,
                format!("more than {SCALARS_BYTES_MAX} bytes of scalars, copies made by aliases included"),
                None,
            );
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            let diagnostic = Diagnostic::error("E0104", &self.sink.source, span, "a tag is given for this value");
            self.push(diagnostic.help("remove the tag; the field decides the type"));
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.sink.found.push(diagnostic);
    }

    fn stop<T>(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Result<T, Stopped> {
        let diagnostic = Diagnostic::error(code, &self.sink.source, span, message).maybe_help(help.map(str::to_owned));
        self.push(diagnostic);
        Err(Stopped)
    }
}

/// Notes on a whole subtree that it is used through an alias; the outermost alias is the one shown.
fn through_alias(tree: &mut Spanned<Node>, alias: Span) {
    tree.at.alias = Some(alias);
    match &mut tree.value {
        Node::Seq(items) => items.iter_mut().for_each(|item| through_alias(item, alias)),
        Node::Map(entries) => {
            for (key, value) in entries {
                key.at.alias = Some(alias);
                through_alias(value, alias);
            }
        }
        _ => {}
    }
}
