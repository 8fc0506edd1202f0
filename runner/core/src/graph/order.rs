//! Order and cycles: a petgraph graph over ids, a topological order whose ties are in the order of the file, and every cycle
//! named by its shortest path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::workflow::yaml::{Place, Sink};

/// Siblings and the references between them; an edge leads from what is needed to what needs it.
pub(super) struct Scope {
    graph: DiGraph<(String, Place), Place>,
    ids: BTreeMap<String, NodeIndex>,
}

impl Scope {
    /// Returns the graph of some ids without edges. Where an id repeats, which is reported elsewhere, the first counts.
    pub(super) fn new(ids: impl Iterator<Item = (String, Place)>) -> Self {
        let mut scope = Self { graph: DiGraph::new(), ids: BTreeMap::new() };
        for (id, at) in ids {
            let index = scope.graph.add_node((id.clone(), at));
            scope.ids.entry(id).or_insert(index);
        }
        scope
    }

    /// Adds the edge from `needed` to the sibling of this index; false if there is no such sibling.
    pub(super) fn link(&mut self, needed: &str, by: usize, at: Place) -> bool {
        match self.ids.get(needed) {
            Some(from) => {
                self.graph.add_edge(*from, NodeIndex::new(by), at);
                true
            }
            None => false,
        }
    }
}

/// Returns the indices in topological order, ties in the order of the file; reports cycles, whose members come last.
pub(super) fn in_order(scope: &Scope, sink: &mut Sink) -> Vec<usize> {
    let graph = &scope.graph;
    let looping = |members: &Vec<NodeIndex>| members.len() > 1 || graph.contains_edge(members[0], members[0]);
    let mut cycles: Vec<Vec<NodeIndex>> = tarjan_scc(graph).into_iter().filter(looping).collect();
    cycles.iter_mut().for_each(|members| members.sort());
    cycles.sort();
    for members in &cycles {
        report_cycle(scope, members, sink);
    }
    let mut waiting: Vec<usize> =
        graph.node_indices().map(|node| graph.edges_directed(node, Direction::Incoming).count()).collect();
    let mut ready: BTreeSet<NodeIndex> = graph.node_indices().filter(|node| waiting[node.index()] == 0).collect();
    let mut order = Vec::with_capacity(graph.node_count());
    while let Some(node) = ready.pop_first() {
        order.push(node.index());
        for edge in graph.edges(node) {
            let target = edge.target();
            waiting[target.index()] -= 1;
            if waiting[target.index()] == 0 {
                ready.insert(target);
            }
        }
    }
    let left: Vec<usize> = (0..graph.node_count()).filter(|index| !order.contains(index)).collect();
    order.extend(left);
    order
}

/// Reports a cycle by its shortest path through its first member, every reference of it shown.
fn report_cycle(scope: &Scope, members: &[NodeIndex], sink: &mut Sink) {
    let first = members[0];
    let steps = shortest_cycle(&scope.graph, first, members);
    let name = |node: NodeIndex| scope.graph[node].0.as_str();
    // Edges lead to what needs; read against them, the path says "a needs b".
    let mut path: Vec<String> = steps.iter().rev().map(|(_, to, _)| format!("`{}`", name(*to))).collect();
    path.push(format!("`{}`", name(first)));
    let Some((_, _, closing)) = steps.last() else { return };
    let mut diagnostic =
        sink.error("E0506", *closing, format!("stages need each other in a circle: {}", path.join(" → ")));
    for (from, to, at) in steps.iter().rev() {
        let text = format!("`{}` needs `{}`", name(*to), name(*from));
        if at.span == closing.span {
            diagnostic = diagnostic.label(text);
        } else {
            diagnostic = diagnostic.related(at.span, text);
        }
    }
    sink.push(diagnostic.help("what must repeat belongs in a `loop:`, whose `loop.state` is the step before"));
}

/// Returns the edges of a shortest cycle through `first` within a strongly connected component, by breadth first search.
fn shortest_cycle(
    graph: &DiGraph<(String, Place), Place>,
    first: NodeIndex,
    members: &[NodeIndex],
) -> Vec<(NodeIndex, NodeIndex, Place)> {
    let mut came: BTreeMap<NodeIndex, (NodeIndex, Place)> = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        let mut edges: Vec<_> = graph.edges(node).filter(|edge| members.contains(&edge.target())).collect();
        edges.sort_by_key(|edge| (edge.target(), edge.weight().span));
        for edge in edges {
            if came.contains_key(&edge.target()) {
                continue;
            }
            came.insert(edge.target(), (node, *edge.weight()));
            if edge.target() == first {
                return walk_back(&came, first);
            }
            queue.push_back(edge.target());
        }
    }
    Vec::new()
}

fn walk_back(came: &BTreeMap<NodeIndex, (NodeIndex, Place)>, first: NodeIndex) -> Vec<(NodeIndex, NodeIndex, Place)> {
    let mut edges = Vec::new();
    let mut to = first;
    while let Some((from, at)) = came.get(&to) {
        edges.push((*from, to, *at));
        to = *from;
        if to == first {
            break;
        }
    }
    edges.reverse();
    edges
}
