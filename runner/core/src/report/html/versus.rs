//! Two runs on one page: what they measured, what they said of the same pictures, how they were made, and what became of their
//! stages. What both have alike is told to be alike, and not shown.

use std::collections::{BTreeMap, BTreeSet};

use super::element::{Element, column, el, scrolling};
use super::gather::{Gallery, Gathered, groups, plain, side_by_side};
use super::pictures::Pictures;
use super::room::Room;
use super::{PICTURE_BYTES_MAX, Page, TEXT_BYTES_MAX, curve, frame, result, row};
use crate::digest::Digest;
use crate::report::compare::{Change, Outcome, same_tables};
use crate::report::model::{ReportModel, Shown};
use crate::report::record::{RunRecord, StageRecord};
use crate::report::wording::{clipped, count, counted, duration};
use crate::report::{Series, Widget};

const STAGES_MAX: usize = 400;
const CAUSES_MAX: usize = 400;
const TEXT_CHARS_MAX: usize = 400;
const NAME_CHARS_MAX: usize = 60;
/// Digits of a digest that tell two runs apart.
const DIGITS: usize = 6;

/// What one stage shows in both runs, named by the runs.
struct Both {
    stage: String,
    shows: [Shown; 2],
}

/// Renders how `now` differs from `was`; `causes` says why, a line a difference. `blob` gives the content of a picture.
pub fn versus(
    was: &ReportModel,
    now: &ReportModel,
    causes: &[String],
    blob: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> String {
    let runs = [&was.run, &now.run];
    let labels = labels(runs);
    let both = both(was, now, &labels);
    let galleries = galleries(&both);
    let gathered =
        Gathered { together: galleries, stages: Vec::new(), groups: groups(both.iter().flat_map(|b| &b.shows)) };
    let pictures = Pictures::take(&gathered, blob, PICTURE_BYTES_MAX);
    let mut page = Page { room: Room::of(TEXT_BYTES_MAX), pieces_left_out: 0, sections: Vec::new() };
    if let Some(measures) = measures(&both) {
        page.section("result", "Result", &labels.join(" → "), measures);
    }
    page.section("differences", "What differs", "", differences(runs, causes));
    page.together(&gathered, &pictures);
    if let Some(curves) = curves(&both, &mut page.room) {
        page.section("curves", "Curves", "", curves);
    }
    page.section("stages", "Stages", "", stages(runs, &labels));
    let name = if was.run.workflow == now.run.workflow {
        now.run.workflow.clone()
    } else {
        format!("{} → {}", was.run.workflow, now.run.workflow)
    };
    let fact = |(run, label): (&RunRecord, &String)| {
        let stages = run.stages.iter().filter(|stage| stage.kind != "loop").count() as u64;
        format!("{label}: {}, {}", counted(stages, "stage"), duration(run.wall_ms))
    };
    let heading = frame::heading("sentinel: two runs", &name, runs.into_iter().zip(&labels).map(fact));
    page.whole(&format!("{name} · two runs"), heading, &pictures)
}

/// Names the runs by their workflows, and where these are the same by their digests too.
fn labels(runs: [&RunRecord; 2]) -> [String; 2] {
    let name = |run: &RunRecord| clipped(&run.workflow, NAME_CHARS_MAX).into_owned();
    if runs[0].workflow != runs[1].workflow {
        return runs.map(name);
    }
    let short = |run: &RunRecord| run.digest.to_string()[..DIGITS].to_owned();
    let [was, now] = runs.map(|run| format!("{} {}", name(run), short(run)));
    if was == now { [format!("{was} (earlier)"), now] } else { [was, now] }
}

/// Returns what stages show in both runs, those the workflow compares first, the last of them before the others.
fn both(was: &ReportModel, now: &ReportModel, labels: &[String; 2]) -> Vec<Both> {
    let rank = |stage: &str| now.compare.iter().rev().position(|compared| compared == stage).unwrap_or(usize::MAX);
    let pair = |shown: &Shown| {
        let before = was.shown.iter().find(|before| before.stage == shown.stage)?;
        let named = |label: &String, shown: &Shown| Shown { stage: label.clone(), widgets: shown.widgets.clone() };
        Some(Both { stage: shown.stage.clone(), shows: [named(&labels[0], before), named(&labels[1], shown)] })
    };
    let mut both: Vec<Both> = now.shown.iter().filter_map(pair).collect();
    both.sort_by_key(|both| rank(&both.stage));
    both
}

/// Shows what stages measured, where that differs.
fn measures(both: &[Both]) -> Option<Element> {
    let (mut shown, mut alike) = (Vec::new(), Vec::new());
    for Both { stage, shows } in both {
        for compared in same_tables(&[&shows[0], &shows[1]]) {
            let is_same = |change: Option<Change>| {
                change.is_none_or(|change| change.difference == 0.0 || change.outcome == Some(Outcome::Same))
            };
            if compared.rows.iter().all(|row| is_same(row.change())) {
                alike.push(stage.as_str());
            } else {
                let heading = el("h3")
                    .text(clipped(stage, NAME_CHARS_MAX))
                    .text(": ")
                    .text(clipped(compared.title, NAME_CHARS_MAX));
                shown.extend([heading, result::comparison(&compared)]);
            }
        }
    }
    if !alike.is_empty() {
        let alike = clipped(&alike.join(", "), TEXT_CHARS_MAX).into_owned();
        shown.push(el("p").class("note").text(format_args!("The same in both: what {alike} shows in numbers.")));
    }
    (!shown.is_empty()).then(|| el("div").all(shown))
}

/// Returns what both runs say of the same pictures, where that differs and was not told by a stage before.
fn galleries(both: &[Both]) -> Vec<Gallery<'_>> {
    let mut told: BTreeSet<(&str, Vec<String>)> = BTreeSet::new();
    let mut galleries = Vec::new();
    for Both { shows, .. } in both {
        for mut gallery in side_by_side(&[&shows[0], &shows[1]]) {
            gallery.exhibits.retain(|exhibit| {
                let texts: Vec<String> = exhibit.columns.iter().map(|(_, lines)| plain(lines)).collect();
                let differ = texts.windows(2).any(|pair| pair[0] != pair[1]);
                differ && told.insert((exhibit.id, texts))
            });
            if !gallery.exhibits.is_empty() {
                galleries.push(gallery);
            }
        }
    }
    galleries
}

