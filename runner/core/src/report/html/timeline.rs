//! The timeline: when every stage was at work within the run, as bars over a common axis of time.

use super::element::{Element, column, el, scrolling};
use super::svg;
use crate::report::record::{Counts, RunRecord, StageRecord, When};
use crate::report::wording::{clipped, duration};

const STAGES_MAX: usize = 400;
const NAME_CHARS_MAX: usize = 60;
/// Marks of the axis beside its begin.
const TICKS_MAX: u64 = 5;
/// Distances between marks that people count in, in milliseconds.
const STEPS_MS: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
];
/// The width of the drawing, in its own unit; it is stretched to the page's.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 16.0;

/// Shows when stages were at work; `None` of a run whose record does not say.
pub(super) fn timeline(run: &RunRecord) -> Option<Element> {
    let timed: Vec<(&StageRecord, When)> =
        run.stages.iter().filter_map(|stage| Some((stage, stage.when?))).take(STAGES_MAX).collect();
    let last = timed.iter().map(|(_, when)| when.ended_ms).max()?;
    let whole = last.max(run.wall_ms).max(1);
    let ticks = ticks(whole);
    let mark = |tick: &u64| {
        let left = svg::length(100.0 * *tick as f64 / whole as f64);
        el("span").attr("style", format_args!("left:{left}%")).text(short(*tick))
    };
    let axis = el("th").attr("scope", "col").class("axis").with(el("span").class("unseen").text("when"));
    let axis = axis.all(ticks.iter().map(mark));
    let head = el("tr").with(column("stage")).with(axis).with(column("time").class("number"));
    let rows = timed.iter().map(|(stage, when)| row(stage, *when, whole, &ticks));
    let table = el("table").class("timeline").with(el("thead").with(head)).with(el("tbody").all(rows));
    let note = el("p").class("note").text("The fainter a bar, the more its stage waited for others.");
    Some(el("div").with(scrolling("when stages were at work").with(table)).with(note))
}

fn row(stage: &StageRecord, when: When, whole: u64, ticks: &[u64]) -> Element {
    let inner = stage.id.split_once('/').map(|(_, inner)| inner);
    let name = el("th").attr("scope", "row").text(clipped(inner.unwrap_or(&stage.id), NAME_CHARS_MAX));
    let Counts { hits, computed, .. } = stage.counts;
    let kept = computed == 0 && hits > 0;
    let at = |ms: u64| WIDTH * ms as f64 / whole as f64;
    let grid = |tick: &u64| {
        let x = svg::length(at(*tick));
        el("path").class("grid").attr("d", format_args!("M{x},0V{HEIGHT}"))
    };
    // However short, a stage can be seen.
    let width = at(when.ended_ms.saturating_sub(when.began_ms)).max(4.0);
    let left = at(when.began_ms).min(WIDTH - width);
    let (top, height) = if inner.is_some() { (5.0, 6.0) } else { (2.0, 12.0) };
    // A stage of a loop's body waits for the others: the more, the fainter.
    let busy = stage.wall_ms as f64 / when.ended_ms.saturating_sub(when.began_ms).max(1) as f64;
    let bar = svg::rect((left, top), (width, height)).attr("fill-opacity", svg::length(busy.clamp(0.2, 1.0)));
    let drawing = el("svg")
        .attr("viewBox", format_args!("0 0 {WIDTH} {HEIGHT}"))
        .attr("preserveAspectRatio", "none")
        .attr("aria-hidden", "true")
        .all(ticks.iter().map(grid))
        .with(bar.class(if kept { "kept" } else { "span" }));
    let told = if kept { "from the store, at" } else { "at" };
    let time = el("td").class("number").text(duration(stage.wall_ms));
    let time = time.with(el("span").class("hint").text(format_args!("{told} {}", duration(when.began_ms))));
    el("tr").class(if inner.is_some() { "inner" } else { "outer" }).with(name).with(el("td").with(drawing)).with(time)
}

/// Returns where the axis is marked, its begin left out.
fn ticks(whole: u64) -> Vec<u64> {
    let days = whole.div_ceil(86_400_000 * TICKS_MAX).max(1) * 86_400_000;
    let step = STEPS_MS.iter().copied().find(|step| whole / step <= TICKS_MAX).unwrap_or(days);
    (1..=whole / step).map(|number| number * step).collect()
}

/// Returns a mark's time without its zeros: `2 min`, `30 s`.
fn short(ms: u64) -> String {
    let text = duration(ms);
    text.trim_end_matches(" 00 s").trim_end_matches(" 00 min").replace(".0 s", " s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_round_marks_however_long_the_run() {
        let marks = |whole| ticks(whole).into_iter().map(short).collect::<Vec<_>>();
        assert_eq!(marks(192_400), ["1 min", "2 min", "3 min"]);
        assert_eq!(marks(4_200), ["1 s", "2 s", "3 s", "4 s"]);
        assert_eq!(marks(9 * 3_600_000), ["2 h", "4 h", "6 h", "8 h"]);
        assert_eq!(marks(90_000), ["30 s", "1 min", "1 min 30 s"]);
        for whole in [1, 7, 86_400_000, 40 * 86_400_000, u64::from(u32::MAX) * 1000] {
            assert!((1..=5).contains(&ticks(whole).len()), "{whole}: {:?}", ticks(whole));
        }
    }
}
