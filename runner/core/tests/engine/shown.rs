//! The report of a run: the same whether stages ran or were found in the store; a run with nothing to do asks no stage for it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use sentinel_core::last::LastRun;
use sentinel_core::report::model::LeftOut;
use sentinel_core::report::record::Quarantined;
use serde_json::{Value, json};

use crate::plain::{PLAIN, plain};
use crate::project::{Project, work};
use crate::results::project as growing;
use crate::simulation::{growth, splits};
use crate::texts::{lines, total};

/// What `totals` shows: the words it took and the sums it gave, record by record.
fn totals() -> Value {
    let words = splits("words", &plain(12), &mut Default::default());
    let few = || words.iter().map(|(id, words)| (id, &words[..words.len().min(2)]));
    let concat = |rows: String| rows.replace('\n', "");
    let taken = few().map(|(id, words)| json!(["words", id, "0", concat(lines(words))]));
    let given = few().map(|(id, words)| json!(["totals", id, "0", concat(lines([total(id, words)]))]));
    let rows: Vec<Value> = taken.chain(given).collect();
    json!([{"widget": "table", "title": "sum", "columns": ["slot", "of", "step", "what"], "rows": rows}])
}

#[test]
fn a_report_shows_the_same_however_its_stages_were_answered() {
    let project = Project::new(&plain(12));
    let asked = || project.lab.shown.swap(0, Ordering::Relaxed);
    let shows = |flow: &str, computed: bool| {
        let finished = project.finished(flow);
        let shown = serde_json::to_value(&finished.report.shown).unwrap();
        let of = |stage: &str| {
            shown.as_array().unwrap().iter().find(|one| one["stage"] == stage).unwrap()["widgets"].clone()
        };
        assert_eq!(of("totals"), totals());
        assert_eq!(project.lab.taken() != work([]), computed);
        assert!(project.path("runs/plain/report.html").is_file());
        shown
    };
    let first = shows(PLAIN, true);
    assert_eq!(asked(), 5, "every stage was asked");
    assert_eq!(shows(PLAIN, false), first);
    assert_eq!(asked(), 0, "with nothing to do, what was shown is kept");
    for result in ["words/words.jsonl", "report.html", "run.json"] {
        fs::remove_file(project.path("runs/plain").join(result)).unwrap();
        assert_eq!(shows(PLAIN, false), first);
        assert!(project.path("runs/plain").join(result).is_file(), "{result}");
        assert_eq!(asked(), 5, "found in the store, stages show what they showed");
    }
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    index.execute("UPDATE runs SET report = 'of another version'", []).unwrap();
    assert_eq!(shows(PLAIN, false), first);
    assert_eq!(asked(), 5, "what cannot be read is asked for again");
    shows(&PLAIN.replace("most: 2", "most: 3"), true);
}

#[test]
fn the_last_report_can_be_written_again() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let path = project.path("runs/plain/report.html");
    let page = fs::read_to_string(&path).unwrap();
    assert!(page.contains("totals") && page.contains("t011"), "it shows stages and records");
    project.lab.shown.store(0, Ordering::Relaxed);
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    for (damage, asked) in [("SELECT 1", 0), ("UPDATE runs SET report = NULL", 5)] {
        fs::remove_file(&path).unwrap();
        index.execute_batch(damage).unwrap();
        let last = LastRun::find(&project.path("store"), "plain", &project.path("runs")).unwrap();
        let written = last.report().unwrap();
        assert_eq!(written.is_some(), asked == 0, "as long as the store has what it is made from");
        assert_eq!(written.unwrap_or_else(|| project.session(PLAIN).report().unwrap()), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), page);
        assert_eq!(project.lab.shown.swap(0, Ordering::Relaxed), asked);
    }
}

#[test]
fn what_was_left_out_is_told_by_stage_and_reason_with_the_first_of_each() {
    let (project, expected) = growing();
    let finished = project.finished(&growth(3, 7, 2));
    let told = &finished.report.left_out;
    for stage in &finished.record.stages {
        for (counts, set_aside) in [(&stage.counts.dropped, false), (&stage.counts.quarantined, true)] {
            let of_stage = |one: &&LeftOut| one.stage == stage.id && one.set_aside == set_aside;
            let found: BTreeMap<String, u64> =
                told.iter().filter(of_stage).map(|one| (one.reason.clone(), one.count)).collect();
            assert_eq!(found, *counts, "{}", stage.id);
        }
    }
    let of = |stage: &str, reason: &str| told.iter().find(|one| one.stage == stage && one.reason == reason).unwrap();
    let words: Vec<Value> = expected.results["hints/dropped.jsonl"]
        .lines()
        .take(3)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["word"].clone())
        .collect();
    let examples = of("hints", "unwanted").examples.iter();
    let examples: Vec<Value> = examples.map(|one| one.text.strip_prefix("word: ").unwrap().into()).collect();
    assert_eq!(examples, words);
    let afraid = of("growth/words", "afraid");
    assert_eq!(afraid.examples.len() as u64, afraid.count.min(3));
    for example in &afraid.examples {
        let told = |unit: &Quarantined| (unit.record == example.record) && unit.detail == example.text;
        assert!(finished.record.quarantine.iter().any(told), "{example:?}");
    }
    assert!(of("growth/words", "unwanted").examples.len() == 3, "those of a loop's body too");
}
