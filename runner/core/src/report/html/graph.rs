//! The workflow as a drawing: stages from left to right, a loop as a cluster with its body from top to bottom.

use std::collections::BTreeMap;

use super::element::{Element, el};
use super::layout::{Gaps, Layout, Spot, layered};
use super::{anchor, svg};
use crate::artifact::Form;
use crate::report::model::{Edge, ReportModel};
use crate::report::record::StageRecord;
use crate::report::wording::{clipped, count};

/// A drawing of more stages than this tells nobody anything.
const NODES_MAX: usize = 120;
const NAME_CHARS_MAX: usize = 22;

const OUTER: Gaps = Gaps { across: 18.0, along: 44.0 };
const INNER: Gaps = Gaps { across: 12.0, along: 20.0 };
const NODE_HEIGHT: f64 = 44.0;
const STATE: (f64, f64) = (58.0, 24.0);
/// Around a loop's body: its title above, the way back to the next step on the left.
const TITLE_HEIGHT: f64 = 30.0;
const PADDING: f64 = 16.0;
const WAY_BACK: f64 = 26.0;

/// A stage or loop outside loops.
struct Outer<'a> {
    index: usize,
    stage: &'a StageRecord,
    body: Option<Body<'a>>,
}

/// A loop's body.
struct Body<'a> {
    stages: Vec<(usize, &'a StageRecord)>,
    joins: Joins<'a>,
    layout: Layout,
    /// The node whose output becomes the next step's record.
    carry: Option<usize>,
}

/// What flows between two nodes.
type Joins<'a> = BTreeMap<(usize, usize), Vec<&'a Edge>>;

/// Draws the stages that ran.
pub(super) fn graph(model: &ReportModel) -> Option<Element> {
    let stages = &model.run.stages;
    if stages.is_empty() || stages.len() > NODES_MAX {
        return None;
    }
    let outer: Vec<Outer<'_>> = stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| !stage.id.contains('/'))
        .map(|(index, stage)| Outer { index, stage, body: (stage.kind == "loop").then(|| body(model, stage)) })
        .collect();
    let place = |id: &str| outer.iter().position(|node| node.stage.id == outside(id));
    let joins = joins(&model.edges, |edge| Some((place(&edge.from)?, place(&edge.to)?)));
    let sizes: Vec<Spot> = outer.iter().map(Outer::size).collect();
    let layout = layered(&sizes, &joins.keys().copied().collect::<Vec<_>>(), OUTER);
    let indices: Vec<usize> = outer.iter().map(|node| node.index).collect();
    let mut drawing = canvas(layout.size.along + 4.0, layout.size.across + 4.0, stages.len());
    for ((ends, flows), route) in joins.iter().zip(&layout.routes) {
        let way: Vec<(f64, f64)> = route.iter().map(|spot| (spot.along + 2.0, spot.across + 2.0)).collect();
        drawing = drawing.with(edge(&way, true, flows, indices[ends.0], indices[ends.1]));
    }
    for ((node, spot), size) in outer.iter().zip(&layout.nodes).zip(&sizes) {
        let (x, y) = (spot.along - size.along / 2.0 + 2.0, spot.across - size.across / 2.0 + 2.0);
        drawing = match &node.body {
            None => drawing.with(stage_box(node.stage, node.index, (x, y), (size.along, size.across))),
            Some(body) => drawing.with(cluster(node, body, (x, y), (size.along, size.across))),
        };
    }
    Some(drawing)
}

/// Returns the id of the outer node a stage stands in.
fn outside(id: &str) -> &str {
    id.split_once('/').map_or(id, |(outer, _)| outer)
}

/// Gathers edges by the nodes they join; an edge that does not lead forwards is left out.
fn joins<'a>(edges: &'a [Edge], ends: impl Fn(&Edge) -> Option<(usize, usize)>) -> Joins<'a> {
    let mut joins = Joins::new();
    for edge in edges {
        if let Some((from, to)) = ends(edge).filter(|(from, to)| from < to) {
            joins.entry((from, to)).or_default().push(edge);
        }
    }
    joins
}

