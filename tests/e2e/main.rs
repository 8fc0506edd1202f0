//! The program as its users run it: the binary, on the quickstart with small parameters and on workflows of a newcomer's own.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

mod causes;
mod ci;
mod desk;
mod edit;
mod full;
mod matrix;
mod newcomer;
mod stop;
mod terminal;

use std::fs;

use serde_json::Value;

use desk::{Desk, QUICKSTART, Told};

#[test]
fn the_quickstart_runs_and_a_second_run_does_nothing() {
    let desk = Desk::new();
    let first = desk.run(&QUICKSTART);
    assert_eq!(first.code, 0, "{first}");
    for told in ["CHAIR_s", "object recall", "report", "bootstrap"] {
        assert!(first.stderr.contains(told), "`{told}` is not told: {first}");
    }
    assert_eq!(first.stdout, "", "data only on standard output");
    let results = desk.results();
    for file in ["run.json", "report.html", "train/adapter/adapter_model.safetensors", "bootstrap/pairs.jsonl"] {
        assert!(results.contains_key(file), "no `{file}` in {:?}", results.keys());
    }
    let page = fs::read_to_string(desk.out().join("quickstart/report.html")).unwrap();
    let outside = |attribute: &str| page.contains(&format!("{attribute}=\"http"));
    assert!(!outside("src") && !outside("href") && !page.contains("url(http"), "the report needs nothing from outside");

    let second = desk.run(&QUICKSTART);
    assert_eq!(second.code, 0, "{second}");
    assert!(!second.stderr.contains("note:"), "no detector worked: {second}");
    assert!(second.stderr.contains("nothing to do"), "{second}");
    assert_eq!(desk.results(), results);

    let plan = desk.sentinel(&["plan", "quickstart.yaml", "--fail-on-miss"], &QUICKSTART);
    assert_eq!(plan.code, 0, "{plan}");
    let forbidden = desk.sentinel(&["run", "quickstart.yaml", "--fail-on-miss"], &["--set", "scenes=13"]);
    assert_eq!(forbidden.code, 5, "{forbidden}");
}

#[test]
fn a_library_that_is_not_there_is_told_once_and_the_plan_comes_first() {
    let desk = Desk::new();
    let mut run = desk.command(&["run", "quickstart.yaml", "-v"], &QUICKSTART);
    let told = Told::from(run.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().unwrap());
    assert_eq!(told.code, 0, "{told}");
    let notes: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("note: detectors run on")).collect();
    assert_eq!(notes.len(), 1, "{told}");
    assert!(notes[0].contains("`ORT_DYLIB_PATH=/nowhere/libonnxruntime.so`: there is no such file"), "{told}");
    let of = |stage: &str| told.stderr.lines().find(|line| line.split_whitespace().next() == Some(stage)).unwrap();
    assert!(of("scenes").contains("runs 1 unit") && of("train").contains("after keep"), "{told}");
}

#[test]
fn results_can_be_looked_at() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    let pairs = desk.sentinel(&["cat", "quickstart.yaml", "bootstrap.pairs"], &QUICKSTART);
    let published = fs::read_to_string(desk.out().join("quickstart/bootstrap/pairs.jsonl")).unwrap();
    assert_eq!(pairs.stdout, published);
    let inside = desk.sentinel(&["cat", "quickstart.yaml", "bootstrap/objects"], &QUICKSTART);
    let mention: serde_json::Value = serde_json::from_str(inside.stdout.lines().next().unwrap()).unwrap();
    assert!(mention["name"].is_string(), "{inside}");
    let with_id = desk.sentinel(&["cat", "quickstart.yaml", "bootstrap/objects", "--with-id"], &QUICKSTART);
    let joined: serde_json::Value = serde_json::from_str(with_id.stdout.lines().next().unwrap()).unwrap();
    assert!(joined["record"].is_string() && joined["step"].is_u64() && joined["row"] == mention, "{with_id}");
    let log = desk.sentinel(&["cat", "quickstart.yaml", "train.log"], &QUICKSTART);
    assert!(log.code == 0 && log.stdout.contains("loss"), "an output of one text file is printed: {log}");
    let files = desk.sentinel(&["cat", "quickstart.yaml", "to-sentinel"], &QUICKSTART);
    assert!(files.stderr.contains("prints one of them") && files.stderr.len() < 1000, "{files}");
    let full = fs::File::create("/dev/full").unwrap();
    let lost = desk.command(&["cat", "quickstart.yaml", "bootstrap.pairs"], &QUICKSTART).stdout(full).output().unwrap();
    assert_eq!(lost.status.code(), Some(2), "{}", String::from_utf8_lossy(&lost.stderr));
    let unknown = desk.sentinel(&["cat", "quickstart.yaml", "bootstrp"], &QUICKSTART);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("did you mean `bootstrap`"), "{unknown}");
    let runs = desk.sentinel(&["runs"], &[]);
    assert!(runs.stdout.contains("quickstart"), "{runs}");
    let cache = desk.sentinel(&["cache", "verify"], &[]);
    assert_eq!(cache.code, 0, "{cache}");
    assert!(cache.stdout.contains("are what was written") && !cache.stdout.contains("damaged"), "{cache}");
    let list = desk.sentinel(&["cache", "list"], &[]);
    assert!(list.stdout.contains("quickstart train") && list.stdout.contains("MiB"), "{list}");
    let diff = desk.sentinel(&["cache", "diff", "quickstart"], &[]);
    assert!(diff.code == 0 && diff.stdout.contains("all results both have are the same"), "{diff}");
    let both = desk.sentinel(&["report", "quickstart", "quickstart"], &[]);
    assert!(both.code == 0 && both.stdout.contains("runs/compared/"), "{both}");
    desk.edit("quickstart.yaml", "kind: sample", "kind: sampel");
    let pairs = desk.sentinel(&["cat", "quickstart.yaml", "bootstrap.pairs"], &QUICKSTART);
    assert_eq!(pairs.stdout, published, "a mistake in the file keeps nothing of the last run back");
    fs::remove_file(desk.out().join("quickstart/report.html")).unwrap();
    let report = desk.sentinel(&["report", "quickstart.yaml"], &QUICKSTART);
    assert!(report.stdout.trim().ends_with("report.html"), "{report}");
    assert!(desk.out().join("quickstart/report.html").is_file());
}

