//! Curves: lines over a common axis, with readable ticks. Many points are shown thinly, their running mean boldly.

use super::element::{Element, el};
use super::overlay::LOOKS;
use super::svg::length;
use crate::report::Series;
use crate::report::wording::clipped;

/// Points drawn of one line; more are thinned out evenly, the first and last stay.
const POINTS_MAX: usize = 600;
const SERIES_MAX: usize = 8;
const NAME_CHARS_MAX: usize = 40;
/// From this many points on, a line is shown with its running mean over every twentieth part of them.
const SMOOTHED_MIN: usize = 40;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// The ends of an axis and where it is marked.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

/// Draws a curve.
pub(super) fn curve(title: &str, x_name: &str, series: &[Series]) -> Element {
    let figure = el("figure").class("curve").with(el("figcaption").text(clipped(title, NAME_CHARS_MAX * 2)));
    let lines: Vec<(&str, Vec<(f64, f64)>)> =
        series.iter().take(SERIES_MAX).map(|line| (line.name.as_str(), finite(&line.points))).collect();
    let all = || lines.iter().flat_map(|(_, points)| points);
    let (Some(x), Some(y)) =
        (Axis::over(all().map(|point| point.0), false), Axis::over(all().map(|point| point.1), true))
    else {
        return figure.with(el("p").class("note").text("no points"));
    };
    let told: Vec<String> = lines.iter().filter_map(|(name, points)| told(name, x_name, points)).collect();
    let mut drawing = el("svg")
        .attr("viewBox", format_args!("0 0 {WIDTH} {HEIGHT}"))
        .attr("role", "img")
        .attr("aria-label", clipped(&told.join("; "), 600))
        .all(y.ticks.iter().flat_map(|tick| y_tick(*tick, &y)))
        .all(x.ticks.iter().map(|tick| x_tick(*tick, &x)))
        .with(label((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 3.0, "middle").text(clipped(x_name, NAME_CHARS_MAX)));
    let mut smoothed = 0;
    for (number, (_, points)) in lines.iter().enumerate() {
        let look = number % LOOKS;
        if points.len() >= SMOOTHED_MIN {
            smoothed = points.len().div_ceil(20) | 1;
            drawing = drawing
                .with(line(points, &x, &y).class(format_args!("thin g{look}")))
                .with(line(&mean(points, smoothed), &x, &y).class(format_args!("bold g{look}")));
        } else {
            drawing = drawing.with(line(points, &x, &y).class(format_args!("bold g{look}")));
        }
    }
    let figure = figure.with(drawing);
    let named = |(number, (name, _)): (usize, &(&str, Vec<_>))| {
        el("li").class(format_args!("g{}", number % LOOKS)).text(clipped(name, NAME_CHARS_MAX))
    };
    let figure = if lines.len() < 2 {
        figure
    } else {
        figure.with(el("ul").class("names").all(lines.iter().enumerate().map(named)))
    };
    if smoothed == 0 {
        return figure;
    }
    figure.with(el("p").class("note").text(format_args!("thin: every {x_name}; bold: running mean over {smoothed}")))
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .iter()
        .copied()
        .filter(|(x, y)| x.is_finite() && y.is_finite() && x.abs() < 1e300 && y.abs() < 1e300)
        .collect()
}

/// Tells a line in words.
fn told(name: &str, x_name: &str, points: &[(f64, f64)]) -> Option<String> {
    let (first, last) = (points.first()?, points.last()?);
    let [from, to] = [first.1, last.1].map(|value| format!("{value:.4}"));
    Some(format!("{name}: from {from} at {x_name} {} to {to} at {x_name} {}", first.0, last.0))
}

/// Returns the centred running mean; near the ends the window is what there is of it.
fn mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let half = window / 2;
    let at = |(index, (x, _)): (usize, &(f64, f64))| {
        let around = &points[index.saturating_sub(half)..(index + half + 1).min(points.len())];
        (*x, around.iter().map(|(_, y)| y).sum::<f64>() / around.len() as f64)
    };
    points.iter().enumerate().map(at).collect()
}

