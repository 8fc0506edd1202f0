//! What flows along every edge, checked at both ends, in topological order; drafts become nodes.

use std::collections::BTreeMap;

use super::Names;
use crate::artifact::{Form, KindName};
use crate::diag::{did_you_mean, nearest};
use crate::stage::{Slot, SlotKind, Stage};
use crate::workflow::fields::listed;
use crate::workflow::nodes::{Named, Reference};
use crate::workflow::registry::Registry;
use crate::workflow::yaml::{Place, Sink, Spanned};
use crate::workflow::{Common, Need, Node, NodeWork, Origin, Port, Skipped, StageNode};

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
    pub(super) ports: &'b Ports,
    /// What `loop.state` is; `None`: unknown.
    pub(super) state: Option<(KindName, Place)>,
}

/// What a reference leads to.
pub(super) struct Flow {
    pub(super) origin: Origin,
    pub(super) kind: KindName,
    pub(super) form: Form,
    /// Where its giver is defined.
    pub(super) at: Place,
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

    /// Returns the name of a node's first output.
    pub(super) fn first_output(&self, node: &str, body: Option<&Ports>) -> Option<String> {
        let giver = body.and_then(|ports| ports.get(node)).or_else(|| self.outer.get(node))?;
        giver.ports.as_ref()?.first().map(|port| port.name.clone())
    }

    /// Follows a reference; reports outputs that do not exist. References to nodes that do not exist were reported before.
    pub(super) fn flow(&mut self, reference: &Reference, body: Option<&Body<'_>>) -> Option<Flow> {
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
    pub(super) fn offer(&self, wanted: &str, form: Form, body: Option<&Body<'_>>) -> Option<String> {
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
