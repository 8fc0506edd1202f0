//! All mistakes of a workflow are told in one round, each at its place: none hides behind another, and what only follows from one
//! is not told.

use std::path::Path;
use std::sync::Arc;

use sentinel_core::diag::Source;
use sentinel_core::stage::Shape;
use sentinel_core::workflow::{Settings, load_text};
use sentinel_domain::fakes::{FakeEngines, FakeFilter, NoEngines};
use sentinel_domain::ports::{Engines, FilterScope, Kept};
use serde_json::{Map, Value, json};

use crate::bench::{Manifests, stage, word_engines};

/// Returns every mistake as `code line:column message`, in the order of the file.
fn told(text: &str) -> Vec<String> {
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let registry = sentinel_stages::registry(&engines, &Manifests);
    let source = Source::new("flow.yaml", text);
    let found = load_text(source, Path::new("/w/workflows"), &registry, &Settings::default()).err();
    let found = found.map(|found| found.list).unwrap_or_default();
    let line = |one: &sentinel_core::diag::Diagnostic| {
        let (line, column) = one.source.line_column(one.primary.span.start);
        format!("{} {line}:{column} {}", one.code, one.message)
    };
    found.iter().map(line).collect()
}

/// More than thirty mistakes of every sort.
const WRONG: &str = r#"version: 1
sede: 3
params: {model: {type: path, default: ../model}}
models:
  base: {kind: vlm, path: ../../elsewhere}
  yolo: {kind: detector, path: yolo.onnx}
plugins: {objects: {path: coco-objects.wasm}, sieve: {path: pair-filter.wasm}}
stages:
  scenes: {kind: scenes, with: {count: "${{ params.m }}", split: trian}}
  grow:
    loop:
      over: scenes
      max_steps: 0
      stages:
        sample: {kind: sample, needs: {description: loop.state}, with: {model: bse, temperature: hot}}
        objects: {kind: extract, needs: {sentences: sample}, with: {plugin: objcts}}
        boxes: {kind: detect, needs: {descriptions: scenes.annotation, mentions: sample}, with: {detectors: [yolo]}}
        taught: {kind: train, with: {loss: c-dop}}
      carry: sampel
      collect: {sentences: sample}
  keep: {kind: filter, needs: {records: grow.sentence}, with: {plugin: sieve, config: {max_per_image: 0}}}
  train: {kind: train, needs: {pairs: scenes, dialogue: keep}, with: {model: base, loss: c-dpo, betas: [0.9, 1], foo: 1}}
  after: {kind: caption, needs: {descriptions: scenes, adapter: train.adaptor}, with: {model: base, n: 3}, exec: {batch: 0}}
  both: {kind: evaluate, loop: {over: scenes}, needs: {captions: after, annotations: nothing}}
report: {compare: [before, after]}
"#;

/// The same, with nothing mended but what was told.
const MENDED: &str = r#"version: 1
seed: 3
params: {model: {type: path, default: ../model}}
models:
  base: {kind: vlm, path: ../elsewhere}
  yolo: {kind: detector, path: yolo.onnx, family: yolo}
plugins: {objects: {path: coco-objects.wasm}, sieve: {path: pair-filter.wasm}}
stages:
  scenes: {kind: scenes, with: {count: 1, split: train}}
  grow:
    loop:
      over: scenes
      max_steps: 1
      stages:
        sample: {kind: sample, needs: {descriptions: loop.state}, with: {model: base, temperature: 1}}
        objects: {kind: extract, needs: {sentences: sample}, with: {plugin: objects}}
        boxes: {kind: detect, needs: {descriptions: scenes.descriptions, mentions: objects}, with: {detectors: [yolo]}}
        same: {kind: extend, needs: {descriptions: loop.state, sentences: sample, verdicts: verdicts}}
        verdicts: {kind: judge, needs: {descriptions: loop.state, mentions: objects, detections: boxes}}
        pairs: {kind: pair, needs: {descriptions: loop.state, sentences: sample, verdicts: verdicts}}
      carry: same
      collect: {sentences: sample, pairs: pairs}
  keep: {kind: filter, needs: {records: grow.pairs}, with: {plugin: sieve, config: {max_per_image: 1}}}
  train: {kind: train, needs: {pairs: keep}, with: {model: base, loss: c-dpo, betas: [0.9, 0.99]}}
  after: {kind: caption, needs: {descriptions: scenes, adapter: train.adapter}, with: {model: base}, exec: {batch: 1}}
  both: {kind: evaluate, needs: {captions: after, annotations: scenes.annotations}}
