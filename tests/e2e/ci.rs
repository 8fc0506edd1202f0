//! What continuous integration and other programs read of a run.

use std::fs;

use serde_json::Value;

use crate::desk::{Desk, repository};

/// A run that makes pictures only, and is over in a moment.
const SMALL: [&str; 4] = ["--set", "scenes=3", "--until", "scenes"];

#[test]
fn a_run_leaves_what_a_job_shows() {
    let desk = Desk::new();
    let more: Vec<&str> = [&SMALL[..], &["--ci", "--junit", "junit.xml", "--summary", "summary.md"]].concat();
    let told = desk.run(&more);
    assert_eq!((told.code, told.stdout.as_str()), (0, ""), "{told}");
    let summary = fs::read_to_string(desk.path().join("summary.md")).unwrap();
    assert!(summary.starts_with("## quickstart: 1 stage in "), "{summary}");
    assert!(summary.contains("| scenes | 3 descriptions, "), "{summary}");
    let junit = fs::read_to_string(desk.path().join("junit.xml")).unwrap();
    let page = roxmltree::Document::parse(&junit).unwrap();
    let case = page.descendants().find(|node| node.has_tag_name("testcase")).unwrap();
    assert_eq!(case.attribute("name"), Some("scenes"));
    assert!(case.children().all(|child| !child.has_tag_name("failure")), "{junit}");
    // Again: nothing is done, and all of it passes; a job's summary is added to.
    assert_eq!(desk.run(&more).code, 0);
    let again = fs::read_to_string(desk.path().join("summary.md")).unwrap();
    assert!(again.starts_with(&summary) && again.len() > summary.len());
    assert!(
        fs::read_to_string(desk.path().join("junit.xml"))
            .unwrap()
            .contains("tests=\"1\" skipped=\"0\" errors=\"0\" failures=\"0\"")
    );
}

#[test]
fn failures_and_mistakes_are_annotations() {
    let desk = Desk::new();
    let more = ["--set", "scenes=3", "--fail-on-miss", "--ci", "--junit", "junit.xml"];
    let mut command = desk.command(&["run", "quickstart.yaml"], &more);
    let output = command.env("GITHUB_STEP_SUMMARY", desk.path().join("job.md")).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(stdout.starts_with("::error title=stage ") && stdout.contains("would run"), "{stdout}");
    assert!(fs::read_to_string(desk.path().join("job.md")).unwrap().starts_with("## quickstart: failed\n"));
    let junit = fs::read_to_string(desk.path().join("junit.xml")).unwrap();
    let page = roxmltree::Document::parse(&junit).unwrap();
    let count = |tag: &str| page.descendants().filter(|node| node.has_tag_name(tag)).count();
    assert!(count("failure") == 1 && count("skipped") > 5, "{junit}");
    desk.edit("quickstart.yaml", "max_steps:", "max_stesp:");
    let told = desk.run(&["--ci"]);
    assert_eq!(told.code, 1);
    assert!(told.stdout.starts_with("::error file=quickstart.yaml,line="), "{told}");
}

#[test]
fn events_are_lines_of_json() {
    let desk = Desk::new();
    let told = desk.run(&[&SMALL[..], &["--progress", "json"]].concat());
    let events: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("started", "finished"), "{told}");
    let finished = events.iter().find(|event| event["event"] == "stage-finished").unwrap();
    assert_eq!((&finished["stage"], &finished["counts"]["computed"]), (&"scenes".into(), &1.into()));
    assert!(events.iter().all(|event| event["at_ms"].is_u64()));
    let told = desk.run(&["--set", "scenes=4", "--until", "keep", "--progress", "json"]);
    let events: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str, stage: &str| {
        let named = |event: &&Value| event["event"] == name && event["stage"] == stage;
        events.iter().find(named).unwrap_or_else(|| panic!("no `{name}` of `{stage}`: {told}"))
    };
    for (name, stage) in [("records", "bootstrap"), ("step", "bootstrap/sample"), ("records", "keep")] {
        let event = of(name, stage);
        assert!(event["per_second"].is_number() && event.get("left_ms").is_some(), "{event}");
        assert!(event["memory_bytes"].is_u64() || !cfg!(target_os = "linux"), "{event}");
    }
    assert!(of("records", "bootstrap")["in_flight"].is_u64() && of("step", "bootstrap/sample")["left_ms"].is_null());
    let told = desk.run(&[&SMALL[..], &["--progress", "none"]].concat());
    assert_eq!((told.code, told.stdout.as_str(), told.stderr.as_str()), (0, "", ""));
}

