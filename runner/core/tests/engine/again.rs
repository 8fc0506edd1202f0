//! Run again, run after a failure, run on a damaged store: what was done stays done, and what comes out stays the same.

use std::fs;

use sentinel_core::reporter::Silent;
use sentinel_core::run::{Ending, Stop};
use sentinel_core::session::RunOptions;

use crate::kinds::Mood;
use crate::plain::{PLAIN, expected, plain};
use crate::project::{Project, work};
use crate::results::assert_same;
use crate::texts::lines;

#[test]
fn a_second_run_has_nothing_to_do_and_what_was_removed_comes_back() {
    let project = Project::new(&plain(12));
    assert!(!project.run(PLAIN).is_empty());
    let results = expected(&plain(12));
    assert_same(&project.results("plain"), &results);
    assert!(project.finished(PLAIN).nothing_to_do);
    fs::remove_file(project.path("runs/plain/words/words.jsonl")).unwrap();
    fs::write(project.path("runs/plain/bundle/bundle/count.txt"), "altered").unwrap();
    assert_eq!(project.run(PLAIN), work([]));
    assert_same(&project.results("plain"), &results);
    assert!(project.session(PLAIN).plan(&RunOptions::default()).unwrap().is_all_cached());
}

#[test]
fn only_what_changed_is_computed() {
    let mut texts = plain(12);
    let project = Project::new(&texts);
    project.run(PLAIN);
    texts[3].remark = "no stage but the first sees it".into();
    project.write("texts.jsonl", &lines(&texts));
    assert_eq!(project.run(PLAIN), work([("lines", 1)]));
    let renamed =
        PLAIN.replace("words:", "renamed:").replace("{renamed: ", "{words: ").replace(": words}", ": renamed}");
    assert_eq!(project.run(&renamed.replace("name: plain", "name: other")), work([]));
    assert_eq!(project.run(&PLAIN.replace("batch: 4", "batch: 5, threads: 2")), work([]));
    texts[3].text.push_str("  ");
    project.write("texts.jsonl", &lines(&texts));
    assert_eq!(project.run(PLAIN), work([("lines", 1), ("split", 1)]), "the same words came out");
    project.lab.version("pick", 2, Some("engine 2"));
    assert_eq!(project.run(PLAIN), work([("pick", 12)]));
}

#[test]
fn damage_is_a_miss_with_a_warning() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let results = project.results("plain");
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    let damages = [
        "UPDATE units SET payload = zeroblob(9)",
        "UPDATE wholes SET outputs = zeroblob(9)",
        // Of the right form: other words, another's result, a fault where there was none.
        "UPDATE units SET payload = unhex(replace(hex(payload), '6F6E65', '6F6E66'))",
        "UPDATE units SET (payload, proof) = (SELECT payload, proof FROM units AS other WHERE other.id <> units.id)",
        "UPDATE wholes SET (outputs, proof) = (SELECT outputs, proof FROM wholes AS other WHERE other.key <> wholes.key)",
        "UPDATE units SET fault = 1, payload = x'0000000000000000'",
    ];
    for damage in damages {
        index.execute(damage, []).unwrap();
        fs::remove_dir_all(project.path("runs")).unwrap();
        project.told("");
        assert!(!project.run(PLAIN).is_empty(), "{damage}");
        assert!(!project.told("damaged").is_empty(), "{damage}");
        assert_same(&project.results("plain"), &results);
    }
}

#[test]
fn what_a_stage_does_wrong_is_named_and_never_kept() {
    let cases = [
        ("split", Mood::World, "stage `words`: the server said 503", Ending::Failed),
        ("split", Mood::Refuse, "stage `words`: the engine knows no such words", Ending::Failed),
        ("split", Mood::Panic, "stage `words`: internal error: it panicked: a made-up panic", Ending::Bug),
        ("split", Mood::Few, "4 units were asked for and 3 answered", Ending::Bug),
        ("split", Mood::Many, "record `t000`: 2 outputs were promised and 3 came", Ending::Bug),
        ("split", Mood::LineBreak, "record `t000`: a row has a line break", Ending::Bug),
        ("sum", Mood::Twins, "stage `totals`: internal error: two records are called `t000`", Ending::Bug),
        ("pack", Mood::Unkept, "the content of the file `unkept` was not kept", Ending::Bug),
        ("pack", Mood::Escape, "`../../escaped`, which is no path below a folder", Ending::Bug),
        ("pack", Mood::Swapped, "output `bundle` has another form than promised", Ending::Bug),
    ];
    for (kind, mood, story, ending) in cases {
        let project = Project::new(&plain(12));
        project.lab.mood(kind, &[mood]);
        let error = project.failure(PLAIN);
        assert!(error.to_string().contains(story), "{error}");
        assert_eq!(error.ending(), ending, "{error}");
        project.run(PLAIN);
        assert_same(&project.results("plain"), &expected(&plain(12)));
    }
}

#[test]
fn batches_done_before_a_failure_stay_done() {
    let project = Project::new(&plain(12));
    project.lab.mood("split", &[Mood::Fine, Mood::Fine, Mood::World]);
    project.failure(PLAIN);
    project.lab.taken();
    assert_eq!(project.run(PLAIN)["split"], 4);
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let project = Project::new(&plain(12));
    project.lab.mood("page", &[Mood::Fine, Mood::Fine, Mood::Wait(1)]);
    assert_eq!(project.failure(PLAIN).to_string(), "interrupted; what was done is kept");
    let pages = project.lab.taken()["page"] - 1;
    let rest = project.run(PLAIN)["page"];
    let undisturbed = Project::new(&plain(12));
    assert_eq!(undisturbed.run(PLAIN)["page"], pages + rest);
    assert_same(&project.results("plain"), &expected(&plain(12)));
    assert_eq!(fs::read_dir(project.path("store/v1/checkpoints")).unwrap().count(), 0);
    let stop = Stop::default();
    stop.ask();
    let other = PLAIN.replace("most: 2", "most: 3");
    let reporter: std::sync::Arc<dyn sentinel_core::reporter::Reporter> = std::sync::Arc::new(Silent);
    let stopped = project.session(&other).run(&RunOptions::default(), &reporter, &stop);
    assert_eq!(stopped.err().unwrap().ending(), Ending::Interrupted);
}
