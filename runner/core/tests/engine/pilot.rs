//! `--limit`: a pilot over the first records, whose units are hits in the whole run. `--fail-on-miss`: nothing is computed.

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
