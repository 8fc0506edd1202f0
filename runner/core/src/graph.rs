//! How the nodes of a workflow hang together: references become edges, cycles are named by their path, what flows along every
//! edge is checked at both ends, and nodes are put in order. Drawing is [`draw`]'s.
//!
//! A loop is one node of the outer graph; its body is a graph of its own.

pub mod draw;
mod loops;
mod order;
mod typing;

use std::collections::BTreeMap;

use order::{Scope, in_order};
use typing::{Giver, Givers, Typing};

use crate::diag::nearest;
use crate::workflow::nodes::{Draft, DraftLoop, DraftWork, Named, Reference};
use crate::workflow::registry::Registry;
use crate::workflow::yaml::Sink;
use crate::workflow::{Node, NodeWork, Skipped};

/// What a check gives; meaningful only if nothing was reported.
pub(crate) struct Checked {
    pub(crate) nodes: Vec<Node>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Ties drafts together. What is wrong goes to the sink.
pub(crate) fn check(drafts: Vec<Draft>, registry: &Registry<'_>, sink: &mut Sink) -> Checked {
    let names = Names::of(&drafts, sink);
    let scope = outer_scope(&drafts, &names, sink);
    let order = in_order(&scope, sink);
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut typing = Typing { registry, sink, outer: Givers::new(), names: &names };
    let mut checked = Checked { nodes: Vec::new(), skipped: Vec::new() };
    for index in order {
        let Some(draft) = drafts[index].take() else { continue };
        let (id, at) = (draft.id.value.clone(), draft.id.at);
        let because = because(&draft, &checked.skipped, &|node| typing.first_output(node, None));
        let (node, offers, body_skipped) = match draft.work {
            DraftWork::Stage(native) => {
                let (node, offers) = typing.stage(draft.id, draft.common, native, &draft.needs, None);
                (node, offers, Vec::new())
            }
            DraftWork::Loop(inner) => {
                // A loop has needs of its own only by mistake, which has been reported; they are followed all the same.
                references(&draft.needs).for_each(|reference| drop(typing.flow(reference, None)));
                let order = in_order(&body_scope(&inner), typing.sink);
                let outer_skipped = std::mem::take(&mut checked.skipped);
                let typed = typing.looped(&draft.id, draft.common, inner, &order, &outer_skipped);
                checked.skipped = outer_skipped;
                typed
            }
        };
        typing.outer.insert(id.clone(), Giver { at, offers });
        let because = because
            .or_else(|| body_skipped.iter().find(|skipped| skipped.id == id).map(|skipped| skipped.because.clone()));
        match because {
            Some(because) => checked.skipped.push(Skipped { id, because }),
            None => {
                checked.nodes.extend(node.map(|node| without(node, &body_skipped)));
                checked.skipped.extend(body_skipped);
            }
        }
    }
    checked
}

/// Returns a node that no longer offers what it would collect from skipped stages.
fn without(mut node: Node, skipped: &[Skipped]) -> Node {
    if let NodeWork::Loop(inner) = &mut node.work {
        let made: Vec<bool> =
            node.outputs.iter().map(|port| !typing::is_skipped(skipped, &node.id, Some(&port.name))).collect();
        let mut ports = made.iter();
        node.outputs.retain(|_| ports.next() == Some(&true));
        let mut entries = made.iter();
        inner.collect.retain(|_| entries.next() == Some(&true));
    }
    node
}

/// Returns why a node does not run, if it does not.
fn because(draft: &Draft, skipped: &[Skipped], first_output: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if !draft.runs {
        return Some("its `if` is false".to_owned());
    }
    let hangs = |reference: &Reference| {
        let output = reference.output.clone().or_else(|| first_output(&reference.node));
        typing::is_skipped(skipped, &reference.node, output.as_deref())
    };
    let over = match &draft.work {
        DraftWork::Stage(_) => None,
        DraftWork::Loop(inner) => inner.over.as_ref(),
    };
    references(&draft.needs)
        .chain(over)
        .find(|reference| hangs(reference))
        .map(|reference| format!("it needs `{}`, which is skipped", reference.node))
}

/// Where every id stands: outside, or in which loop.
pub(crate) struct Names {
    outer: Vec<String>,
    /// Body stage → the first loop it stands in.
    inside: BTreeMap<String, String>,
}

impl Names {
    fn of(drafts: &[Draft], sink: &mut Sink) -> Self {
        let outer: Vec<String> = drafts.iter().map(|draft| draft.id.value.clone()).collect();
        let mut inside: BTreeMap<String, String> = BTreeMap::new();
        for draft in drafts {
            let DraftWork::Loop(inner) = &draft.work else { continue };
            for stage in &inner.body {
                let id = &stage.id.value;
                inside.entry(id.clone()).or_insert_with(|| draft.id.value.clone());
                if let Some(other) = drafts.iter().find(|other| other.id.value == *id) {
                    let message = format!("`{id}` already names a stage outside the loop");
                    sink.push(sink.error("E0407", stage.id.at, message).related(other.id.at.span, "the one outside"));
                }
            }
        }
        Self { outer, inside }
    }