/// Lays out the body of a loop; node 0 is the record as it stands.
fn body<'a>(model: &'a ReportModel, looped: &StageRecord) -> Body<'a> {
    let all = model.run.stages.iter().enumerate();
    let stages: Vec<(usize, &StageRecord)> =
        all.filter(|(_, stage)| stage.id.contains('/') && outside(&stage.id) == looped.id).collect();
    let place = |id: &str| stages.iter().position(|(_, stage)| stage.id == id).map(|place| place + 1);
    let joins = joins(&model.edges, |edge| {
        let from = if edge.from == looped.id { Some(0) } else { place(&edge.from) };
        Some((from?, place(&edge.to)?))
    });
    let state = Spot { along: STATE.1, across: STATE.0 };
    let size = |(_, stage): &(usize, &StageRecord)| Spot { along: NODE_HEIGHT, across: width(stage) };
    let sizes: Vec<Spot> = std::iter::once(state).chain(stages.iter().map(size)).collect();
    let layout = layered(&sizes, &joins.keys().copied().collect::<Vec<_>>(), INNER);
    let carry = model.edges.iter().find(|edge| edge.to == looped.id && edge.slot == "carry");
    let carry = carry.and_then(|edge| place(&edge.from));
    Body { stages, joins, layout, carry }
}

impl Outer<'_> {
    fn size(&self) -> Spot {
        match &self.body {
            None => Spot { along: width(self.stage), across: NODE_HEIGHT },
            Some(Body { layout, .. }) => {
                let inner = layout.size.across + WAY_BACK + 2.0 * PADDING;
                let title = 7.4 * loop_title(self.stage).chars().count() as f64 + 2.0 * PADDING;
                Spot { along: inner.max(title), across: layout.size.along + TITLE_HEIGHT + 2.0 * PADDING }
            }
        }
    }
}

/// Returns a stage's name where it stands: without its loop, and not longer than a box can be.
fn name(stage: &StageRecord) -> String {
    let name = stage.id.split_once('/').map_or(stage.id.as_str(), |(_, inner)| inner);
    clipped(name, NAME_CHARS_MAX).into_owned()
}

/// Returns what stands under a stage's name: its kind, and the rows of its first output.
fn below(stage: &StageRecord) -> String {
    let rows = stage.outputs.first().filter(|output| output.form == Form::Rows).map(|output| count(output.rows));
    let kind = (stage.kind != name(stage)).then(|| clipped(&stage.kind, NAME_CHARS_MAX).into_owned());
    let parts: Vec<String> = kind.into_iter().chain(rows).collect();
    if parts.is_empty() { stage.kind.clone() } else { parts.join(" · ") }
}

fn width(stage: &StageRecord) -> f64 {
    let chars = |text: String, width: f64| width * text.chars().count() as f64;
    (chars(name(stage), 7.6).max(chars(below(stage), 6.3)) + 22.0).max(72.0)
}

fn loop_title(stage: &StageRecord) -> String {
    format!("{} · loop", name(stage))
}

fn canvas(width: f64, height: f64, stages: usize) -> Element {
    let tip = el("path").attr("d", "M0,0 L7,3.5 L0,7 z").class("tip");
    let marker = el("marker").attr("id", "tip").attr("viewBox", "0 0 7 7").attr("refX", "6.5").attr("refY", "3.5");
    let marker = marker.attr("markerWidth", "7").attr("markerHeight", "7").attr("orient", "auto").with(tip);
    el("svg")
        .class("graph")
        .attr("viewBox", format_args!("0 0 {} {}", svg::length(width), svg::length(height)))
        .attr("width", svg::length(width))
        // A wide drawing is made smaller until its text is hard to read; then it scrolls.
        .attr("style", format_args!("min-width:{}px", svg::length(width * 0.78)))
        .attr("role", "group")
        .attr("aria-label", format_args!("graph of {stages} stages"))
        .with(el("defs").with(marker))
}