#[test]
fn a_store_that_may_only_be_read_answers() {
    // Permissions do not bind root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    desk.permit("store", false);
    for words in [
        &["plan", "quickstart.yaml", "--fail-on-miss"][..],
        &["cat", "quickstart.yaml", "keep"],
        &["report", "quickstart.yaml"],
        &["run", "quickstart.yaml"],
    ] {
        let told = desk.sentinel(words, &QUICKSTART);
        assert_eq!(told.code, 0, "{words:?}: {told}");
    }
    let runs = desk.sentinel(&["runs"], &[]);
    assert!(runs.stdout.contains("quickstart"), "{runs}");
    let more = desk.run(&["--set", "scenes=13", "--set", "held-out=12"]);
    assert!(more.code == 2 && more.stderr.contains("may only be read"), "{more}");
    desk.permit("store", true);
}

#[test]
fn help_teaches() {
    let desk = Desk::new();
    let help = desk.sentinel(&["--help"], &[]);
    assert_eq!(help.code, 0);
    for word in [
        "new",
        "run",
        "plan",
        "why",
        "validate",
        "explain",
        "graph",
        "list",
        "schema",
        "cat",
        "runs",
        "report",
        "cache",
        "doctor",
        "Exit codes",
    ] {
        assert!(help.stdout.contains(word), "`{word}` is not in the help: {help}");
    }
    let help = desk.sentinel(&["run", "quickstart.yaml", "--help"], &[]);
    assert!(help.stdout.contains("how many pictures to learn from"), "{help}");
    let sample = desk.sentinel(&["list", "sample"], &[]);
    for line in [
        "  descriptions  descriptions\n",
        "  sentences  sentences\n",
        "(integer; by default 10)",
        "(text | tokens; by default text)",
    ] {
        assert!(sample.stdout.contains(line), "`{line}` is not told: {sample}");
    }
    let unknown = desk.sentinel(&["list", "smaple"], &[]);
    assert!(unknown.code == 1 && unknown.stderr.contains("did you mean `sample`"), "{unknown}");
    let unknown = desk.sentinel(&["schema", "nothing"], &[]);
    assert!(unknown.code == 1 && unknown.stderr.contains("`descriptions`, "), "{unknown}");
    let codes = desk.sentinel(&["explain"], &[]);
    let first = codes.stdout.split_whitespace().next().unwrap();
    let explained = desk.sentinel(&["explain", &first.to_lowercase()], &[]);
    assert!(explained.stdout.starts_with(first) && explained.stdout.lines().count() > 2, "{explained}");
    assert_eq!(desk.sentinel(&["explain", "E9999"], &[]).code, 1);
    let doctor = desk.sentinel(&["doctor"], &[]);
    assert!(doctor.stdout.contains("candle") && doctor.stdout.contains("wasmtime"), "{doctor}");
}

#[test]
fn a_record_is_followed_to_its_sources_and_computed_again() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    let results = desk.results();
    let lines = |file: &str| -> Vec<Value> {
        let text = String::from_utf8(results[file].clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let pairs = lines("bootstrap/pairs.jsonl");
    let record = pairs[0]["id"].as_str().unwrap();
    let traced = desk.sentinel(&["trace", "quickstart.yaml", record], &["--json"]);
    let way: Vec<Value> = traced.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |stage: &'static str| way.iter().filter(move |one| one["stage"] == stage);
    // What the steps gave is what was published of this record.
    let gave: Vec<&Value> =
        of("bootstrap/pairs").flat_map(|one| one["outputs"][0]["rows"].as_array().unwrap()).collect();
    assert_eq!(gave, pairs.iter().filter(|pair| pair["id"] == record).collect::<Vec<_>>());
    let steps: Vec<u64> = of("bootstrap/sample").map(|one| one["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..steps.len() as u64).collect::<Vec<_>>());
    // Each step says by what: here, the content of the extractor's file.
    let plugin = fs::read(desk::repository().join("plugins/dist/coco-objects.wasm")).unwrap();
    let digest = of("bootstrap/objects").next().unwrap()["ingredients"]["with"]["plugin"]["entry"]["path"].clone();
    assert_eq!(digest, blake3::hash(&plugin).to_hex().as_str());
    let told = desk.sentinel(&["trace", "quickstart.yaml", "train-00000z"], &[]);
    assert!(told.code == 1 && told.stderr.contains("did you mean `train-00000"), "{told}");
    let again = desk.sentinel(&["verify", "quickstart.yaml"], &[&QUICKSTART[..], &["--units", "2"]].concat());
    assert_eq!(again.code, 0, "{again}");
    assert!(again.stdout.lines().all(|line| line.ends_with(" the same")), "{again}");
}