    /// Reports a reference to a stage that does not exist or cannot be seen.
    pub(crate) fn unknown(&self, reference: &Reference, seen: &[String], sink: &mut Sink) {
        if sink.found.is_full() {
            return sink.push(sink.error("E0501", reference.at, "there is no such stage"));
        }
        let name = &reference.node;
        let diagnostic = match self.inside.get(name) {
            _ if name == "loop" => {
                let written = reference.output.as_deref().unwrap_or("");
                let help =
                    "`loop.state` is what a stage in a loop's body may need; `loop.final` is what a loop may collect";
                sink.error("E0510", reference.at, format!("there is no `loop.{written}` here")).help(help)
            }
            Some(inner) => {
                let output = reference.output.as_deref().map(|output| format!(".{output}")).unwrap_or_default();
                let help =
                    format!("let the loop offer it: `collect: {{{name}: {name}{output}}}`, and need `{inner}.{name}`");
                sink.error(
                    "E0501",
                    reference.at,
                    format!("`{name}` stands in the loop `{inner}` and cannot be seen from here"),
                )
                .help(help)
            }
            None => {
                let near = nearest(name, seen.iter().map(String::as_str));
                let diagnostic = sink.error(
                    "E0501",
                    reference.at,
                    format!("there is no stage `{}`", crate::workflow::yaml::shortened(name)),
                );
                diagnostic.label("no such stage").maybe_help(near.map(|near| format!("did you mean `{near}`?")))
            }
        };
        sink.push(diagnostic);
    }
}

/// Returns the outer graph; reports references that lead nowhere.
fn outer_scope(drafts: &[Draft], names: &Names, sink: &mut Sink) -> Scope {
    let mut scope = Scope::new(drafts.iter().map(|draft| (draft.id.value.clone(), draft.id.at)));
    for (index, draft) in drafts.iter().enumerate() {
        let mut link = |reference: &Reference, sink: &mut Sink| {
            if !scope.link(&reference.node, index, reference.at) {
                names.unknown(reference, &names.outer, sink);
            }
        };
        references(&draft.needs).for_each(|reference| link(reference, sink));
        let DraftWork::Loop(inner) = &draft.work else { continue };
        inner.over.iter().for_each(|over| link(over, sink));
        let body: Vec<String> = inner.body.iter().map(|stage| stage.id.value.clone()).collect();
        let needed = inner.body.iter().flat_map(|stage| references(&stage.needs));
        for reference in needed.filter(|reference| !body.contains(&reference.node)) {
            let state = reference.node == "loop" && reference.output.as_deref() == Some("state");
            if !state && !scope.link(&reference.node, index, reference.at) {
                let seen: Vec<String> = body.iter().chain(&names.outer).cloned().collect();
                names.unknown(reference, &seen, sink);
            }
        }
    }
    scope
}

fn references(named: &[Named]) -> impl Iterator<Item = &Reference> {
    named.iter().filter_map(|(_, reference)| reference.as_ref())
}

/// Returns the graph of a loop's body.
fn body_scope(inner: &DraftLoop) -> Scope {
    let mut scope = Scope::new(inner.body.iter().map(|stage| (stage.id.value.clone(), stage.id.at)));
    for (index, stage) in inner.body.iter().enumerate() {
        for reference in references(&stage.needs) {
            scope.link(&reference.node, index, reference.at);
        }
    }
    scope
}
