//! `verify`: some of what is kept is computed again and compared; nothing that comes out of it is kept.

use std::sync::Arc;

use sentinel_core::reporter::{Reporter, Silent};
use sentinel_core::run::{Repeats, RunError, Stop};
use sentinel_core::session::{RunOptions, VerifyOptions};

use crate::kinds::Mood;
use crate::plain::{PLAIN, afraid, plain};
use crate::project::{Project, work};
use crate::results::project as growing;
use crate::simulation::growth;

fn verified(project: &Project, flow: &str, stages: &[&str], units: usize) -> Result<Repeats, RunError> {
    let stages: Vec<String> = stages.iter().map(|&stage| stage.to_owned()).collect();
    let silent: Arc<dyn Reporter> = Arc::new(Silent);
    project.lab.taken();
    project.session(flow).verify(&stages, &VerifyOptions { units, tolerance: 0.0 }, &silent, &Stop::default())
}

fn told(repeats: &Repeats) -> Vec<(&str, u64, u64, usize)> {
    repeats.iter().map(|(stage, one)| (stage.as_str(), one.kept, one.again, one.differing.len())).collect()
}

#[test]
fn some_units_of_every_stage_are_computed_again() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let repeats = verified(&project, PLAIN, &[], 3).unwrap();
    let all = [("bundle", 1, 1, 0), ("few", 12, 3, 0), ("lines", 1, 1, 0), ("totals", 1, 1, 0), ("words", 12, 3, 0)];
    assert_eq!(told(&repeats), all);
    assert_eq!(
        project.lab.taken(),
        work([("lines", 1), ("pack", 1), ("page", 4), ("pick", 3), ("split", 3), ("sum", 1)])
    );
    assert_eq!(told(&verified(&project, PLAIN, &["few"], 99).unwrap()), [("few", 12, 12, 0)]);
    let error = verified(&project, PLAIN, &["fwe"], 3).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage `fwe` that computes; did you mean `few`?");
    assert!(project.finished(PLAIN).nothing_to_do);
}

#[test]
fn what_differs_is_named_and_what_is_kept_stays() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let results = project.results("plain");
    for kind in ["split", "sum", "pack"] {
        project.lab.mood(kind, &[Mood::Fickle]);
    }
    let repeats = verified(&project, PLAIN, &[], 2).unwrap();
    let differences: Vec<(&str, String)> = repeats
        .values()
        .flat_map(|one| &one.differing)
        .map(|one| (one.stage.as_str(), one.difference.clone().unwrap()))
        .collect();
    assert_eq!(differences.len(), 3, "{differences:?}");
    assert_eq!(differences[0], ("bundle", "the file `count.txt` of `bundle` has other content".to_owned()));
    assert!(differences[1].1.starts_with("record `t000`: row 1 of `totals`: `"), "{differences:?}");
    assert!(differences[2].1.starts_with("row 1 of `words`: `word` was \""), "{differences:?}");
    assert!(repeats.values().flat_map(|one| &one.differing).all(|one| one.made_on.is_none()), "it is the same machine");
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    index.execute("UPDATE platforms SET name = 'another machine'", []).unwrap();
    project.lab.mood("split", &[Mood::Fickle]);
    let repeats = verified(&project, PLAIN, &["words"], 1).unwrap();
    assert_eq!(repeats["words"].differing[0].made_on.as_deref(), Some("another machine"));
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    project.run(PLAIN);
    assert_eq!(project.results("plain"), results);
}

#[test]
fn loops_memos_checkpoints_and_faults_are_verified_too() {
    let (project, _) = growing();
    let flow = growth(3, 7, 2);
    project.run(&flow);
    let memos = || project.lab.memos.load(std::sync::atomic::Ordering::Relaxed);
    let before = memos();
    let repeats = verified(&project, &flow, &[], 1000).unwrap();
    assert!(
        repeats.values().all(|one| one.differing.is_empty() && one.again == one.kept && one.kept > 0),
        "{repeats:?}"
    );
    assert!(repeats.contains_key("growth/more") && memos() > before, "memos are computed, not looked up");
    let timid = Project::new(&afraid(40, &[3]));
    timid.run(PLAIN);
    assert_eq!(told(&verified(&timid, PLAIN, &["words"], 40).unwrap()), [("words", 40, 40, 0)]);
    timid.lab.mood("split", &[Mood::Afraid]);
    let repeats = verified(&timid, PLAIN, &["words"], 40).unwrap();
    let difference = repeats["words"].differing[0].difference.as_deref();
    assert_eq!(difference, Some("a result was kept, and now it is a fault (afraid)"));
}

#[test]
fn what_is_not_kept_is_not_computed() {
    let project = Project::new(&plain(12));
    assert!(verified(&project, PLAIN, &[], 3).unwrap().values().all(|one| one.again == 0));
    project.try_run(PLAIN, &RunOptions { limit: Some(5), ..RunOptions::default() }).unwrap();
    let repeats = verified(&project, PLAIN, &[], 99).unwrap();
    assert_eq!((repeats["words"].kept, repeats["words"].again), (5, 5));
}
