//! A loop, typed: what it runs over and carries must be the same kind, its body works record by record, what it collects exists.

use super::typing::{Body, Flow, Giver, Givers, Offer, Typing, is_skipped, ports};
use crate::artifact::{Form, KindName};
use crate::diag::listed;
use crate::workflow::nodes::{DraftLoop, DraftWork, Named, Native, Reference};
use crate::workflow::yaml::{Place, Spanned};
use crate::workflow::{Collect, Common, LoopNode, Need, Node, NodeWork, Origin, Skipped};

impl Typing<'_, '_> {
    /// Returns a loop as a node, every list of outputs it may have, and what of it is skipped; the loop's own id among those means
    /// all of it. The loop still offers what a skipped stage would give, so that those who need it are checked before they are
    /// skipped.
    pub(super) fn looped(
        &mut self,
        id: &Spanned<String>,
        common: Common,
        inner: DraftLoop,
        order: &[usize],
        outer_skipped: &[Skipped],
    ) -> (Option<Node>, Vec<Vec<Offer>>, Vec<Skipped>) {
        let over = inner.over.as_ref().and_then(|over| Some((self.flow(over, None)?, over)));
        if let Some((flow, reference)) = &over {
            self.check_carried(flow, reference);
        }
        let state = over.as_ref().map(|(flow, reference)| (flow.kind, reference.at));
        let mut givers = Givers::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut skipped: Vec<Skipped> = Vec::new();
        let mut drafts: Vec<_> = inner.body.into_iter().map(Some).collect();
        for index in order {
            let Some(draft) = drafts[*index].take() else { continue };
            let all: Vec<Skipped> = skipped.iter().chain(outer_skipped).cloned().collect();
            let because = super::because(&draft, &all, &|node| self.first_output(node, Some(&givers)));
            let (stage_id, at) = (draft.id.value.clone(), draft.id.at);
            let DraftWork::Stage(native) = draft.work else { continue };
            self.check_grain(native.as_ref(), at);
            let body = Body { givers: &givers, state };
            let (node, offers) = self.stage(draft.id, draft.common, native, &draft.needs, Some(&body));
            givers.insert(stage_id.clone(), Giver { at, offers });
            match because {
                Some(because) => skipped.push(Skipped { id: stage_id, because }),
                None => nodes.extend(node),
            }
        }
        let view = Body { givers: &givers, state };
        let carry = inner.carry.as_ref().and_then(|carry| self.carry(carry, &view));
        let collected = inner.collect.as_deref();
        let (offers, collect) = self.collect(collected.unwrap_or_default(), &view);
        let gone = self.gone(id, inner.carry.as_ref(), collected.unwrap_or_default(), &skipped);
        let node = (|| {
            let (flow, reference) = over?;
            let mut needs = vec![Need {
                slot: "over".to_owned(),
                from: flow.origin,
                kind: flow.kind,
                form: flow.form,
                span: reference.at.span,
            }];
            needs.extend(outside_needs(&nodes));
            let outputs = ports(&offers)?;
            let work = NodeWork::Loop(LoopNode { max_steps: inner.max_steps, body: nodes, carry: carry?, collect });
            Some(Node { id: id.value.clone(), span: id.at.span, needs, outputs, common, work })
        })();
        let is_known = inner.is_alone && collected.is_some();
        (node, is_known.then_some(offers).into_iter().collect(), gone)
    }

    /// Names what of a loop is skipped, as it is seen from outside.
    fn gone(
        &self,
        id: &Spanned<String>,
        carry: Option<&Reference>,
        collect: &[Named],
        skipped: &[Skipped],
    ) -> Vec<Skipped> {
        let id = &id.value;
        let mut gone: Vec<Skipped> = skipped
            .iter()
            .map(|inner| Skipped { id: format!("{id}/{}", inner.id), because: inner.because.clone() })
            .collect();
        if let Some(carry) = carry.filter(|carry| is_skipped(skipped, &carry.node, None)) {
            gone.push(Skipped { id: id.clone(), because: format!("it carries `{}`, which is skipped", carry.node) });
        }
        let collected = collect.iter().filter_map(|(name, reference)| Some((name, reference.as_ref()?)));
        for (name, reference) in collected.filter(|(_, reference)| is_skipped(skipped, &reference.node, None)) {
            gone.push(Skipped {
                id: format!("{id}.{}", name.value),
                because: format!("it collects `{}`, which is skipped", reference.node),
            });
        }
        gone
    }

