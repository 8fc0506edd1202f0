//! What flows along every edge, checked at both ends, in topological order; drafts become nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;
use crate::artifact::{Form, KindName};
use crate::diag::{advice, listed, nearest};
use crate::stage::{Shape, Slot, SlotKind};
use crate::workflow::nodes::{Named, Native, Reference};
use crate::workflow::registry::Registry;
use crate::workflow::yaml::{Place, Sink, Spanned};
use crate::workflow::{Common, Need, Node, NodeWork, Origin, Port, Skipped};

/// What a node offers, and where it is defined.
pub(super) struct Giver {
    pub(super) at: Place,
    /// Every list of outputs it may have: one, unless something about it is wrong; none, where nothing is known.
    pub(super) offers: Vec<Vec<Offer>>,
}

/// An output of a node.
pub(super) struct Offer {
    pub(super) name: String,
    /// What flows out; `None`: unknown, because something on the way to it is wrong and has been reported.
    pub(super) what: Option<(KindName, Form)>,
}

/// Id → what it offers.
pub(super) type Givers = BTreeMap<String, Giver>;

/// The state of a check.
pub(super) struct Typing<'a, 's> {
    pub(super) registry: &'a Registry<'a>,
    pub(super) sink: &'s mut Sink,
    /// The outer nodes typed so far.
    pub(super) outer: Givers,
    pub(super) names: &'a Names,
}