report: {compare: [both, after]}
"#;

#[test]
fn mistakes_of_every_sort_are_told_in_one_round() {
    let expected = [
        "E0201 2:1 unknown key `sede` in a workflow",
        "E0405 5:27 `/elsewhere` lies outside `/w`",
        "E0202 6:3 model kind `detector` needs `family`",
        "E0302 9:45 there is no parameter `m`",
        "E0204 9:66 expected one of `base`, `detectors-a`, `detectors-b`, `detectors-test`, `held-out`, `pilot`, `train`, found `trian`",
        "E0205 13:18 `0` is out of range: it must be at least 1",
        "E0504 15:9 stage `sample` needs its input `descriptions` connected",
        "E0503 15:40 stage kind `sample` has no input `description`",
        "E0403 15:80 nothing in `models` is called `bse`",
        "E0203 15:98 expected a number, found `hot`",
        "E0403 16:77 nothing in `plugins` is called `objcts`",
        "E0502 17:53 stage `scenes` has no output `annotation`",
        "E0505 17:82 input `mentions` of `detect` takes `mentions`, and this gives `sentences`",
        "E0507 18:9 `train` works on all records at once and cannot stand in a loop",
        "E0204 18:44 expected one of `c-dpo`, `next-token`, found `c-dop`",
        "E0501 19:14 there is no stage `sampel`",
        "E0502 21:41 stage `grow` has no output `sentence`",
        "E0205 21:103 `0` is out of range: it must be at least 1",
        "E0505 22:39 input `pairs` of `train` takes `pairs`, and this gives `descriptions`",
        "E0503 22:47 stage kind `train` has no input `dialogue`",
        "E0205 22:110 `1` is out of range: it must be less than 1",
        "E0201 22:114 unknown key `foo` for stage kind `train`",
        "E0502 23:65 stage `train` has no output `adaptor`",
        "E0201 23:101 unknown key `n` for stage kind `caption`",
        "E0205 23:122 `0` is out of range: it must be at least 1",
        "E0210 24:26 stage `both` has both `kind` and `loop`",
        "E0202 24:33 the loop of stage `both` needs `max_steps`",
        "E0202 24:33 the loop of stage `both` needs `carry`",
        "E0202 24:33 the loop of stage `both` needs `collect`",
        "E0202 24:33 the loop of stage `both` needs `stages`",
        "E0501 24:86 there is no stage `nothing`",
        "E0501 25:20 there is no stage `before`",
    ];
    assert_eq!(told(WRONG), expected);
    assert_eq!(told(MENDED), [""; 0], "a second round");
}

#[test]
fn edges_are_checked_as_far_as_a_wrong_block_tells_its_slots() {
    let table = [
        // What is left of the block says which slots there are.
        (
            "{kind: read, with: {file: l, format: pairs, foo: 1}}",
            "{kind: extract, needs: {sentences: a}, with: {plugin: p}}",
            vec![
                "E0201 3:50 unknown key `foo` for stage kind `read`",
                "E0505 4:41 input `sentences` of `extract` takes `sentences`, and this gives `pairs`",
                "E0403 4:60 nothing in `plugins` is called `p`",
            ],
        ),
        (
            "{kind: scenes, with: {split: train}}",
            "{kind: train, needs: {dialogues: a}, with: {loss: c-dpo, foo: 1}}",
            vec![
                "E0202 3:21 stage kind `scenes` needs `count`",
                "E0504 4:3 stage `b` needs its input `pairs` connected",
                "E0503 4:28 stage kind `train` has no input `dialogues`",
                "E0201 4:63 unknown key `foo` for stage kind `train`",
            ],
        ),
        // Where it does not, whatever may be meant is taken, and what cannot be meant is told.
        (
            "{kind: read, with: {file: l, format: piars}}",
            "{kind: convert, needs: {pairs: a, descriptions: a.descriptions}, with: {formt: sentinel}}",
            vec![
                "E0204 3:43 expected one of `images`, `pairs`, found `piars`",
                "E0201 4:78 unknown key `formt` for stage kind `convert`",
            ],
        ),
        (
            "{kind: read, with: {file: l, foo: 1}}",
            "{kind: evaluate, needs: {captions: a, annotations: a.annotation}}",
            vec![
                "E0201 3:35 unknown key `foo` for stage kind `read`",
                "E0502 4:57 stage `a` has no output `annotation`",
            ],
        ),
        (
            "{kind: scenes, with: {count: 0, split: train}}",
            "{kind: train, needs: {dialogues: a.dialogues, model: a}, with: {loss: next-token}}",
            vec![
                "E0205 3:35 `0` is out of range: it must be at least 1",
                "E0505 4:59 input `model` of `train` takes `checkpoint`, and this gives `descriptions`",
                "E0202 4:63 stage kind `train` needs `phases`",
            ],
        ),
    ];
    for (a, b, expected) in table {
        assert_eq!(told(&format!("version: 1\nstages:\n  a: {a}\n  b: {b}\n")), expected);
    }
}

