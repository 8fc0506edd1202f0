//! `--limit`: a pilot over the first records, whose units are hits in the whole run. `--fail-on-miss`: nothing is computed.

use sentinel_core::report::pilot;
use sentinel_core::run::{Ending, RunError};
use sentinel_core::session::RunOptions;

use crate::plain::{PLAIN, afraid, expected, plain};
use crate::project::{Project, counts, work};
use crate::results::{assert_same, project as growing};
use crate::simulation::{SEED, growth, simulate};
use crate::texts::{Text, texts};

fn first(records: u64) -> RunOptions {
    RunOptions { limit: Some(records), ..RunOptions::default() }
}

const KEPT: RunOptions = RunOptions { limit: None, fail_on_miss: true, retry_quarantined: false, jobs: None };

#[test]
fn what_a_pilot_computed_is_not_computed_again() {
    for (limit, piloted) in [(0, 0), (5, 5), (12, 12), (99, 12)] {
        let project = Project::new(&plain(12));
        let pilot = project.try_run(PLAIN, &first(limit)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(counts(&pilot.record, "words").computed, piloted);
        assert_same(&project.results("plain"), &expected(&plain(piloted as usize)));
        assert!(project.try_run(PLAIN, &first(limit)).unwrap_or_else(|error| panic!("{error}")).nothing_to_do);
        project.lab.taken();
        let whole = project.finished(PLAIN);
        assert!(!whole.nothing_to_do, "a pilot is not the whole");
        let counts = counts(&whole.record, "words");
        assert_eq!((counts.hits, counts.computed), (piloted, 12 - piloted));
        assert_eq!(project.lab.taken().get("split").copied().unwrap_or_default(), 12 - piloted);
        assert_same(&project.results("plain"), &expected(&plain(12)));
    }
}

#[test]
fn a_pilot_of_a_loop_is_a_run_over_fewer_records() {
    let (project, whole) = growing();
    let flow = growth(3, 7, 2);
    project.try_run(&flow, &first(15)).unwrap_or_else(|error| panic!("{error}"));
    let texts = texts(70);
    let some: Vec<Text> =
        texts.iter().filter(|text| text.id != "t011").map(|text| Text { fear: None, ..text.clone() }).collect();
    assert_same(&project.results("growth"), &simulate(SEED, &texts[..15], &some[..15]).results);
    project.run(&flow);
    assert_same(&project.results("growth"), &whole.results);
}

#[test]
fn nothing_is_computed_where_that_is_forbidden() {
    let project = Project::new(&plain(12));
    let fails = |flow: &str, story: &str| {
        let error = project.try_run(flow, &KEPT).err().unwrap();
        assert!(matches!(error, RunError::Miss { .. }), "{error}");
        assert_eq!((error.to_string().as_str(), error.ending()), (story, Ending::Missed));
        assert_eq!(project.lab.taken(), work([]));
    };
    fails(PLAIN, "stage `lines` would run: its result is not in the store");
    project.try_run(PLAIN, &first(5)).unwrap_or_else(|error| panic!("{error}"));
    project.lab.taken();
    fails(PLAIN, "stage `words` would run: record `t005` is not in the store");
    project.run(PLAIN);
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    let finished = project.try_run(PLAIN, &KEPT).unwrap_or_else(|error| panic!("{error}"));
    assert!(!finished.nothing_to_do, "results are put in their place");
    assert_eq!(project.lab.taken(), work([]));
    assert_same(&project.results("plain"), &expected(&plain(12)));
    fails(&PLAIN.replace("most: 2", "most: 1"), "stage `few` would run: record `t000` is not in the store");
    assert!(project.finished(PLAIN).nothing_to_do, "results are still what they were");
}

#[test]
fn in_a_loop_the_step_is_told_and_what_was_set_aside_is_no_miss() {
    let (project, expected) = growing();
    let flow = growth(1, 1, 1);
    project.run(&flow);
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    project.try_run(&flow, &KEPT).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.lab.taken(), work([]));
    assert_same(&project.results("growth"), &expected.results);
    // The first record is finished by its first step, the second was cut before its sixth.
    let error = project.try_run(&flow.replace("max_steps: 5", "max_steps: 6"), &KEPT).err().unwrap();
    assert_eq!(error.to_string(), "stage `growth/words` would run: record `t001` at step 5 is not in the store");
    let aside = Project::new(&afraid(40, &[3]));
    aside.run(PLAIN);
    let again = RunOptions { retry_quarantined: true, ..KEPT };
    let error = aside.try_run(PLAIN, &again).err().unwrap();
    assert_eq!(error.to_string(), "stage `words` would run: record `t003` is not in the store");
}

#[test]
fn a_pilot_says_what_the_whole_would_take() {
    let project = Project::new(&plain(12));
    let session = project.session(PLAIN);
    let pilot = project.try_run(PLAIN, &first(3)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(counts(&pilot.record, "lines").held_back, 9);
    let estimate = session.estimate(&pilot.record).unwrap();
    assert_eq!((estimate.records, estimate.of), (3, 12));
    let left: Vec<(&str, u64)> = estimate.stages.iter().map(|left| (left.stage.as_str(), left.units)).collect();
    assert_eq!(left, [("words", 9), ("few", 9)], "what a whole run has to compute still");
    for left in &estimate.stages {
        let took = pilot.record.stage(&left.stage).unwrap().wall_ms.max(1);
        assert_eq!(left.ms, 3 * took, "three records took {took} ms");
    }
    assert_eq!(estimate.at_once, ["totals", "bundle"]);
    assert!(estimate.unmeasured.is_empty() && estimate.lists_bytes > 0);
    let lines = pilot::lines(&estimate, Some(5 << 30));
    for told in ["a pilot of 3 of 12 records", "words ", "together", "5.0 GiB at its peak", "totals, bundle"] {
        assert!(lines.contains(told), "no `{told}`: {lines}");
    }
    let again = project.try_run(PLAIN, &first(2)).unwrap_or_else(|error| panic!("{error}"));
    let estimate = session.estimate(&again.record).unwrap();
    assert_eq!((estimate.stages.as_slice(), estimate.unmeasured.len()), (&[][..], 2), "all was in the store");
    assert_eq!(session.estimate(&project.finished(PLAIN).record), None, "the whole is no pilot");
}

#[test]
fn a_pilot_of_a_loop_is_estimated_stage_by_stage() {
    let (project, _) = growing();
    let flow = growth(3, 7, 2);
    let pilot = project.try_run(&flow, &first(35)).unwrap_or_else(|error| panic!("{error}"));
    let estimate = project.session(&flow).estimate(&pilot.record).unwrap();
    assert_eq!((estimate.records, estimate.of), (35, 70));
    let words = estimate.stages.iter().find(|left| left.stage == "growth/words").unwrap();
    assert_eq!(words.units, counts(&pilot.record, "growth/words").units, "the other half is as much again");
    assert!(estimate.stages.iter().all(|left| left.stage != "growth"), "a loop's time is that of its stages");
}

#[test]
fn a_stage_tells_how_far_it_is_of_all_its_records() {
    let project = Project::new(&plain(12));
    project.try_run(PLAIN, &first(3)).unwrap_or_else(|error| panic!("{error}"));
    project.told("");
    project.run(PLAIN);
    let told = project.told("Records { stage: \"words\"");
    let line = |done, in_flight| {
        format!("Records {{ stage: \"words\", done: {done}, kept: 3, total: 12, in_flight: {in_flight} }}")
    };
    assert_eq!(told, [(3, 4), (7, 0), (7, 4), (11, 0), (11, 1), (12, 0)].map(|(done, hand)| line(done, hand)));
}
