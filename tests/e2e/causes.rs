//! Why something has to be computed, as users meet it: files, models and plugins that change under a workflow. What only a change
//! of sentinel itself or of its store can cause stands in `runner/core/tests/engine/reasons.rs`.

use std::fs;
use std::path::Path;

use crate::desk::{Desk, repository};

const FLOW: &str = "version: 1
name: causes
seed: 1
params: {temperature: {type: number, default: 0.7}}
models:
  base: {kind: vlm, path: model}
  yolo: {kind: detector, family: yolo, path: yolo.onnx, labels: labels.txt}
plugins:
  words: {path: words.wasm}
stages:
  photos: {kind: read, with: {file: list.jsonl}}
  speak:
    kind: sample
    needs: {descriptions: photos}
    with: {model: base, n: 2, temperature: \"${{ params.temperature }}\"}
  mentions: {kind: extract, needs: {sentences: speak}, with: {plugin: words}}
  boxes: {kind: detect, needs: {descriptions: photos, mentions: mentions}, with: {detectors: [yolo]}}
";

const NOTHING: &str = "nothing has to be computed: all of it is in the store";

/// What is done to the files of a workflow that has run.
enum Change {
    /// A text in the workflow becomes another.
    Edit(&'static str, &'static str),
    /// A file gets more at its end.
    Append(&'static str, &'static [u8]),
    /// A byte at the end of a file becomes another.
    Flip(&'static str),
    /// A file becomes a copy of another.
    Replace(&'static str, &'static str),
}

use Change::{Append, Edit, Flip, Replace};

/// What is changed, the stage that is asked about, whether what comes before it runs first, and the answer. `…` stands for the short
/// digests of contents.
const CASES: &[(Change, &str, bool, &[&str])] = &[
    (Edit("n: 2", "n: 3"), "speak", false, &["`with.n` was 2 and is 3"]),
    (Edit("default: 0.7", "default: 1.0"), "speak", false, &["`with.temperature` was 0.7 (the default) and is 1.0"]),
    (Edit("n: 2,", "n: 2, max_tokens: 9,"), "speak", false, &["`with.max_tokens` was 512 (the default) and is 9"]),
    (Edit("seed: 1", "seed: 2"), "speak", false, &["`seed` was 1 and is 2"]),
    (Edit("n: 2,", "n: 2, stream: other,"), "speak", false, &["`stream` was \"sample\" and is \"other\""]),
    (
        Flip("model/model.safetensors"),
        "speak",
        false,
        &["`model.safetensors` of `with.model.entry.path` has other content: …"],
    ),
    (
        Append("model/config.json", b" "),
        "speak",
        false,
        &["`config.json` of `with.model.entry.path` has other content: …"],
    ),
    (Append("words.wasm", b"\0\x02\x01x"), "mentions", false, &["`with.plugin.entry.path` has other content: …"]),
    (Flip("yolo.onnx"), "boxes", false, &["`with.detectors[0].entry.path` has other content: …"]),
    (
        Edit("labels.txt}", "labels.txt, confidence: 0.9}"),
        "boxes",
        false,
        &["`with.detectors[0].entry.confidence` was …"],
    ),
    (Replace("photos/cat.png", "photos/dog.png"), "photos", false, &["`cat.png` has other content: …"]),
    (
        Replace("photos/cat.png", "photos/dog.png"),
        "speak",
        true,
        &["`descriptions` came in with other content for 1 record: `cat`"],
    ),
    // A record that says the same in other words ends it early.
    (Append("list.jsonl", b"\n\n"), "photos", false, &["`with.file` has other content: …"]),
    (Append("list.jsonl", b"\n\n"), "speak", true, &[NOTHING]),
    // What decides nothing.
    (Edit("seed: 1", "seed: 1 # one"), "speak", false, &[NOTHING]),
    (Edit("speak", "say"), "say", false, &[NOTHING]),
    (Edit("with: {model: base", "exec: {batch: 1}\n    with: {model: base"), "speak", false, &[NOTHING]),
    (Edit("name: causes", "name: other"), "boxes", false, &[NOTHING]),
    (
        Append("list.jsonl", b"{\"image_id\": \"cup\", \"image_path\": \"photos/cup.png\"}\n"),
        "speak",
        true,
        &["1 record is new: `cup`"],
    ),
];

#[test]
fn every_cause_is_told() {
    let desk = Desk::new();
    let run = |more: &[&str]| {
        let run = desk.sentinel(&["run", "flow.yaml"], more);
        assert_eq!(run.code, 0, "{run}");
    };
    let mut others = Vec::new();
    for (change, stage, runs_first, expected) in CASES {
        // What the last run had is what is compared with.
        lay_out(&desk);
        run(&[]);
        apply(&desk, change);
        if *runs_first {
            run(&["--until", "photos"]);
        }
        let told = desk.sentinel(&["why", "flow.yaml", stage], &[]);
        let lines: Vec<&str> = told.stdout.lines().collect();
        let is_as_expected = |(line, expected): (&&str, &&str)| match expected.strip_suffix('…') {
            Some(start) => line.starts_with(start),
            None => line == expected,
        };
        let all = lines.len() == expected.len() && lines.iter().zip(*expected).all(is_as_expected);
        if !all || told.code != 0 {
            others.push(format!("expected {expected:#?} of `{stage}`, got {told}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

/// Writes everything the workflow names as it is before any change.
fn lay_out(desk: &Desk) {
    let assets = repository().join("examples/tiny-world");
    for folder in ["model", "photos"] {
        fs::create_dir_all(desk.path().join(folder)).unwrap();
    }
    for entry in fs::read_dir(assets.join("model")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), desk.path().join("model").join(entry.file_name())).unwrap();
    }
    for name in ["cat", "dog", "cup"] {
        let name = format!("{name}.png");
        fs::copy(assets.join("sprites").join(&name), desk.path().join("photos").join(name)).unwrap();
    }
    for name in ["yolo.onnx", "labels.txt"] {
        fs::copy(assets.join(name), desk.path().join(name)).unwrap();
    }
    fs::copy(repository().join("plugins/dist/coco-objects.wasm"), desk.path().join("words.wasm")).unwrap();
    let record = |name: &str| format!("{{\"image_id\": \"{name}\", \"image_path\": \"photos/{name}.png\"}}\n");
    desk.write("list.jsonl", &(record("cat") + &record("dog")));
    desk.write("flow.yaml", FLOW);
}

fn apply(desk: &Desk, change: &Change) {
    let change_bytes = |file: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(file).unwrap();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
    };
    match change {
        Edit(from, to) => desk.edit("flow.yaml", from, to),
        Append(file, more) => change_bytes(&desk.path().join(file), &|bytes| bytes.extend_from_slice(more)),
        Flip(file) => change_bytes(&desk.path().join(file), &|bytes| *bytes.last_mut().unwrap() ^= 1),
        Replace(file, by) => {
            fs::copy(desk.path().join(by), desk.path().join(file)).unwrap();
        }
    }
}