#[test]
fn a_stage_has_one_of_the_shapes_its_kind_may_have() {
    let talks = json!({ "count": 1, "split": "train", "dialogues": { "hallucination": 0.1 } });
    let phases = json!([{ "steps": 1, "learning_rate": 0.1, "mixture": { "describe": 1.0 } }]);
    let blocks = [
        ("caption", vec![json!({}), json!({ "model": "base" }), json!({ "model": "served" })]),
        ("convert", vec![json!({ "plugin": "writer" }), json!({ "format": "sentinel" })]),
        ("detect", vec![json!({ "detectors": ["yolo"] })]),
        ("evaluate", vec![json!({})]),
        ("extend", vec![json!({})]),
        ("extract", vec![json!({ "plugin": "objects" })]),
        ("filter", vec![json!({ "plugin": "sieve" })]),
        ("judge", vec![json!({})]),
        ("pair", vec![json!({})]),
        (
            "read",
            vec![
                json!({ "file": "/a" }),
                json!({ "folder": "/a", "annotations": "/b" }),
                json!({ "file": "/a", "format": "pairs" }),
            ],
        ),
        ("sample", vec![json!({}), json!({ "model": "base" }), json!({ "model": "served" })]),
        ("scenes", vec![json!({ "count": 1, "split": "train" }), talks]),
        (
            "train",
            vec![
                json!({ "loss": "c-dpo" }),
                json!({ "loss": "c-dpo", "model": "base" }),
                json!({ "loss": "next-token", "phases": phases }),
                json!({ "loss": "next-token", "phases": phases, "model": "base" }),
            ],
        ),
    ];
    assert!(blocks.iter().map(|(name, _)| *name).eq(sentinel_stages::STAGES.iter().map(|entry| entry.name)));
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let registry = sentinel_stages::registry(&engines, &Manifests);
    for (name, blocks) in blocks {
        let kind = registry.stage(name).unwrap();
        let mut possible = kind.shapes(&Value::Null);
        for (with, scope) in blocks.iter().flat_map(|with| [(with, FilterScope::Unit), (with, FilterScope::Whole)]) {
            let filter = FakeFilter(Box::new(|_| Kept::Yes));
            let engines = FakeEngines { filter: Some((scope, Arc::new(filter))), ..word_engines(|_| Vec::new()) };
            let shape = Shape::of(stage(engines, name, with.clone()).as_ref());
            for left in parts(with) {
                assert!(kind.shapes(&left).contains(&shape), "{name}: {left} is left of {with}");
            }
            possible.retain(|other| *other != shape);
        }
        assert!(possible.is_empty(), "no `{name}` is {possible:?}");
    }
}

/// Returns what may be left of a block, whichever of its fields are wrong.
fn parts(with: &Value) -> Vec<Value> {
    let fields = with.as_object().unwrap();
    let mut parts = vec![Map::new()];
    for (name, value) in fields {
        let with_it =
            |part: &Map<String, Value>| part.clone().into_iter().chain([(name.clone(), value.clone())]).collect();
        let more: Vec<_> = parts.iter().map(with_it).collect();
        parts.extend(more);
    }
    parts.into_iter().map(Value::Object).collect()
}