    fn check_grain(&mut self, native: Option<&Native>, at: Place) {
        let is_whole = |native: &&Native| !native.shapes.is_empty() && native.shapes.iter().all(|shape| shape.is_whole);
        if let Some(native) = native.filter(is_whole) {
            let message = format!("`{}` works on all records at once and cannot stand in a loop", native.kind);
            let diagnostic = self.sink.error("E0507", at, message).help("put it before or after the loop");
            self.sink.push(diagnostic);
        }
    }

    fn check_carried(&mut self, flow: &Flow, reference: &Reference) {
        let carriable =
            flow.form == Form::Rows && self.registry.kind(flow.kind).is_some_and(|kind| kind.ends_loop.is_some());
        if !carriable {
            let kinds = self.registry.kinds.iter().filter(|kind| kind.ends_loop.is_some()).map(|kind| kind.name);
            let help = format!("a loop runs over {}", listed(kinds));
            let message = format!("a loop cannot run over `{}`", flow.kind);
            let diagnostic = self
                .sink
                .error("E0508", reference.at, message)
                .related(flow.at.span, format!("gives `{}`", flow.kind))
                .help(help);
            self.sink.push(diagnostic);
        }
    }

    fn carry(&mut self, reference: &Reference, body: &Body<'_>) -> Option<(String, String)> {
        if !body.givers.contains_key(&reference.node) {
            self.not_in_body(reference, body, "carry");
            return None;
        }
        let flow = self.flow(reference, Some(body))?;
        if let Some((over, at)) = body.state.filter(|(over, _)| *over != flow.kind || flow.form != Form::Rows) {
            let message = format!("the loop runs over `{over}`, and this carries `{}`", flow.kind);
            let offer = self.offer(over, Form::Rows, Some(&Body { givers: body.givers, state: None }));
            let diagnostic = self
                .sink
                .error("E0508", reference.at, message)
                .related(at.span, format!("runs over `{over}`"))
                .maybe_help(offer);
            self.sink.push(diagnostic);
        }
        match flow.origin {
            Origin::Sibling { node, output } => Some((node, output)),
            Origin::Outside { .. } | Origin::LoopState => None,
        }
    }

    fn not_in_body(&mut self, reference: &Reference, body: &Body<'_>, what: &str) {
        if reference.node == "loop" {
            let written = reference.output.as_deref().unwrap_or("");
            let message = format!("`loop.{written}` cannot stand in `{what}`");
            let help = if what == "collect" {
                "the last state of each record is `loop.final`"
            } else {
                "carry the output of a body stage"
            };
            let diagnostic = self.sink.error("E0510", reference.at, message).help(help);
            return self.sink.push(diagnostic);
        }
        let seen: Vec<String> = body.givers.keys().cloned().collect();
        if self.outer.contains_key(&reference.node) {
            let message =
                format!("`{}` stands outside the loop, and `{what}` takes what its body makes", reference.node);
            let help = format!("the body has {}", listed(seen.iter().map(String::as_str)));
            let diagnostic = self.sink.error("E0501", reference.at, message).help(help);
            return self.sink.push(diagnostic);
        }
        self.names.unknown(reference, &seen, self.sink);
    }

    /// Returns what a loop offers, and where that of it which is known comes from.
    fn collect(&mut self, collect: &[Named], body: &Body<'_>) -> (Vec<Offer>, Vec<Collect>) {
        let mut offers = Vec::new();
        let mut collected = Vec::new();
        for (name, reference) in collect {
            let found = reference.as_ref().and_then(|reference| self.collected(reference, body));
            offers.push(Offer { name: name.value.clone(), what: found.as_ref().map(|(what, _)| *what) });
            collected.extend(found.map(|(_, from)| from));
        }
        (offers, collected)
    }

    fn collected(&mut self, reference: &Reference, body: &Body<'_>) -> Option<((KindName, Form), Collect)> {
        match (reference.node.as_str(), reference.output.as_deref()) {
            ("loop", Some("final")) => body.state.map(|(kind, _)| ((kind, Form::Rows), Collect::Final)),
            (node, _) if body.givers.contains_key(node) => {
                let flow = self.flow(reference, Some(body))?;
                match flow.origin {
                    Origin::Sibling { node, output } => Some(((flow.kind, flow.form), Collect::Output(node, output))),
                    Origin::Outside { .. } | Origin::LoopState => None,
                }
            }
            _ => {
                self.not_in_body(reference, body, "collect");
                None
            }
        }
    }
}

/// Returns what a body reads from outside, each once, as needs of the loop.
fn outside_needs(body: &[Node]) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for need in body.iter().flat_map(|node| &node.needs) {
        let Origin::Outside { node, output } = &need.from else { continue };
        let from = Origin::Sibling { node: node.clone(), output: output.clone() };
        if !needs.iter().any(|known| known.from == from) {
            needs.push(Need { slot: String::new(), from, ..need.clone() });
        }
    }
    needs
}
