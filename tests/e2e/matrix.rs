//! A workflow with a `matrix:`: every combination is a run of its own.

use std::fs;

use serde_json::Value;

use crate::desk::{Desk, Told};

const GRID: &str = "version: 1
name: grid
params: {n: {type: int}}
matrix: {n: [3, 2]}
stages:
  scenes: {kind: scenes, with: {count: \"${{ params.n }}\", split: train}}
";

fn grid(desk: &Desk, command: &str, more: &[&str]) -> Told {
    desk.sentinel(&[command, "grid.yaml"], more)
}

#[test]
fn every_combination_is_run_and_kept() {
    let desk = Desk::new();
    desk.write("grid.yaml", GRID);
    let plan = grid(&desk, "plan", &[]);
    let at = |name: &str| plan.stdout.find(name).unwrap_or_else(|| panic!("`{name}` is not planned: {plan}"));
    assert!(at("grid@n=3") < at("grid@n=2") && plan.stdout.matches("runs 1 unit").count() == 2, "{plan}");

    let first = grid(&desk, "run", &["--progress", "json"]);
    assert_eq!(first.code, 0, "{first}");
    let events: Vec<Value> = first.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let finished = events.iter().filter(|event| event["event"] == "finished").map(|event| &event["workflow"]);
    assert_eq!(finished.collect::<Vec<_>>(), ["grid@n=3", "grid@n=2"]);
    for n in [3, 2] {
        let rows = fs::read_to_string(desk.out().join(format!("grid@n={n}/scenes/descriptions.jsonl"))).unwrap();
        assert_eq!(rows.lines().count(), n);
        let told = grid(&desk, "cat", &["scenes", "--set", &format!("n={n}")]);
        assert_eq!((told.code, &told.stdout), (0, &rows), "{told}");
    }
    let told = grid(&desk, "cat", &["scenes"]);
    assert!(told.code == 1 && told.stderr.contains("E0310") && told.stderr.contains("--set n=3"), "{told}");
    assert_eq!(grid(&desk, "plan", &["--fail-on-miss"]).code, 0);
    let again = grid(&desk, "run", &[]);
    assert!(again.code == 0 && again.stderr.matches("nothing to do").count() == 2, "{again}");
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_being_run() {
    let desk = Desk::new();
    desk.write("grid.yaml", GRID);
    assert_eq!(grid(&desk, "run", &["--set", "n=2"]).code, 0);
    let told = grid(&desk, "run", &["--fail-on-miss", "--junit", "junit.xml"]);
    assert_eq!(told.code, 5, "{told}");
    let junit = fs::read_to_string(desk.path().join("junit.xml")).unwrap();
    let page = roxmltree::Document::parse(&junit).unwrap();
    let suites = page.descendants().filter(|node| node.has_tag_name("testsuite"));
    let failed = |suite: roxmltree::Node<'_, '_>| suite.descendants().any(|node| node.has_tag_name("failure"));
    let suites: Vec<_> = suites.map(|suite| (suite.attribute("name").unwrap(), failed(suite))).collect();
    assert_eq!(suites, [("grid@n=3", true), ("grid@n=2", false)]);
}
