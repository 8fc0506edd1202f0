//! A layered drawing of a DAG: nodes in columns by their longest way from a source, long edges bent around what stands between.
//! It knows positions only; `along` is the direction of flow, `across` the other one.
//!
//! The method is Sugiyama's: layers, placeholders where an edge passes a layer, an order within each layer by the mean place of
//! neighbours, then places as near to the neighbours as the order and the gaps allow (least squares, by pooling). Edges that leave
//! the same node pass a layer in one lane.

use std::collections::BTreeMap;

/// Distance between neighbours of a layer, and between layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gaps {
    pub(super) across: f64,
    pub(super) along: f64,
}

/// The size of a node, and later its place: the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) along: f64,
    pub(super) across: f64,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    /// The middle of every node.
    pub(super) nodes: Vec<Spot>,
    /// For every edge, where it passes: from the end of one node to the beginning of the other.
    pub(super) routes: Vec<Vec<Spot>>,
    /// The size of the whole.
    pub(super) size: Spot,
}

/// A node or the placeholder of an edge in a layer.
struct Place {
    layer: usize,
    size: Spot,
    before: Vec<usize>,
    after: Vec<usize>,
    across: f64,
}

/// How wide an edge is where it passes a layer.
const LANE: f64 = 10.0;
const SWEEPS: usize = 8;

/// Lays out nodes in topological order; an edge leads from an earlier to a later one.
pub(super) fn layered(sizes: &[Spot], edges: &[(usize, usize)], gaps: Gaps) -> Layout {
    let layer = layers(sizes.len(), edges);
    let node =
        |index: usize| Place { layer: layer[index], size: sizes[index], before: vec![], after: vec![], across: 0.0 };
    let mut places: Vec<Place> = (0..sizes.len()).map(node).collect();
    let mut lanes = BTreeMap::new();
    let chains: Vec<Vec<usize>> = edges.iter().map(|(from, to)| chain(&mut places, &mut lanes, *from, *to)).collect();
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)];
    for (index, place) in places.iter().enumerate() {
        rows[place.layer].push(index);
    }
    order(&mut rows, &places);
    settle(&rows, &mut places, gaps.across);
    placed(&rows, &places, &chains, sizes.len(), gaps)
}

/// Returns the layer of every node: as far from the sources as its longest way; a source as near as it can to what it feeds.
fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; nodes];
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    for (from, to) in &sorted {
        layer[*to] = layer[*to].max(layer[*from] + 1);
    }
    for index in (0..nodes).filter(|node| edges.iter().all(|(_, to)| to != node)) {
        let fed = edges.iter().filter(|(from, _)| *from == index).map(|(_, to)| layer[*to]).min();
        layer[index] = fed.map_or(0, |nearest| nearest - 1);
    }
    layer
}

/// Returns the way of an edge, both ends included; `lanes` has the placeholder of every node's edges in a layer.
fn chain(places: &mut Vec<Place>, lanes: &mut BTreeMap<(usize, usize), usize>, from: usize, to: usize) -> Vec<usize> {
    let mut way = vec![from];
    for layer in places[from].layer + 1..places[to].layer {
        let lane = *lanes.entry((from, layer)).or_insert(places.len());
        if lane == places.len() {
            let size = Spot { along: 0.0, across: LANE };
            places.push(Place { layer, size, before: vec![], after: vec![], across: 0.0 });
        }
        way.push(lane);
    }
    way.push(to);
    for step in way.windows(2) {
        if !places[step[0]].after.contains(&step[1]) {
            places[step[0]].after.push(step[1]);
            places[step[1]].before.push(step[0]);
        }
    }
    way
}