/// The body of a loop, seen from one of its stages.
#[derive(Clone, Copy)]
pub(super) struct Body<'b> {
    /// Its stages typed so far.
    pub(super) givers: &'b Givers,
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
    /// Returns a stage as a node, and every list of outputs it may have. No node comes back if something about it is wrong; its
    /// edges are then checked against every shape it may have.
    pub(super) fn stage(
        &mut self,
        id: Spanned<String>,
        common: Common,
        native: Option<Native>,
        needs: &[Named],
        body: Option<&Body<'_>>,
    ) -> (Option<Node>, Vec<Vec<Offer>>) {
        let flows: Vec<Option<Flow>> =
            needs.iter().map(|(_, reference)| self.flow(reference.as_ref()?, body)).collect();
        let Some(Native { kind, shapes, stage }) = native else { return (None, Vec::new()) };
        let mut connected = Connected::new();
        for ((name, reference), flow) in needs.iter().zip(flows) {
            let slots: Vec<&Slot> = shapes.iter().filter_map(|shape| input(shape, &name.value)).collect();
            let Some(slot) = slots.first() else {
                self.unknown_slot(name, &shapes, kind);
                continue;
            };
            let need = flow.zip(reference.as_ref()).map(|(flow, reference)| {
                if !slots.iter().any(|slot| fits(slot, &flow)) {
                    self.no_fit(slot, &flow, reference, kind);
                }
                Need {
                    slot: slot.name.to_owned(),
                    from: flow.origin,
                    kind: flow.kind,
                    form: flow.form,
                    span: reference.at.span,
                }
            });
            connected.insert(slot.name, need);
        }
        let is_needed = |slot: &&Slot| {
            let needs_it = |shape| input(shape, slot.name).is_some_and(|slot| !slot.optional);
            shapes.iter().all(needs_it) && !connected.contains_key(slot.name)
        };
        for slot in shapes.first().into_iter().flat_map(|shape| &shape.inputs).filter(is_needed) {
            self.not_connected(&id, slot, kind, body);
        }
        let offers: Vec<Vec<Offer>> = shapes.iter().map(|shape| offers(shape, &connected)).collect();
        let node = stage.zip(offers.first().and_then(|offers| ports(offers))).map(|(stage, outputs)| {
            let needs = stage.stage.inputs().iter().filter_map(|slot| connected.remove(slot.name)?).collect();
            Node { id: id.value, span: id.at.span, needs, outputs, common, work: NodeWork::Stage(stage) }
        });
        (node, offers)
    }

    /// Returns the name of a node's first output.
    pub(super) fn first_output(&self, node: &str, body: Option<&Givers>) -> Option<String> {
        let giver = body.and_then(|givers| givers.get(node)).or_else(|| self.outer.get(node))?;
        giver.offers.first()?.first().map(|offer| offer.name.clone())
    }

    /// Follows a reference; reports outputs that do not exist. References to nodes that do not exist were reported before.
    pub(super) fn flow(&mut self, reference: &Reference, body: Option<&Body<'_>>) -> Option<Flow> {
        if reference.node == "loop" {
            let (kind, at) = body?.state?;
            let state = reference.output.as_deref() == Some("state");
            return state.then_some(Flow { origin: Origin::LoopState, kind, form: Form::Rows, at });
        }
        let sibling = body.map_or(self.outer.get(&reference.node), |body| body.givers.get(&reference.node));
        let (giver, is_outside) = match sibling {
            Some(giver) => (giver, false),
            None => (self.outer.get(&reference.node)?, true),
        };
        let at = giver.at;
        let mut meant = giver.offers.iter().filter_map(|offers| match &reference.output {
            Some(output) => offers.iter().find(|offer| offer.name == *output),
            None => offers.first(),
        });
        let Some(offer) = meant.next() else {
            if !giver.offers.is_empty() {
                let names: BTreeSet<String> = giver.offers.iter().flatten().map(|offer| offer.name.clone()).collect();
                self.unknown_output(reference, at, &names);
            }
            return None;
        };
        let (kind, form) = offer.what.filter(|_| meant.all(|other| other.what == offer.what))?;
        let (node, output) = (reference.node.clone(), offer.name.clone());
        let origin = if is_outside { Origin::Outside { node, output } } else { Origin::Sibling { node, output } };
        Some(Flow { origin, kind, form, at })
    }

    fn unknown_output(&mut self, reference: &Reference, defined: Place, names: &BTreeSet<String>) {
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

    fn unknown_slot(&mut self, name: &Spanned<String>, shapes: &[Shape], kind: &str) {
        if shapes.is_empty() {
            return;
        }
        let mut names: Vec<&str> = shapes.iter().flat_map(|shape| &shape.inputs).map(|slot| slot.name).collect();
        let mut known = BTreeSet::new();
        names.retain(|name| known.insert(*name));
        let message = format!("stage kind `{kind}` has no input `{}`", crate::workflow::yaml::shortened(&name.value));
        let help = advice(&name.value, "it takes", names.into_iter());
        let diagnostic = self.sink.error("E0503", name.at, message).help(help);
        self.sink.push(diagnostic);
    }

    fn no_fit(&mut self, slot: &Slot, flow: &Flow, reference: &Reference, kind: &str) {
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
    pub(super) fn offer(&self, wanted: KindName, form: Form, body: Option<&Body<'_>>) -> Option<String> {
        let state = body.and_then(|body| body.state).filter(|(kind, _)| *kind == wanted && form == Form::Rows);
        let mut givers: Vec<String> = state.map(|_| "loop.state".to_owned()).into_iter().collect();
        for (id, giver) in body.into_iter().flat_map(|body| body.givers).chain(&self.outer) {
            let [offers] = giver.offers.as_slice() else { continue };
            for (index, offer) in offers.iter().enumerate().filter(|(_, offer)| offer.what == Some((wanted, form))) {
                givers.push(if index == 0 { id.clone() } else { format!("{id}.{}", offer.name) });
            }
        }
        (!givers.is_empty()).then(|| format!("`{wanted}` come from {}", listed(givers.iter().map(String::as_str))))
    }
}

/// Input → what is connected to it; `None`: unknown.
type Connected = BTreeMap<&'static str, Option<Need>>;

fn input<'s>(shape: &'s Shape, name: &str) -> Option<&'s Slot> {
    shape.inputs.iter().find(|slot| slot.name == name)
}

fn fits(slot: &Slot, flow: &Flow) -> bool {
    flow.form == slot.form
        && match slot.kind {
            SlotKind::Is(wanted) => flow.kind == wanted,
            SlotKind::AnyRows | SlotKind::SameAs(_) => true,
        }
}

/// Returns what a stage of a shape offers.
fn offers(shape: &Shape, connected: &Connected) -> Vec<Offer> {
    let kind = |slot: &Slot| match slot.kind {
        SlotKind::Is(kind) => Some(kind),
        SlotKind::SameAs(input) => connected.get(input)?.as_ref().map(|need| need.kind),
        SlotKind::AnyRows => None,
    };
    let offer = |slot: &Slot| Offer { name: slot.name.to_owned(), what: kind(slot).map(|kind| (kind, slot.form)) };
    shape.outputs.iter().map(offer).collect()
}

/// Returns what is offered as the outputs of a node; `None` if some of it is unknown.
pub(super) fn ports(offers: &[Offer]) -> Option<Vec<Port>> {
    let port = |offer: &Offer| offer.what.map(|(kind, form)| Port { name: offer.name.clone(), kind, form });
    offers.iter().map(port).collect()
}