/// Draws the curves of both runs together.
fn curves(both: &[Both], room: &mut Room) -> Option<Element> {
    let mut drawn = Vec::new();
    for Both { stage, shows: [before, after] } in both {
        for widget in &after.widgets {
            let Widget::Curve { title, x, series } = widget else { continue };
            let same = before.widgets.iter().find_map(|widget| match widget {
                Widget::Curve { title: theirs, x: x_theirs, series } if (theirs, x_theirs) == (title, x) => {
                    Some(series)
                }
                _ => None,
            });
            let Some(earlier) = same else { continue };
            let of = |run: &str, lines: &[Series]| -> Vec<Series> {
                let line =
                    |line: &Series| Series { name: format!("{run}: {}", line.name), points: line.points.clone() };
                lines.iter().map(line).collect()
            };
            let all = [of(&before.stage, earlier), of(&after.stage, series)].concat();
            drawn.extend(room.take(curve::curve(&format!("{stage}: {title}"), x, &all)));
        }
    }
    row(&mut drawn)
}

/// Lists what the runs were made of otherwise, and what else is other.
fn differences(runs: [&RunRecord; 2], causes: &[String]) -> Element {
    let versions = runs.map(|run| run.program.as_str());
    let version = (versions[0] != versions[1])
        .then(|| format!("`sentinel` was of version {} and is of version {}", versions[0], versions[1]));
    let lines: Vec<&String> = version.iter().chain(causes).collect();
    if lines.is_empty() {
        return el("p").text("They were made of the same, and the same came in.");
    }
    let line = |line: &&String| el("li").all(coded(&clipped(line, TEXT_CHARS_MAX)));
    let list = el("ul").class("differences").all(lines.iter().take(CAUSES_MAX).map(line));
    let more = lines.len().saturating_sub(CAUSES_MAX) as u64;
    let note = (more > 0).then(|| el("p").class("note").text(counted(more, "further difference")));
    el("div").with(list).all(note)
}

/// Shows what stands in backticks as code.
fn coded(line: &str) -> Vec<Element> {
    let piece = |(number, text): (usize, &str)| el(if number % 2 == 1 { "code" } else { "span" }).text(text);
    line.split('`').enumerate().map(piece).collect()
}

/// Shows what became of every stage in both runs.
fn stages(runs: [&RunRecord; 2], labels: &[String; 2]) -> Element {
    let by_id = |run: &'_ RunRecord| run.stages.iter().map(|stage| stage.id.clone()).collect::<Vec<_>>();
    let mut ids = by_id(runs[1]);
    let known: BTreeSet<String> = ids.iter().cloned().collect();
    ids.extend(by_id(runs[0]).into_iter().filter(|id| !known.contains(id)));
    let number = |name: &str| column(name).class("number");
    let head = el("tr").with(column("stage")).with(column("results"));
    let head = labels.iter().fold(head, |head, label| head.with(number(&format!("rows, {label}"))));
    let head = labels.iter().fold(head, |head, label| head.with(number(&format!("time, {label}"))));
    let rows = ids.iter().take(STAGES_MAX).map(|id| {
        let found = runs.map(|run| run.stage(id));
        let cell = |text: Option<String>| el("td").class("number").text(text.unwrap_or_else(|| "–".to_owned()));
        let rows = found.map(|stage| cell(stage.and_then(|stage| stage.outputs.first()).map(|out| count(out.rows))));
        let times = found.map(|stage| cell(stage.map(|stage| duration(stage.wall_ms))));
        let name = el("th").attr("scope", "row").text(clipped(id, NAME_CHARS_MAX));
        el("tr").with(name).with(el("td").text(fate(found))).all(rows).all(times)
    });
    let table = el("table").class("versus").with(el("thead").with(head)).with(el("tbody").all(rows));
    scrolling("stages of both runs").with(table)
}

/// Says what became of a stage.
fn fate(found: [Option<&StageRecord>; 2]) -> &'static str {
    let [Some(was), Some(now)] = found else {
        return if found[0].is_none() { "only in the later run" } else { "only in the earlier run" };
    };
    let contents = |stage: &StageRecord| -> BTreeMap<String, Digest> {
        stage.outputs.iter().map(|output| (output.name.clone(), output.content)).collect()
    };
    match (was.fingerprint == now.fingerprint, contents(was) == contents(now)) {
        (true, true) => "the same",
        (false, true) => "set up otherwise, the same results",
        (true, false) => "other results",
        (false, false) => "set up otherwise, other results",
    }
}
