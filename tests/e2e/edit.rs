//! Workflows that are edited: mistakes are told where they stand, reruns are told before they happen.

use crate::desk::{Desk, QUICKSTART};

#[test]
fn plan_and_why_tell_what_a_changed_value_costs() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    desk.edit("quickstart.yaml", "beta: 0.2", "beta: 0.3");
    let plan = desk.sentinel(&["plan", "quickstart.yaml"], &QUICKSTART);
    assert_eq!(plan.code, 0, "{plan}");
    let line = |stage: &str| {
        let found = plan.stdout.lines().find(|line| line.split_whitespace().next() == Some(stage));
        found.unwrap_or_else(|| panic!("`{stage}` is not planned: {plan}")).to_owned()
    };
    assert!(line("train").contains("runs 1 unit"), "{plan}");
    assert!(plan.stdout.contains("`with.beta` was 0.2 and is 0.3"), "{plan}");
    for stage in ["captions-after", "after"] {
        assert!(line(stage).contains("decided"), "{plan}");
    }
    for stage in ["scenes", "bootstrap/sample", "bootstrap/verdicts", "keep", "captions-before", "before"] {
        assert!(line(stage).contains("cached"), "{plan}");
    }
    let why = desk.sentinel(&["why", "quickstart.yaml", "train"], &QUICKSTART);
    assert!(why.stdout.contains("`with.beta`"), "{why}");
    let why = desk.sentinel(&["why", "quickstart.yaml", "keep"], &QUICKSTART);
    assert!(why.stdout.contains("nothing has to be computed"), "{why}");
    let run = desk.run(&QUICKSTART);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.lines().any(|line| line.contains("captions-before") && line.contains("kept")), "{run}");
}

#[test]
fn new_records_cost_only_themselves() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    let more = ["--set", "scenes=15", "--set", "held-out=12"];
    let plan = desk.sentinel(&["plan", "quickstart.yaml"], &more);
    assert!(plan.stdout.contains("scenes"), "{plan}");
    let run = desk.run(&more);
    assert_eq!(run.code, 0, "{run}");
    let record = std::fs::read(desk.out().join("quickstart/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let stages = record["stages"].as_array().unwrap();
    let boxes = stages.iter().find(|stage| stage["id"] == "bootstrap/boxes").unwrap();
    let (units, hits) = (boxes["counts"]["units"].as_u64().unwrap(), boxes["counts"]["hits"].as_u64().unwrap());
    assert!(hits > 0 && hits < units, "{}", boxes["counts"]);
}

#[test]
fn a_renamed_stage_and_another_workflow_find_everything() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    desk.edit("quickstart.yaml", "captions-before", "captions-first");
    desk.edit("quickstart.yaml", "name: quickstart", "name: other");
    let plan = desk.sentinel(&["plan", "quickstart.yaml", "--fail-on-miss"], &QUICKSTART);
    assert_eq!(plan.code, 0, "{plan}");
}

#[test]
fn mistakes_are_told_all_at_once_where_they_stand() {
    let desk = Desk::new();
    desk.edit("quickstart.yaml", "kind: caption,", "kind: captoin,");
    desk.edit("quickstart.yaml", "beta: 0.2", "beta: much");
    let told = desk.run(&QUICKSTART);
    assert_eq!(told.code, 1, "{told}");
    for part in ["captoin", "did you mean `caption`", "much", "quickstart.yaml:"] {
        assert!(told.stderr.contains(part), "`{part}` is not told: {told}");
    }
    assert!(!desk.out().exists(), "nothing ran");
    let missing = desk.sentinel(&["run", "nowhere.yaml"], &[]);
    assert_eq!(missing.code, 1, "{missing}");
    let usage = desk.sentinel(&["rnu"], &[]);
    assert_eq!(usage.code, 1, "{usage}");
}
