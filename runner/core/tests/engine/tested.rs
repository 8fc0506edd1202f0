//! `tests:`: stages on given records, in a store of their own.

use std::fs;

use sentinel_core::run::{Outcome, Stop, test};

use crate::kinds::Mood;
use crate::plain::{PLAIN, plain};
use crate::project::{Project, work};

const TESTS: &str = r#"
tests:
  - name: most
    stage: few
    given: {records: [{word: a}, {word: b}, {word: c}]}
    expect: {records: [{word: a}, {word: b}]}
  - name: two records
    stage: few
    given: {records: {x: [{word: a}], y: [{word: b}, {word: c}, {word: d}]}}
    expect: {records: {count: 3}}
  - name: files
    stage: bundle
    given: {words: [{word: a, letters: 1}]}
    expect: {bundle: {count.txt: "1\n"}}
  - name: too many
    stage: few
    given: {records: [{word: a}, {word: b}]}
    expect: {records: [{word: a}]}
  - name: another
    stage: few
    given: {records: [{word: a, letters: 1}, {word: b}]}
    expect: {records: [{letters: 1.0}, {word: c}]}
  - name: no such file
    stage: bundle
    given: {words: [{word: a, letters: 1}]}
    expect: {bundle: {counts.txt: ""}}
"#;

fn outcomes(project: &Project) -> Vec<(String, usize, Option<String>)> {
    let outcomes = test(project.load(&format!("{PLAIN}{TESTS}")), &Stop::default()).unwrap();
    outcomes.into_iter().map(|Outcome { name, line, failure }| (name, line, failure)).collect()
}

#[test]
fn stages_are_tried_on_given_records() {
    let project = Project::new(&plain(1));
    let found = outcomes(&project);
    let found: Vec<(&str, usize, Option<&str>)> =
        found.iter().map(|(name, line, failure)| (name.as_str(), *line, failure.as_deref())).collect();
    let too_many = "`records` holds 2 rows, expected 1; the first is {\"word\":\"a\"}";
    let expected = [
        ("most", 11, None),
        ("two records", 15, None),
        ("files", 19, None),
        ("too many", 23, Some(too_many)),
        ("another", 27, Some("row 2 of `records`: `word` is \"b\", expected \"c\"")),
        ("no such file", 31, Some("`bundle` has no file `counts.txt`; it has count.txt, letters/a.txt")),
    ];
    assert_eq!(found, expected);
    assert!(!project.path("store").exists() && !project.path("runs").exists(), "a test leaves nothing");
    // The files other stages need are not looked for.
    fs::remove_file(project.path("texts.jsonl")).unwrap();
    assert_eq!(outcomes(&project).len(), 6);
}

#[test]
fn a_record_at_fault_fails_its_test() {
    let project = Project::new(&plain(1));
    project.lab.mood("pick", &[Mood::Afraid]);
    let found = outcomes(&project);
    assert_eq!(found[0].2.as_deref(), Some("the record is at fault: afraid: for once"));
    assert_eq!(found[1].2, None);
    assert_ne!(project.lab.taken(), work([]));
}
