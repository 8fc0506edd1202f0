//! Small pieces of SVG that several drawings share.

use super::element::{Element, el};

/// Writes a length with one decimal at most; never `-0`.
pub(super) fn length(value: f64) -> String {
    let tenths = (value * 10.0).round();
    if tenths == 0.0 || !tenths.is_finite() { "0".to_owned() } else { (tenths / 10.0).to_string() }
}

/// Draws a rectangle from its upper left corner.
pub(super) fn rect(at: (f64, f64), size: (f64, f64)) -> Element {
    el("rect")
        .attr("x", length(at.0))
        .attr("y", length(at.1))
        .attr("width", length(size.0))
        .attr("height", length(size.1))
}

/// Draws how long a value is beside the longest.
pub(super) fn bar(value: f64, most: f64) -> Element {
    let share = if most > 0.0 && most.is_finite() { 100.0 * value / most } else { 0.0 };
    el("svg")
        .class("bar")
        .attr("viewBox", "0 0 100 4")
        .attr("preserveAspectRatio", "none")
        .attr("aria-hidden", "true")
        .with(rect((0.0, 0.0), (100.0, 4.0)).class("track"))
        .with(rect((0.0, 0.0), (share, 4.0)).class("filled"))
}

/// Writes the path from one point to another, which leaves and arrives in the direction of flow.
pub(super) fn bend(from: (f64, f64), to: (f64, f64), sideways: bool, begins: bool) -> String {
    let start = if begins { format!("M{},{}", length(from.0), length(from.1)) } else { String::new() };
    let (first, second) = if sideways {
        let middle = f64::midpoint(from.0, to.0);
        ((middle, from.1), (middle, to.1))
    } else {
        let middle = f64::midpoint(from.1, to.1);
        ((from.0, middle), (to.0, middle))
    };
    let [a, b, c, d, e, f] = [first.0, first.1, second.0, second.1, to.0, to.1].map(length);
    format!("{start}C{a},{b} {c},{d} {e},{f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        assert_eq!([12.0, 12.34, -0.04, f64::NAN, 1e3].map(length), ["12", "12.3", "0", "0", "1000"]);
    }

    #[test]
    fn a_bend_flows_in_its_direction() {
        assert_eq!(bend((0.0, 0.0), (10.0, 4.0), true, true), "M0,0C5,0 5,4 10,4");
        assert_eq!(bend((0.0, 0.0), (10.0, 4.0), false, false), "C0,2 10,2 10,4");
    }
}
