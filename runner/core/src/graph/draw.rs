//! The graph of a workflow as text: for a terminal, as Mermaid (GitHub draws it), as Graphviz dot. A loop is a cluster.

use std::fmt::Write as _;

use crate::workflow::{Collect, LoopNode, Need, Node, NodeWork, Origin, Workflow};

/// Draws the graph as lines: every node with what it needs and offers, bodies indented.
pub fn text(workflow: &Workflow) -> String {
    let mut lines = String::new();
    for node in &workflow.nodes {
        text_node(&mut lines, node, 0);
    }
    for skipped in &workflow.skipped {
        let _ = writeln!(lines, "{} skipped: {}", skipped.id, skipped.because);
    }
    lines
}

fn text_node(lines: &mut String, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    let needs: Vec<String> = node
        .needs
        .iter()
        .filter(|need| !need.slot.is_empty())
        .map(|need| format!("{} ← {}", need.slot, origin(&need.from)))
        .collect();
    let offers: Vec<&str> = node.outputs.iter().map(|port| port.name.as_str()).collect();
    let needs = if needs.is_empty() { String::new() } else { format!("  ({})", needs.join(", ")) };
    let offers = if offers.is_empty() { String::new() } else { format!("  → {}", offers.join(", ")) };
    let _ = writeln!(lines, "{indent}{}: {}{needs}{offers}", node.id, what(node));
    if let NodeWork::Loop(inner) = &node.work {
        for stage in &inner.body {
            text_node(lines, stage, depth + 1);
        }
        let _ = writeln!(lines, "{indent}  carry {}", dotted(&inner.carry.0, &inner.carry.1));
    }
}

/// Draws the graph as a Mermaid flowchart.
pub fn mermaid(workflow: &Workflow) -> String {
    let mut lines = "flowchart TD\n".to_owned();
    for node in &workflow.nodes {
        match &node.work {
            NodeWork::Stage(_) => {
                let _ = writeln!(lines, "  {}[\"{}<br/><i>{}</i>\"]", key(None, &node.id), node.id, what(node));
            }
            NodeWork::Loop(inner) => {
                let _ = writeln!(lines, "  subgraph {}[\"{}: {}\"]", key(None, &node.id), node.id, what(node));
                let _ = writeln!(lines, "    {}([\"loop.state\"])", key(Some(&node.id), "loop"));
                for stage in &inner.body {
                    let _ = writeln!(
                        lines,
                        "    {}[\"{}<br/><i>{}</i>\"]",
                        key(Some(&node.id), &stage.id),
                        stage.id,
                        what(stage)
                    );
                }
                lines.push_str("  end\n");
            }
        }
    }
    for edge in edges(workflow) {
        let arrow = if edge.next_step { "-.->" } else { "-->" };
        let _ = writeln!(lines, "  {} {arrow}|{}| {}", edge.from, edge.label, edge.to);
    }
    lines
}

/// Draws the graph in Graphviz' dot language.
pub fn dot(workflow: &Workflow) -> String {
    let mut lines = "digraph workflow {\n  rankdir=TB; compound=true;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n".to_owned();
    for node in &workflow.nodes {
        match &node.work {
            NodeWork::Stage(_) => {
                let _ = writeln!(lines, "  {} [label=\"{}\\n{}\"];", key(None, &node.id), node.id, what(node));
            }
            NodeWork::Loop(inner) => {
                let _ = writeln!(
                    lines,
                    "  subgraph cluster_{} {{\n    label=\"{}: {}\";",
                    key(None, &node.id),
                    node.id,
                    what(node)
                );
                let _ = writeln!(lines, "    {} [label=\"loop.state\", shape=ellipse];", key(Some(&node.id), "loop"));
                for stage in &inner.body {
                    let _ = writeln!(
                        lines,
                        "    {} [label=\"{}\\n{}\"];",
                        key(Some(&node.id), &stage.id),
                        stage.id,
                        what(stage)
                    );
                }
                lines.push_str("  }\n");
            }
        }
    }
    for edge in edges(workflow) {
        let style = if edge.next_step { ", style=dashed, constraint=false" } else { "" };
        let _ = writeln!(lines, "  {} -> {} [label=\"{}\"{style}];", edge.from, edge.to, edge.label);
    }
    lines.push_str("}\n");
    lines
}

struct Edge {
    from: String,
    to: String,
    label: String,
    /// Whether it leads to the next step of a loop.
    next_step: bool,
}

fn edges(workflow: &Workflow) -> Vec<Edge> {
    let mut edges = Vec::new();
    for node in &workflow.nodes {
        match &node.work {
            NodeWork::Stage(_) => edges.extend(node.needs.iter().filter_map(|need| edge(workflow, node, None, need))),
            NodeWork::Loop(inner) => {
                edges.extend(
                    node.needs
                        .iter()
                        .filter(|need| !need.slot.is_empty())
                        .filter_map(|need| edge(workflow, node, None, need)),
                );
                for stage in &inner.body {
                    edges.extend(stage.needs.iter().filter_map(|need| edge(workflow, stage, Some(node), need)));
                }
                let (from, to) = (key(Some(&node.id), &inner.carry.0), key(Some(&node.id), "loop"));
                edges.push(Edge { from, to, label: "carry".to_owned(), next_step: true });
            }
        }
    }
    edges
}

fn edge(workflow: &Workflow, node: &Node, around: Option<&Node>, need: &Need) -> Option<Edge> {
    let inside = around.map(|around| around.id.as_str());
    let from = match &need.from {
        Origin::LoopState => key(inside, "loop"),
        Origin::Sibling { node, .. } if inside.is_some() => key(inside, node),
        Origin::Sibling { node, output } | Origin::Outside { node, output } => maker(workflow.node(node)?, output),
    };
    let to = if matches!(node.work, NodeWork::Loop(_)) { key(Some(&node.id), "loop") } else { key(inside, &node.id) };
    Some(Edge { from, to, label: need.kind.to_owned(), next_step: false })
}

/// Returns what makes an output: the node itself, or the stage in a loop it is collected from.
fn maker(node: &Node, output: &str) -> String {
    let NodeWork::Loop(inner) = &node.work else { return key(None, &node.id) };
    match collected(node, inner, output) {
        Some(Collect::Output(stage, _)) => key(Some(&node.id), stage),
        Some(Collect::Final) | None => key(Some(&node.id), "loop"),
    }
}

fn collected<'n>(node: &'n Node, inner: &'n LoopNode, output: &str) -> Option<&'n Collect> {
    let at = node.outputs.iter().position(|port| port.name == output)?;
    inner.collect.get(at)
}

fn what(node: &Node) -> String {
    match &node.work {
        NodeWork::Stage(stage) => stage.kind.to_owned(),
        NodeWork::Loop(inner) => format!("loop of at most {} steps", inner.max_steps),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Sibling { node, output } | Origin::Outside { node, output } => dotted(node, output),
        Origin::LoopState => "loop.state".to_owned(),
    }
}

fn dotted(node: &str, output: &str) -> String {
    format!("{node}.{output}")
}

/// Returns a name both languages take: ids hold only letters, digits and `-`, and `end` is a word of Mermaid.
fn key(around: Option<&str>, id: &str) -> String {
    let id = id.replace('-', "_");
    around.map_or_else(|| format!("n_{id}"), |around| format!("n_{}__{id}", around.replace('-', "_")))
}