#[test]
fn a_pilot_ends_with_what_the_whole_would_take() {
    let desk = Desk::new();
    let told = desk.run(&["--set", "scenes=6", "--until", "keep", "--limit", "2"]);
    assert_eq!(told.code, 0, "{told}");
    for line in
        ["a pilot of 2 of 6 records; for the rest, at its speed:", "bootstrap/sample ", "together ", "assumed: "]
    {
        assert!(told.stderr.contains(line), "no `{line}`: {told}");
    }
    let told = desk.run(&["--set", "scenes=6", "--until", "keep"]);
    assert!(told.code == 0 && !told.stderr.contains("a pilot"), "{told}");
}

#[test]
fn the_tests_of_a_workflow_are_run() {
    let desk = Desk::new();
    let example = repository().join("examples/own-plugin/workflow.yaml");
    let told = desk.sentinel(&["test", example.to_str().unwrap()], &["--junit", "junit.xml"]);
    assert_eq!((told.code, told.stdout.lines().last()), (0, Some("1 test, 0 failed")), "{told}");
    assert!(fs::read_to_string(desk.path().join("junit.xml")).unwrap().contains("tests=\"1\""));
    let text = fs::read_to_string(&example).unwrap().replace("[{reason: hedges}]", "[{reason: hedging}]");
    let folder = example.parent().unwrap().display().to_string();
    let root = repository().display().to_string();
    let text = text.replace("path: no-hedges", &format!("path: {folder}/no-hedges")).replace("../..", &root);
    let text = text.replace("../tiny-world", &format!("{root}/examples/tiny-world"));
    desk.write("own.yaml", &text.replace("file: pairs", &format!("file: {folder}/pairs")));
    let told = desk.sentinel(&["test", "own.yaml"], &["--root", &root]);
    assert_eq!(told.code, 2, "{told}");
    assert!(
        told.stdout.contains("own.yaml:18: row 1 of `dropped`: `reason` is \"hedges\", expected \"hedging\""),
        "{told}"
    );
    let told = desk.sentinel(&["test", "quickstart.yaml"], &["--root", &root]);
    assert!(told.code == 1 && told.stderr.contains("has no tests"), "{told}");
}

#[test]
fn a_locked_run_refuses_what_differs() {
    let desk = Desk::new();
    let root = repository().display().to_string();
    let lock =
        |more: &[&str]| desk.sentinel(&["lock", "quickstart.yaml"], &[&["--root", root.as_str()], more].concat());
    assert_eq!(desk.run(&[&SMALL[..], &["--locked"]].concat()).code, 1, "there is no lock yet");
    let told = lock(&["--set", "scenes=3"]);
    assert_eq!((told.code, told.stdout.as_str()), (0, "sentinel.lock\n"), "{told}");
    assert_eq!(desk.run(&[&SMALL[..], &["--locked"]].concat()).code, 0);
    assert_eq!(lock(&["--set", "scenes=3", "--check"]).code, 0);
    let told = desk.run(&["--until", "scenes", "--set", "scenes=4", "--locked"]);
    assert!(told.code == 1 && told.stderr.contains("`with.count` was 3 and is 4 (of `scenes`)"), "{told}");
    assert!(!desk.out().join("quickstart/train").exists());
}
