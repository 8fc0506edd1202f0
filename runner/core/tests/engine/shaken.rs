//! The world moves under a run: its store vanishes, its files change while they are read, clocks jump. What comes is a clear error or
//! a correct run, never a wrong hit.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sentinel_core::cache::prune::{Room, prune};
use sentinel_core::reporter::Reporter;
use sentinel_core::run::{Ending, RunError, Stop};
use sentinel_core::session::{Finished, RunOptions};

use crate::plain::{PLAIN, expected, plain};
use crate::project::{During, Project};
use crate::results::assert_same;
use crate::texts::{Text, lines};

/// Runs the plain workflow, and does something when an event with this in it is told.
fn run_while(project: &Project, at: &'static str, work: impl FnOnce() + Send + 'static) -> Result<Finished, RunError> {
    let during: Arc<dyn Reporter> = During::first(at, work);
    // One stage at a time, so that what is done is done between two and not in the midst of one.
    let options = RunOptions { jobs: Some(NonZeroUsize::MIN), ..RunOptions::default() };
    project.session(PLAIN).run(&options, &during, &Stop::default())
}

fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[test]
fn a_store_that_vanishes_is_told_or_not_missed() {
    for at in [
        "Started { stages",
        "StageStarted { stage: \"words\"",
        "StageFinished { stage: \"words\"",
        "StageStarted { stage: \"bundle\"",
        "StageFinished { stage: \"totals\"",
    ] {
        for part in ["store", "store/v1/blobs", "store/v1/index.db", "store/v1/index.db-wal", "store/v1/tmp"] {
            let project = Project::new(&plain(12));
            let gone = project.path(part);
            let way = format!("{part} at {at}");
            match run_while(&project, at, move || remove(&gone)) {
                Ok(_) => assert_same(&project.results("plain"), &expected(&plain(12))),
                Err(error) => {
                    assert_eq!(error.ending(), Ending::Failed, "{way}: {error}");
                    let store = project.path("store").display().to_string();
                    assert!(
                        error.to_string().contains(&store) || error.to_string().contains("run again"),
                        "{way}: {error}"
                    );
                }
            }
            project.finished(PLAIN);
            assert_same(&project.results("plain"), &expected(&plain(12)));
            assert!(project.finished(PLAIN).nothing_to_do, "{way}");
        }
    }
}

/// Returns texts as long as those of [`plain`], with other words.
fn others() -> Vec<Text> {
    let turned = |text: String| text.chars().rev().collect();
    plain(12).into_iter().map(|text| Text { text: turned(text.text), ..text }).collect()
}

/// Writes texts into their file and lets it look as if nobody had.
fn write_unseen(path: &Path, texts: &[Text]) {
    let before = fs::metadata(path).unwrap();
    fs::write(path, lines(texts)).unwrap();
    fs::File::open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told() {
    let project = Project::new(&plain(12));
    let path = project.path("texts.jsonl");
    let changed = path.clone();
    let finished = run_while(&project, "StageStarted { stage: \"lines\"", move || write_unseen(&changed, &others()));
    let error = finished.err().unwrap();
    let story = format!("stage `lines`: `{}` has changed since this run began; run again", path.display());
    assert_eq!(error.to_string(), story);
    project.run(PLAIN);
    assert_same(&project.results("plain"), &expected(&others()));
}

#[test]
fn a_file_that_a_clock_gives_any_time_is_what_is_in_it() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let now = SystemTime::now();
    for time in [SystemTime::UNIX_EPOCH, now - year, now, now + year, now + 60 * year] {
        let project = Project::new(&plain(12));
        let path = project.path("texts.jsonl");
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
        for texts in [plain(12), others(), plain(12)] {
            write_unseen(&path, &texts);
            project.run(PLAIN);
            assert_same(&project.results("plain"), &expected(&texts));
        }
        assert!(project.finished(PLAIN).nothing_to_do);
    }
}

#[test]
fn a_clock_that_jumped_back_makes_no_result_old() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    // Kept and run by a clock that was years ahead.
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    for change in ["units SET kept = 9000000000", "wholes SET kept = 9000000000", "runs SET started = 9000000000000"] {
        index.execute_batch(&format!("UPDATE {change}")).unwrap();
    }
    drop(index);
    for room in [Some(Duration::ZERO), Some(Duration::MAX)] {
        let pruned = prune(&project.path("store"), Room { older_than: room, max_bytes: None }, false).unwrap();
        assert_eq!((pruned.entries, pruned.runs), (0, 0), "{room:?}");
    }
    assert!(project.session(PLAIN).store().list().unwrap().iter().all(|listed| listed.used >= 9_000_000_000));
    assert!(project.finished(PLAIN).nothing_to_do);
    project.run(&PLAIN.replace("most: 2", "most: 1"));
    assert!(project.finished(&PLAIN.replace("most: 2", "most: 1")).nothing_to_do);
}
