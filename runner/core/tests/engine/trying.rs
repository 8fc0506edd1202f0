//! `retries` and `timeout`: the world's failures pass, or are told with how often it was tried; no other failure is tried again.

use sentinel_core::run::Ending;

use crate::kinds::Mood;
use crate::plain::{PLAIN, expected, plain};
use crate::project::Project;
use crate::results::assert_same;

/// Runs with these settings of `words` while it has these moods; checks the pauses it took, and how it ended if it failed.
fn check(settings: &str, moods: &[Mood], pauses: &[&str], failure: Option<&str>) {
    let project = Project::new(&plain(12));
    project.lab.mood("split", moods);
    let flow = PLAIN.replace("exec: {batch: 4}", &format!("exec: {{batch: 4}}, {settings}"));
    let result = project.try_run(&flow, &Default::default());
    let told = project.told("Retry {");
    assert_eq!(told.len(), pauses.len(), "{settings}: {told:?}");
    for (told, pause) in told.iter().zip(pauses) {
        assert!(told.contains(pause), "{settings}: {told}");
    }
    match failure {
        None => {
            result.unwrap_or_else(|error| panic!("{settings}: {error}"));
            let tried = 12 + 4 * pauses.len() as u64;
            assert_eq!(project.lab.taken()["split"], tried, "{settings}: one batch was tried again");
            assert_same(&project.results("plain"), &expected(&plain(12)));
        }
        Some(failure) => {
            let error = result.err().unwrap();
            assert_eq!((error.to_string().as_str(), error.ending()), (failure, Ending::Failed), "{settings}");
        }
    }
}

const SERVER: &str = "error: \"the server said 503\", attempt: 1, attempts: 2";
const LATE: &str = "error: \"not done within 0.05 s\", attempt: 1, attempts: 2";

#[test]
fn a_second_attempt_may_succeed() {
    check("retries: 1", &[Mood::Fine, Mood::World], &[SERVER], None);
}

#[test]
fn attempts_are_used_up() {
    let failure = "stage `words`: the server said 503; tried 2 times";
    check("retries: 1", &[Mood::World, Mood::World], &[SERVER], Some(failure));
}

#[test]
fn an_attempt_has_its_time_and_the_next_has_it_again() {
    check("timeout: 50ms, retries: 1", &[Mood::Wait(0)], &[LATE], None);
}

#[test]
fn some_failures_end_a_stage_at_once() {
    check("retries: 0", &[Mood::World], &[], Some("stage `words`: the server said 503"));
    check("timeout: 50ms", &[Mood::Wait(0)], &[], Some("stage `words`: not done within 0.05 s"));
    check("retries: 3", &[Mood::Refuse], &[], Some("stage `words`: the engine knows no such words"));
    let project = Project::new(&plain(12));
    project.lab.mood("split", &[Mood::Panic]);
    let error = project.failure(&PLAIN.replace("version: 1", "version: 1\ndefaults: {retries: 3}"));
    assert_eq!(error.ending(), Ending::Bug);
    assert!(project.told("Retry {").is_empty(), "{error}");
}

#[test]
fn defaults_are_every_stage_s() {
    let project = Project::new(&plain(12));
    project.lab.mood("sum", &[Mood::World]);
    project.run(&PLAIN.replace("version: 1", "version: 1\ndefaults: {retries: 1}"));
    assert_eq!(project.told("Retry { stage: \"totals\"").len(), 1);
    assert_same(&project.results("plain"), &expected(&plain(12)));
}
