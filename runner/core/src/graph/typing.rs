//! What flows along every edge, checked at both ends, in topological order; drafts become nodes.

use std::collections::BTreeMap;

use super::Names;
use crate::artifact::{Form, KindName};
use crate::diag::{did_you_mean, nearest};
use crate::stage::{Slot, SlotKind, Stage, Work};
use crate::workflow::fields::listed;
use crate::workflow::nodes::{DraftLoop, DraftWork, Named, Reference};
use crate::workflow::registry::Registry;
use crate::workflow::yaml::{Place, Sink, Spanned};
use crate::workflow::{Collect, Common, LoopNode, Need, Node, NodeWork, Origin, Port, Skipped, StageNode};

/// What a node offers, and where it is defined.
pub(super) struct Giver {
    pub(super) at: Place,
    /// `None`: unknown, because something about it is wrong and has been reported.
    pub(super) ports: Option<Vec<Port>>,
}

/// Id → what it offers.
pub(super) type Ports = BTreeMap<String, Giver>;

/// The state of a check.
pub(super) struct Typing<'a, 's> {
    pub(super) registry: &'a Registry<'a>,
    pub(super) sink: &'s mut Sink,
    /// The outer nodes typed so far.
    pub(super) outer: Ports,
    pub(super) names: &'a Names,
}

/// The body of a loop, seen from one of its stages.
#[derive(Clone, Copy)]
pub(super) struct Body<'b> {
    /// Its stages typed so far.
    ports: &'b Ports,
    /// What `loop.state` is; `None`: unknown.
    state: Option<(KindName, Place)>,
}

/// What a reference leads to.
struct Flow {
    origin: Origin,
    kind: KindName,
    form: Form,
    /// Where its giver is defined.
    at: Place,
}

/// Whether an output is not made: its node is skipped, or the loop it is collected from leaves it out.
pub(super) fn is_skipped(skipped: &[Skipped], node: &str, output: Option<&str>) -> bool {
    let dotted = output.map(|output| format!("{node}.{output}"));
    skipped.iter().any(|skipped| skipped.id == node || Some(&skipped.id) == dotted.as_ref())
}

impl Typing<'_, '_> {
    /// Returns a stage as a node; `None` if its ports are unknown.
    pub(super) fn stage(
        &mut self,
        id: Spanned<String>,
        common: Common,
        stage: Option<StageNode>,
        needs: &[Named],
        body: Option<&Body<'_>>,
    ) -> Option<Node> {
        let flows: Vec<Option<Flow>> =
            needs.iter().map(|(_, reference)| self.flow(reference.as_ref()?, body)).collect();
        let stage = stage?;
        let slots = stage.stage.inputs();
        let mut connected: BTreeMap<&'static str, (Option<KindName>, Option<Need>)> = BTreeMap::new();
        for ((name, reference), flow) in needs.iter().zip(flows) {
            let Some(slot) = slots.iter().find(|slot| slot.name == name.value) else {
                self.unknown_slot(name, &slots, stage.kind);
                continue;
            };
            let need = flow.zip(reference.as_ref()).map(|(flow, reference)| {
                self.check_fit(slot, &flow, reference, stage.kind);
                Need {
                    slot: slot.name.to_owned(),
                    from: flow.origin,
                    kind: flow.kind,
                    form: flow.form,
                    span: reference.at.span,
                }
            });
            connected.insert(slot.name, (need.as_ref().map(|need| need.kind), need));
        }
        for slot in slots.iter().filter(|slot| !slot.optional && !connected.contains_key(slot.name)) {
            self.not_connected(&id, slot, stage.kind, body);
        }
        let outputs = outputs(stage.stage.as_ref(), &connected)?;
        let needs = slots.iter().filter_map(|slot| connected.remove(slot.name)?.1).collect();
        Some(Node { id: id.value, span: id.at.span, needs, outputs, common, work: NodeWork::Stage(stage) })
    }