/// Draws an edge along its way; flows are named where the pointer rests.
fn edge(way: &[(f64, f64)], sideways: bool, flows: &[&Edge], from: usize, to: usize) -> Element {
    let mut path = String::new();
    for (number, pair) in way.windows(2).enumerate() {
        path.push_str(&svg::bend(pair[0], pair[1], sideways, number == 0));
    }
    let flow = |edge: &&Edge| {
        let Edge { from, output, to, slot, kind } = edge;
        format!("{from}.{output} → {to}.{slot} ({kind})")
    };
    let told: Vec<String> = flows.iter().map(flow).collect();
    el("g")
        .class("edge")
        .attr("data-from", from)
        .attr("data-to", to)
        .with(el("title").text(told.join("\n")))
        .with(el("path").class("near").attr("d", &path))
        .with(el("path").class("line").attr("d", &path).attr("marker-end", "url(#tip)"))
}

fn stage_box(stage: &StageRecord, index: usize, at: (f64, f64), size: (f64, f64)) -> Element {
    let text = |class: &str, y: f64| {
        el("text").class(class).attr("x", svg::length(at.0 + size.0 / 2.0)).attr("y", svg::length(at.1 + y))
    };
    el("a")
        .class("node")
        .attr("href", format_args!("#{}", anchor(index)))
        .attr("data-node", index)
        .with(svg::rect(at, size).attr("rx", "8"))
        .with(text("name", 19.0).text(name(stage)))
        .with(text("kind", 34.0).text(below(stage)))
}

/// Draws a loop: a frame, the record as it stands, the body, and the way back.
fn cluster(node: &Outer<'_>, body: &Body<'_>, at: (f64, f64), size: (f64, f64)) -> Element {
    let slack = (size.0 - 2.0 * PADDING - WAY_BACK - body.layout.size.across) / 2.0;
    let (left, top) = (at.0 + PADDING + WAY_BACK + slack, at.1 + PADDING + TITLE_HEIGHT);
    let point = |spot: &Spot| (left + spot.across, top + spot.along);
    let title = el("text").class("name").attr("x", svg::length(at.0 + PADDING)).attr("y", svg::length(at.1 + 25.0));
    let title = el("a")
        .class("looptitle")
        .attr("href", format_args!("#{}", anchor(node.index)))
        .with(title.text(loop_title(node.stage)));
    let mut group = el("g").class("cluster").with(svg::rect(at, size).attr("rx", "12")).with(title);
    let index = |place: usize| if place == 0 { node.index } else { body.stages[place - 1].0 };
    for ((ends, flows), route) in body.joins.iter().zip(&body.layout.routes) {
        let way: Vec<(f64, f64)> = route.iter().map(point).collect();
        group = group.with(edge(&way, false, flows, index(ends.0), index(ends.1)));
    }
    let state = point(&body.layout.nodes[0]);
    if let Some(carry) = body.carry {
        let bottom = point(&body.layout.nodes[carry]);
        let corner = (at.0 + PADDING + slack.min(PADDING), bottom.1 + NODE_HEIGHT / 2.0 + 9.0);
        group = group.with(way_back(corner, bottom, state));
    }
    let corner = (state.0 - STATE.0 / 2.0, state.1 - STATE.1 / 2.0);
    let label = el("text").class("kind").attr("x", svg::length(state.0)).attr("y", svg::length(state.1 + 4.0));
    let pill = el("g").class("state").with(svg::rect(corner, STATE).attr("rx", "12")).with(label.text("record"));
    group = group.with(pill);
    for ((index, stage), spot) in body.stages.iter().zip(&body.layout.nodes[1..]) {
        let (middle, width) = (point(spot), width(stage));
        let corner = (middle.0 - width / 2.0, middle.1 - NODE_HEIGHT / 2.0);
        group = group.with(stage_box(stage, *index, corner, (width, NODE_HEIGHT)));
    }
    group
}

/// Draws the way from the stage that carries the record on to the next step's record.
fn way_back(corner: (f64, f64), bottom: (f64, f64), state: (f64, f64)) -> Element {
    let [x, low, high] = [corner.0, corner.1, state.1].map(svg::length);
    let (from, to) = (svg::length(bottom.0), svg::length(state.0 - STATE.0 / 2.0));
    let begin = svg::length(bottom.1 + NODE_HEIGHT / 2.0);
    let path = format!("M{from},{begin} L{from},{low} L{x},{low} L{x},{high} L{to},{high}");
    el("g")
        .class("edge back")
        .with(el("title").text("the record goes on to the next step until it ends"))
        .with(el("path").class("line").attr("d", path).attr("marker-end", "url(#tip)"))
}