impl Axis {
    /// Returns an axis over some values; with `air`, it ends at round numbers.
    fn over(values: impl Iterator<Item = f64>, air: bool) -> Option<Self> {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks = (0..=(last - first) as u32).map(|number| (first + f64::from(number)) * step);
        let ticks: Vec<f64> = ticks.filter(|tick| air || (low..=high).contains(tick)).collect();
        let (low, high) = if air { (first * step, last * step) } else { (low, high) };
        (low < high).then_some(Self { low, high, ticks })
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.share(value) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Returns 1, 2 or 5 times a power of ten, not less than `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|round| *round >= step).unwrap_or(10.0 * power)
}

/// Writes a tick's value without needless decimals.
fn tick_text(value: f64) -> String {
    let size = value.abs();
    let text = if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{value:.0e}")
    } else {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

fn label(x: f64, y: f64, anchor: &str) -> Element {
    el("text").attr("x", length(x)).attr("y", length(y)).attr("text-anchor", anchor)
}

fn y_tick(tick: f64, axis: &Axis) -> [Element; 2] {
    let y = axis.y(tick);
    let grid = el("path").class("grid").attr("d", format_args!("M{LEFT},{0}H{1}", length(y), length(WIDTH - RIGHT)));
    [grid, label(LEFT - 6.0, y + 3.5, "end").text(tick_text(tick))]
}

fn x_tick(tick: f64, axis: &Axis) -> Element {
    label(axis.x(tick), HEIGHT - BOTTOM + 15.0, "middle").text(tick_text(tick))
}

fn line(points: &[(f64, f64)], x: &Axis, y: &Axis) -> Element {
    let stride = points.len().div_ceil(POINTS_MAX).max(1);
    let kept = points.iter().enumerate().filter(|(index, _)| index % stride == 0 || index + 1 == points.len());
    let path: Vec<String> =
        kept.map(|(_, point)| format!("{},{}", length(x.x(point.0)), length(y.y(point.1)))).collect();
    // One point alone is drawn as a dot by its round line caps.
    el("path").attr("d", if path.len() == 1 { format!("M{0}L{0}", path[0]) } else { format!("M{}", path.join("L")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, air: bool) -> (f64, f64, Vec<String>) {
        let axis = Axis::over([low, high].into_iter(), air).unwrap();
        (axis.low, axis.high, axis.ticks.into_iter().map(tick_text).collect())
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(axis(0.0, 1.0, true), (0.0, 1.0, ["0", "0.5", "1"].map(str::to_owned).to_vec()));
        assert_eq!(axis(1.0, 51.0, false).2, ["20", "40"]);
        assert_eq!(axis(-0.3, 0.2, true).2, ["−0.4", "−0.2", "0", "0.2"]);
        assert_eq!(axis(3.0, 3.0, true).2, ["2.5", "3", "3.5"]);
        assert_eq!(axis(0.0, 4e-5, true).2[1], "1e−5");
        assert!(Axis::over(std::iter::empty(), true).is_none());
        assert!(Axis::over([1e17, 1e17 + 16.0].into_iter(), true).is_none_or(|axis| axis.ticks.len() < 12));
    }

    #[test]
    fn what_is_not_a_number_is_not_drawn() {
        let series = |points: Vec<(f64, f64)>| [Series { name: "loss".to_owned(), points }];
        let shown = curve("loss", "step", &series(vec![(1.0, f64::NAN), (2.0, 0.5), (3.0, f64::INFINITY)])).to_string();
        assert!(shown.contains("from 0.5000 at step 2 to 0.5000 at step 2") && !shown.contains("NaN"), "{shown}");
        assert!(curve("loss", "step", &series(vec![])).to_string().contains("no points"));
    }

    #[test]
    fn a_running_mean_is_centred() {
        let points: Vec<(f64, f64)> = (0..5).map(|x| (f64::from(x), f64::from(x * x))).collect();
        let means: Vec<f64> = mean(&points, 3).into_iter().map(|(_, y)| y).collect();
        assert_eq!(means, [0.5, 5.0 / 3.0, 14.0 / 3.0, 29.0 / 3.0, 12.5]);
    }
}