/// Orders every layer by the mean place of its neighbours, forwards and backwards in turn.
fn order(rows: &mut [Vec<usize>], places: &[Place]) {
    let mut ranks = vec![0.0; places.len()];
    rows.iter().for_each(|row| rank(row, &mut ranks));
    for sweep in 0..SWEEPS {
        for number in 0..rows.len() {
            let forwards = sweep % 2 == 0;
            let row = if forwards { number } else { rows.len() - 1 - number };
            let wish = |index: &usize| {
                let neighbours = if forwards { &places[*index].before } else { &places[*index].after };
                mean(neighbours.iter().map(|neighbour| ranks[*neighbour])).unwrap_or(ranks[*index])
            };
            let mut wished: Vec<(f64, usize)> = rows[row].iter().map(|index| (wish(index), *index)).collect();
            wished.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = wished.into_iter().map(|(_, index)| index).collect();
            rank(&rows[row], &mut ranks);
        }
    }
}

/// Notes the place of everything in a layer, counted from its middle.
fn rank(row: &[usize], ranks: &mut [f64]) {
    for (place, index) in row.iter().enumerate() {
        ranks[*index] = place as f64 - (row.len() as f64 - 1.0) / 2.0;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Moves everything across as near to its neighbours as order and gaps allow.
fn settle(rows: &[Vec<usize>], places: &mut [Place], gap: f64) {
    for sweep in 0..2 * SWEEPS {
        for number in 0..rows.len() {
            let row = if sweep % 2 == 0 { &rows[number] } else { &rows[rows.len() - 1 - number] };
            let wish = |index: &usize| {
                let Place { before, after, across, .. } = &places[*index];
                mean(before.iter().chain(after).map(|neighbour| places[*neighbour].across)).unwrap_or(*across)
            };
            let wishes: Vec<f64> = row.iter().map(wish).collect();
            let widths: Vec<f64> = row.iter().map(|index| places[*index].size.across).collect();
            for (index, across) in row.iter().zip(spread(&wishes, &widths, gap)) {
                places[*index].across = across;
            }
        }
    }
}

/// Returns places in the given order, no nearer than widths and gap allow, with the least sum of squared distances to the wishes:
/// neighbours that would collide are pooled and stand around their common mean.
fn spread(wishes: &[f64], widths: &[f64], gap: f64) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(wishes.len());
    let mut offset = 0.0;
    for (index, width) in widths.iter().enumerate() {
        if index > 0 {
            offset += (widths[index - 1] + width) / 2.0 + gap;
        }
        offsets.push(offset);
    }
    let mut pools: Vec<(f64, f64)> = Vec::new(); // (mean, members)
    for (wish, offset) in wishes.iter().zip(&offsets) {
        let mut pool = (wish - offset, 1.0);
        while let Some((before, members)) = pools.pop_if(|(before, _)| *before >= pool.0) {
            pool = ((before * members + pool.0 * pool.1) / (members + pool.1), members + pool.1);
        }
        pools.push(pool);
    }
    let bases = pools.iter().flat_map(|(base, members)| std::iter::repeat_n(*base, *members as usize));
    bases.zip(offsets).map(|(base, offset)| base + offset).collect()
}

fn placed(rows: &[Vec<usize>], places: &[Place], chains: &[Vec<usize>], nodes: usize, gaps: Gaps) -> Layout {
    let top = places.iter().map(|place| place.across - place.size.across / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = places.iter().map(|place| place.across + place.size.across / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let mut begins = Vec::new();
    let mut along = 0.0;
    for row in rows {
        let depth = row.iter().map(|index| places[*index].size.along).fold(0.0, f64::max);
        begins.push((along, depth));
        along += depth + gaps.along;
    }
    let spot = |index: usize, side: f64, extent: &dyn Fn(&Place, f64) -> f64| {
        let place = &places[index];
        let (begin, depth) = begins[place.layer];
        Spot { along: begin + (depth + side * extent(place, depth)) / 2.0, across: place.across - top }
    };
    let node = |index: usize, side| spot(index, side, &|place, _| place.size.along);
    let edge_of_layer = |index: usize, side| spot(index, side, &|_, depth| depth);
    // Within a layer an edge goes straight on, so that it bends only between layers.
    let route = |way: &Vec<usize>| {
        let (first, last) = (way[0], way[way.len() - 1]);
        let passed =
            way[1..way.len() - 1].iter().flat_map(|lane| [edge_of_layer(*lane, -1.0), edge_of_layer(*lane, 1.0)]);
        let mut route = vec![node(first, 1.0), edge_of_layer(first, 1.0)];
        route.extend(passed.chain([edge_of_layer(last, -1.0), node(last, -1.0)]));
        route.dedup();
        route
    };
    Layout {
        nodes: (0..nodes).map(|index| node(index, 0.0)).collect(),
        routes: chains.iter().map(route).collect(),
        size: Spot { along: (along - gaps.along).max(0.0), across: (bottom - top).max(0.0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAPS: Gaps = Gaps { across: 10.0, along: 20.0 };

    fn boxes(count: usize) -> Vec<Spot> {
        vec![Spot { along: 100.0, across: 40.0 }; count]
    }

    #[test]
    fn a_chain_is_straight_and_a_shortcut_goes_around() {
        let layout = layered(&boxes(3), &[(0, 1), (1, 2), (0, 2)], GAPS);
        assert_eq!(layout.nodes.iter().map(|spot| spot.along).collect::<Vec<_>>(), [50.0, 170.0, 290.0]);
        assert_eq!(layout.size.along, 340.0);
        let passes = layout.routes[2][1];
        assert_eq!(layout.routes[2][1..3], [Spot { along: 120.0, ..passes }, Spot { along: 220.0, ..passes }]);
        assert!((passes.across - layout.nodes[1].across).abs() >= 20.0 + 10.0 + 5.0, "{layout:?}");
    }

    #[test]
    fn edges_of_one_node_share_a_lane_and_go_straight_through_layers() {
        let mut sizes = boxes(5);
        sizes[1].along = 300.0;
        let layout = layered(&sizes, &[(0, 1), (1, 2), (0, 2), (2, 4), (0, 4), (0, 3)], GAPS);
        assert_eq!(layout.routes[2][..3], layout.routes[4][..3], "one lane beside node 1");
        let wide = &layout.routes[2][1..3];
        assert_eq!((wide[0].across, wide[1].along - wide[0].along), (wide[1].across, 300.0));
        // Node 3 is less long than its layer: the edge bends before the layer begins.
        let [.., bend, end] = layout.routes[5].as_slice() else { panic!() };
        assert_eq!((bend.along, end.along, bend.across), (120.0, 220.0, end.across));
    }

    #[test]
    fn nothing_overlaps_and_edges_lead_forwards_in_any_graph() {
        // A small multiplicative generator: graphs of all shapes, the same every time.
        let mut state = 1_u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..300 {
            let nodes = 1 + draw(12);
            let mut edges: Vec<(usize, usize)> = Vec::new();
            for _ in 0..draw(2 * nodes) {
                let (a, b) = (draw(nodes), draw(nodes));
                edges.extend((a < b && !edges.contains(&(a, b))).then_some((a, b)));
            }
            let layout = layered(&boxes(nodes), &edges, GAPS);
            for (a, one) in layout.nodes.iter().enumerate() {
                assert!(one.across >= 20.0 - 1e-6 && one.across <= layout.size.across - 20.0 + 1e-6);
                for other in &layout.nodes[a + 1..] {
                    let apart = (one.along - other.along).abs() >= 100.0 || (one.across - other.across).abs() >= 49.999;
                    assert!(apart, "{edges:?} {layout:?}");
                }
            }
            for (from, to) in &edges {
                assert!(layout.nodes[*from].along + 100.0 < layout.nodes[*to].along, "{edges:?} {layout:?}");
            }
        }
    }

    #[test]
    fn nothing_has_no_size() {
        let layout = layered(&[], &[], GAPS);
        assert_eq!((layout.nodes.len(), layout.size), (0, Spot { along: 0.0, across: 0.0 }));
    }
}