    /// Returns a loop as a node, and what of it is skipped; the loop's own id among those means all of it. The node still offers
    /// what a skipped stage would give, so that those who need it are checked before they are skipped.
    pub(super) fn looped(
        &mut self,
        id: &Spanned<String>,
        common: Common,
        inner: DraftLoop,
        order: &[usize],
        outer_skipped: &[Skipped],
    ) -> (Option<Node>, Vec<Skipped>) {
        let over = inner.over.as_ref().and_then(|over| Some((self.flow(over, None)?, over)));
        if let Some((flow, reference)) = &over {
            self.check_carried(flow, reference);
        }
        let state = over.as_ref().map(|(flow, reference)| (flow.kind, reference.at));
        let mut ports = Ports::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut skipped: Vec<Skipped> = Vec::new();
        let mut drafts: Vec<_> = inner.body.into_iter().map(Some).collect();
        for index in order {
            let Some(draft) = drafts[*index].take() else { continue };
            let all: Vec<Skipped> = skipped.iter().chain(outer_skipped).cloned().collect();
            let because = super::because(&draft, &all, &|node| self.first_output(node, Some(&ports)));
            let (stage_id, at) = (draft.id.value.clone(), draft.id.at);
            let node = match draft.work {
                DraftWork::Stage { stage, needs } => {
                    self.check_grain(stage.as_ref(), at);
                    self.stage(draft.id, draft.common, stage, &needs, Some(&Body { ports: &ports, state }))
                }
                DraftWork::Loop(_) | DraftWork::Broken => None,
            };
            ports.insert(stage_id.clone(), Giver { at, ports: node.as_ref().map(|node| node.outputs.clone()) });
            match because {
                Some(because) => skipped.push(Skipped { id: stage_id, because }),
                None => nodes.extend(node),
            }
        }
        let view = Body { ports: &ports, state };
        let carry = inner.carry.as_ref().and_then(|carry| self.carry(carry, &view));
        let (outputs, collect) = self.collect(&inner.collect, &view);
        let gone = self.gone(id, inner.carry.as_ref(), &inner.collect, &skipped);
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
            let outputs = outputs?;
            let work = NodeWork::Loop(LoopNode { max_steps: inner.max_steps, body: nodes, carry: carry?, collect });
            Some(Node { id: id.value.clone(), span: id.at.span, needs, outputs, common, work })
        })();
        (node, gone)
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

    /// Returns the name of a node's first output.
    pub(super) fn first_output(&self, node: &str, body: Option<&Ports>) -> Option<String> {
        let giver = body.and_then(|ports| ports.get(node)).or_else(|| self.outer.get(node))?;
        giver.ports.as_ref()?.first().map(|port| port.name.clone())
    }

    /// Follows a reference; reports outputs that do not exist. References to nodes that do not exist were reported before.
    fn flow(&mut self, reference: &Reference, body: Option<&Body<'_>>) -> Option<Flow> {
        if reference.node == "loop" {
            let (kind, at) = body?.state?;
            let state = reference.output.as_deref() == Some("state");
            return state.then_some(Flow { origin: Origin::LoopState, kind, form: Form::Rows, at });
        }
        let sibling = body.map_or(self.outer.get(&reference.node), |body| body.ports.get(&reference.node));
        let (giver, is_outside) = match sibling {
            Some(giver) => (giver, false),
            None => (self.outer.get(&reference.node)?, true),
        };
        let ports = giver.ports.as_ref()?;
        let port = match &reference.output {
            Some(output) => ports.iter().find(|port| port.name == *output),
            None => ports.first(),
        };
        let at = giver.at;
        let Some(port) = port else {
            let names: Vec<String> = ports.iter().map(|port| port.name.clone()).collect();
            self.unknown_output(reference, at, &names);
            return None;
        };
        let (node, output) = (reference.node.clone(), port.name.clone());
        let origin = if is_outside { Origin::Outside { node, output } } else { Origin::Sibling { node, output } };
        Some(Flow { origin, kind: port.kind, form: port.form, at })
    }

    fn unknown_output(&mut self, reference: &Reference, defined: Place, names: &[String]) {
        let offers = if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", listed(names.iter().map(String::as_str)))
        };
        let message = match &reference.output {
            Some(output) => format!("stage `{}` has no output `{output}`", reference.node),
            None => format!("stage `{}` has no output", reference.node),
        };
        let near = reference.output.as_ref().and_then(|output| nearest(output, names.iter().map(String::as_str)));
        let help = near.map_or(offers, |near| format!("did you mean `{}.{near}`?", reference.node));
        let diagnostic =
            self.sink.error("E0502", reference.at, message).related(defined.span, "defined here").help(help);
        self.sink.push(diagnostic);
    }

    fn unknown_slot(&mut self, name: &Spanned<String>, slots: &[Slot], kind: &str) {
        let names = || slots.iter().map(|slot| slot.name);
        let message = format!("stage kind `{kind}` has no input `{}`", crate::workflow::yaml::shortened(&name.value));
        let offers = || if slots.is_empty() { "it has none".to_owned() } else { format!("it has {}", listed(names())) };
        let help = did_you_mean(&name.value, names()).unwrap_or_else(offers);
        let diagnostic = self.sink.error("E0503", name.at, message).help(help);
        self.sink.push(diagnostic);
    }

    fn check_fit(&mut self, slot: &Slot, flow: &Flow, reference: &Reference, kind: &str) {
        let fits = flow.form == slot.form
            && match slot.kind {
                SlotKind::Is(wanted) => flow.kind == wanted,
                SlotKind::AnyRows | SlotKind::SameAs(_) => true,
            };
        if fits {
            return;
        }
        let wanted = match slot.kind {
            SlotKind::Is(wanted) => format!("`{wanted}`"),
            SlotKind::AnyRows | SlotKind::SameAs(_) => "rows of any kind".to_owned(),
        };
        let message = format!(
            "input `{}` of `{kind}` takes {wanted}, and this gives `{}`{}",
            slot.name,
            flow.kind,
            if flow.form == Form::Files { ", which are files" } else { "" }
        );
        let offer = match slot.kind {
            SlotKind::Is(wanted) => self.offer(wanted, slot.form, None),
            SlotKind::AnyRows | SlotKind::SameAs(_) => None,
        };
        let diagnostic = self
            .sink
            .error("E0505", reference.at, message)
            .related(flow.at.span, format!("gives `{}`", flow.kind))
            .maybe_help(offer);
        self.sink.push(diagnostic);
    }

    fn not_connected(&mut self, id: &Spanned<String>, slot: &Slot, kind: &str, body: Option<&Body<'_>>) {
        let wanted = match slot.kind {
            SlotKind::Is(wanted) => wanted,
            SlotKind::AnyRows | SlotKind::SameAs(_) => "rows of any kind",
        };
        let message = format!("stage `{}` needs its input `{}` connected", id.value, slot.name);
        let help = self
            .offer(wanted, slot.form, body)
            .unwrap_or_else(|| format!("`{kind}` takes {wanted} there: `needs: {{{}: …}}`", slot.name));
        let diagnostic = self.sink.error("E0504", id.at, message).help(help);
        self.sink.push(diagnostic);
    }

    /// Names what so far gives a kind.
    fn offer(&self, wanted: &str, form: Form, body: Option<&Body<'_>>) -> Option<String> {
        let state = body.and_then(|body| body.state).filter(|(kind, _)| *kind == wanted && form == Form::Rows);
        let mut givers: Vec<String> = state.map(|_| "loop.state".to_owned()).into_iter().collect();
        for (id, giver) in body.into_iter().flat_map(|body| body.ports).chain(&self.outer) {
            for (index, port) in
                giver.ports.iter().flatten().enumerate().filter(|(_, port)| port.kind == wanted && port.form == form)
            {
                givers.push(if index == 0 { id.clone() } else { format!("{id}.{}", port.name) });
            }
        }
        (!givers.is_empty()).then(|| format!("`{wanted}` come from {}", listed(givers.iter().map(String::as_str))))
    }

    fn check_grain(&mut self, stage: Option<&StageNode>, at: Place) {
        if let Some(stage) = stage.filter(|stage| matches!(stage.stage.work(), Work::Whole(_))) {
            let message = format!("`{}` works on all records at once and cannot stand in a loop", stage.kind);
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
        if !body.ports.contains_key(&reference.node) {
            self.not_in_body(reference, body, "carry");
            return None;
        }
        let flow = self.flow(reference, Some(body))?;
        if let Some((over, at)) = body.state.filter(|(over, _)| *over != flow.kind || flow.form != Form::Rows) {
            let message = format!("the loop runs over `{over}`, and this carries `{}`", flow.kind);
            let offer = self.offer(over, Form::Rows, Some(&Body { ports: body.ports, state: None }));
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
        let seen: Vec<String> = body.ports.keys().cloned().collect();
        if self.outer.contains_key(&reference.node) {
            let message =
                format!("`{}` stands outside the loop, and `{what}` takes what its body makes", reference.node);
            let help = format!("the body has {}", listed(seen.iter().map(String::as_str)));
            let diagnostic = self.sink.error("E0501", reference.at, message).help(help);
            return self.sink.push(diagnostic);
        }
        self.names.unknown(reference, &seen, self.sink);
    }

    /// Returns what a loop offers; `None` if some of it is unknown.
    fn collect(&mut self, collect: &[Named], body: &Body<'_>) -> (Option<Vec<Port>>, Vec<Collect>) {
        let mut ports: Option<Vec<Port>> = Some(Vec::new());
        let mut collected = Vec::new();
        for (name, reference) in collect {
            let Some(reference) = reference else {
                ports = None;
                continue;
            };
            let found = match (reference.node.as_str(), reference.output.as_deref()) {
                ("loop", Some("final")) => body.state.map(|(kind, _)| (kind, Form::Rows, Collect::Final)),
                (node, _) if body.ports.contains_key(node) => {
                    self.flow(reference, Some(body)).and_then(|flow| match flow.origin {
                        Origin::Sibling { node, output } => Some((flow.kind, flow.form, Collect::Output(node, output))),
                        Origin::Outside { .. } | Origin::LoopState => None,
                    })
                }
                _ => {
                    self.not_in_body(reference, body, "collect");
                    None
                }
            };
            match found {
                None => ports = None,
                Some((kind, form, entry)) => {
                    ports.iter_mut().for_each(|ports| ports.push(Port { name: name.value.clone(), kind, form }));
                    collected.push(entry);
                }
            }
        }
        (ports, collected)
    }
}

/// Returns the outputs of a stage with their kinds; `None` if one depends on an unknown input.
fn outputs(
    stage: &dyn Stage,
    connected: &BTreeMap<&'static str, (Option<KindName>, Option<Need>)>,
) -> Option<Vec<Port>> {
    let kind = |slot: &Slot| match slot.kind {
        SlotKind::Is(kind) => Some(kind),
        SlotKind::SameAs(input) => connected.get(input)?.0,
        SlotKind::AnyRows => None,
    };
    stage
        .outputs()
        .iter()
        .map(|slot| Some(Port { name: slot.name.to_owned(), kind: kind(slot)?, form: slot.form }))
        .collect()
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
