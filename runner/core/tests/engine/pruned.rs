//! Making room in a store: what was used last stays whole, what goes is computed anew, and nothing goes under a live run.

use std::time::{Duration, SystemTime};

use sentinel_core::cache::prune::{Pruned, Room, prune};
use sentinel_core::cache::store::StoreError;
use sentinel_core::session::RunOptions;

use crate::plain::{PLAIN, expected, plain};
use crate::project::{Project, work};
use crate::results::{assert_same, project as growing};
use crate::simulation::growth;

fn sql(project: &Project, text: &str) {
    rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap().execute_batch(text).unwrap();
}

/// Says what may stay: what was used since a second after 1970.
fn since(second: u64) -> Room {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Room { older_than: Some(now - Duration::from_secs(second)), max_bytes: None }
}

fn pruned(project: &Project, room: Room) -> Pruned {
    let would = prune(&project.path("store"), room, true).unwrap();
    assert_eq!(prune(&project.path("store"), room, true).unwrap(), would, "what only looks removes nothing");
    assert_eq!(prune(&project.path("store"), room, false).unwrap(), would);
    let again = prune(&project.path("store"), room, false).unwrap();
    assert_eq!((again.entries, again.runs, again.blobs, again.bytes), (0, 0, 0, 0));
    would
}

/// A project in which two workflows ran that share their first steps: one long ago, one later; and how many rows of the last
/// stage are the first's alone.
fn two_runs() -> (Project, String, u64) {
    let project = Project::new(&plain(12));
    let later = PLAIN.replace("most: 2", "most: 1");
    project.run(PLAIN);
    sql(&project, "UPDATE runs SET started = 1000");
    let totals = || project.results("plain").remove("totals/totals.jsonl").unwrap();
    let first = totals();
    project.run(&later);
    let last = totals();
    let alone = first.lines().filter(|row| !last.lines().any(|other| other == *row)).count();
    let kept = ["units", "wholes", "memos"].map(|table| format!("UPDATE {table} SET kept = 900;")).concat();
    sql(&project, &format!("{kept} UPDATE runs SET started = 5000 WHERE started <> 1000"));
    (project, later, alone as u64)
}

#[test]
fn what_a_later_run_used_stays() {
    let (project, later, alone) = two_runs();
    assert_eq!(pruned(&project, since(900)).entries, 0);
    let gone = pruned(&project, since(3000));
    // `few` of every record, and `totals` with some rows, were the first run's alone.
    assert!(alone > 0);
    assert_eq!((gone.runs, gone.entries), (1, 12 + 1 + alone));
    assert!(project.session(&later).plan(&RunOptions::default()).unwrap().is_all_cached());
    assert!(project.finished(&later).nothing_to_do, "the later run is still known");
    assert_eq!(project.run(PLAIN), work([("pick", 12), ("sum", 1)]));
    assert_same(&project.results("plain"), &expected(&plain(12)));
}

#[test]
fn what_was_used_last_stays_within_a_size() {
    let (project, later, _) = two_runs();
    let all = prune(&project.path("store"), Room { older_than: None, max_bytes: Some(u64::MAX) }, true).unwrap();
    assert_eq!((all.entries, all.bytes), (0, 0));
    let gone = pruned(&project, Room { older_than: None, max_bytes: Some(all.bytes_left - 1) });
    assert!(gone.runs == 1 && gone.bytes > 0, "{gone:?}");
    assert!(project.session(&later).plan(&RunOptions::default()).unwrap().is_all_cached());
    let gone = pruned(&project, Room { older_than: None, max_bytes: Some(0) });
    assert_eq!((gone.runs, gone.bytes_left), (1, 0));
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    project.run(PLAIN);
    assert_same(&project.results("plain"), &expected(&plain(12)));
}

#[test]
fn what_a_stopped_run_has_done_is_as_old_as_it_is() {
    let project = Project::new(&plain(12));
    project.try_run(PLAIN, &RunOptions { limit: Some(5), ..RunOptions::default() }).unwrap();
    sql(&project, "DELETE FROM runs");
    assert_eq!(pruned(&project, since(1000)).entries, 0);
    project.lab.taken();
    project.run(PLAIN);
    sql(&project, "DELETE FROM runs; UPDATE units SET kept = 1; UPDATE wholes SET kept = 1; UPDATE memos SET kept = 1");
    let gone = pruned(&project, since(1000));
    assert_eq!(gone.bytes_left, 0, "{gone:?}");
}

#[test]
fn a_loop_that_was_used_stays_whole() {
    let (project, expected) = growing();
    let flow = growth(3, 7, 2);
    project.run(&flow);
    sql(&project, "UPDATE units SET kept = 1; UPDATE wholes SET kept = 1; UPDATE memos SET kept = 1");
    pruned(&project, since(1000));
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    project.lab.taken();
    assert_eq!(project.run(&flow), work([]));
    assert_same(&project.results("growth"), &expected.results);
}

#[test]
fn nothing_goes_while_somebody_is_there() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let session = project.session(PLAIN);
    let everything = Room { older_than: None, max_bytes: Some(0) };
    for dry in [true, false] {
        let error = prune(&project.path("store"), everything, dry).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    }
    drop(session);
    assert!(prune(&project.path("store"), everything, false).unwrap().entries > 0);
    assert!(prune(&project.path("no such store"), everything, false).is_err());
    assert!(!project.path("no such store").exists());
}

#[test]
fn a_store_of_before_learns_when_things_were_kept() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let drop = ["units", "wholes", "memos"].map(|table| format!("ALTER TABLE {table} DROP COLUMN kept;")).concat();
    sql(&project, &drop);
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    assert_eq!(project.run(PLAIN), work([]));
    assert_eq!(project.run(&PLAIN.replace("most: 2", "most: 1")), work([("pick", 12), ("sum", 1)]));
    assert_eq!(pruned(&project, since(1000)).entries, 0);
}
