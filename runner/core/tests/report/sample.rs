//! A model as a whole run of the quickstart would give it. What is said is made from what is in the pictures, so that the report
//! can be judged by eye; the numbers are made up.

use std::collections::BTreeMap;

use sentinel_core::artifact::Form;
use sentinel_core::digest::Digest;
use sentinel_core::report::model::{Example, LeftOut, ReportModel, Shown};
use sentinel_core::report::record::{
    Counts, InputRecord, OutputRecord, Quarantined, RECORD_VERSION, RunRecord, StageRecord, When,
};
use serde::Deserialize;
use serde_json::json;

use crate::{root, widgets};

/// A scene and what is in it: name, left, top, width, height.
#[derive(Deserialize)]
pub(crate) struct Scene {
    pub(crate) id: String,
    pub(crate) objects: Vec<(String, f32, f32, f32, f32)>,
}

pub(crate) fn scenes() -> Vec<Scene> {
    serde_json::from_slice(&std::fs::read(root().join("tests/fixtures/report/scenes.json")).unwrap()).unwrap()
}

pub(crate) fn picture(id: &str) -> Vec<u8> {
    std::fs::read(root().join(format!("tests/fixtures/report/{id}.png"))).unwrap()
}

/// Returns the pictures of all scenes by digest.
pub(crate) fn pictures() -> BTreeMap<Digest, Vec<u8>> {
    let contents = scenes().into_iter().map(|scene| picture(&scene.id));
    contents.map(|bytes| (Digest::of(&bytes), bytes)).collect()
}

/// `from.output → to.slot`, of a kind.
const EDGES: &[(&str, &str, &str, &str, &str)] = &[
    ("scenes", "descriptions", "bootstrap", "over", "descriptions"),
    ("bootstrap", "state", "bootstrap/sample", "descriptions", "descriptions"),
    ("bootstrap/sample", "sentences", "bootstrap/objects", "sentences", "sentences"),
    ("bootstrap", "state", "bootstrap/boxes", "descriptions", "descriptions"),
    ("bootstrap/objects", "mentions", "bootstrap/boxes", "mentions", "mentions"),
    ("bootstrap", "state", "bootstrap/verdicts", "descriptions", "descriptions"),
    ("bootstrap/objects", "mentions", "bootstrap/verdicts", "mentions", "mentions"),
    ("bootstrap/boxes", "detections", "bootstrap/verdicts", "detections", "detections"),
    ("bootstrap/sample", "sentences", "bootstrap/verdicts", "sentences", "sentences"),
    ("bootstrap", "state", "bootstrap/pairs", "descriptions", "descriptions"),
    ("bootstrap/sample", "sentences", "bootstrap/pairs", "sentences", "sentences"),
    ("bootstrap/verdicts", "verdicts", "bootstrap/pairs", "verdicts", "verdicts"),
    ("bootstrap", "state", "bootstrap/extend", "descriptions", "descriptions"),
    ("bootstrap/sample", "sentences", "bootstrap/extend", "sentences", "sentences"),
    ("bootstrap/verdicts", "verdicts", "bootstrap/extend", "verdicts", "verdicts"),
    ("bootstrap/pairs", "pairs", "bootstrap/extend", "pairs", "pairs"),
    ("bootstrap/extend", "descriptions", "bootstrap", "carry", "descriptions"),
    ("bootstrap", "pairs", "keep", "records", "pairs"),
    ("keep", "records", "to-hadpo", "pairs", "pairs"),
    ("keep", "records", "to-llama-factory", "pairs", "pairs"),
    ("keep", "records", "to-sentinel", "pairs", "pairs"),
    ("bootstrap", "descriptions", "to-sentinel", "descriptions", "descriptions"),
    ("bootstrap", "detections", "to-sentinel", "detections", "detections"),
    ("keep", "records", "train", "pairs", "pairs"),
    ("held-out", "descriptions", "captions-before", "descriptions", "descriptions"),
    ("held-out", "descriptions", "captions-after", "descriptions", "descriptions"),
    ("train", "adapter", "captions-after", "adapter", "adapter"),
    ("captions-before", "captions", "before", "captions", "captions"),
    ("held-out", "annotations", "before", "annotations", "annotations"),
    ("captions-after", "captions", "after", "captions", "captions"),
    ("held-out", "annotations", "after", "annotations", "annotations"),
];

/// A stage, its kind, its outputs with their form and rows, units computed and found, time.
type Row = (&'static str, &'static str, &'static [(&'static str, Form, u64)], u64, u64, u64);

const STAGES: &[Row] = &[
    ("scenes", "scenes", &[("descriptions", Form::Rows, 300), ("annotations", Form::Files, 1)], 0, 1, 12),
    (
        "bootstrap",
        "loop",
        &[
            ("pairs", Form::Rows, 1203),
            ("verdicts", Form::Rows, 9120),
            ("sentences", Form::Rows, 18100),
            ("descriptions", Form::Rows, 299),
        ],
        300,
        0,
        101_900,
    ),
    ("bootstrap/sample", "sample", &[("sentences", Form::Rows, 18100)], 1320, 490, 61_200),
    ("bootstrap/objects", "extract", &[("mentions", Form::Rows, 31_027)], 1320, 490, 2_310),
    ("bootstrap/boxes", "detect", &[("detections", Form::Rows, 3620)], 1320, 490, 30_400),
    ("bootstrap/verdicts", "judge", &[("verdicts", Form::Rows, 9120)], 1320, 490, 410),
    ("bootstrap/pairs", "pair", &[("pairs", Form::Rows, 1203)], 1320, 490, 350),
    ("bootstrap/extend", "extend", &[("descriptions", Form::Rows, 1809)], 1320, 490, 300),
    ("keep", "filter", &[("records", Form::Rows, 812), ("dropped", Form::Rows, 391)], 299, 0, 640),
    ("to-hadpo", "convert", &[("dataset", Form::Files, 2)], 1, 0, 120),
    ("to-llama-factory", "convert", &[("dataset", Form::Files, 2)], 1, 0, 130),
    ("to-sentinel", "convert", &[("dataset", Form::Files, 2)], 1, 0, 150),
    ("train", "train", &[("adapter", Form::Files, 2), ("log", Form::Files, 1)], 1, 0, 48_200),
    ("held-out", "scenes", &[("descriptions", Form::Rows, 300), ("annotations", Form::Files, 1)], 0, 1, 11),
    ("captions-before", "caption", &[("captions", Form::Rows, 300)], 0, 300, 90),
    ("captions-after", "caption", &[("captions", Form::Rows, 300)], 300, 0, 21_400),
    ("before", "evaluate", &[("measurements", Form::Rows, 7)], 0, 1, 20),
    ("after", "evaluate", &[("measurements", Form::Rows, 7)], 1, 0, 80),
];

/// Returns the whole model.
pub(crate) fn model() -> ReportModel {
    let edges = EDGES.iter().map(|(from, output, to, slot, kind)| {
        let edge = json!({ "from": from, "output": output, "to": to, "slot": slot, "kind": kind });
        serde_json::from_value(edge).unwrap()
    });
    let scenes = scenes();
    let shown = vec![
        Shown { stage: "bootstrap/verdicts".to_owned(), widgets: widgets::judged(&scenes) },
        Shown { stage: "bootstrap/pairs".to_owned(), widgets: widgets::paired(&scenes) },
        Shown { stage: "train".to_owned(), widgets: widgets::curves() },
        Shown { stage: "captions-before".to_owned(), widgets: widgets::captions(&scenes, true) },
        Shown { stage: "captions-after".to_owned(), widgets: widgets::captions(&scenes, false) },
        Shown { stage: "before".to_owned(), widgets: widgets::measured(&scenes, true) },
        Shown { stage: "after".to_owned(), widgets: widgets::measured(&scenes, false) },
    ];
    let compare = vec!["before".to_owned(), "after".to_owned()];
    ReportModel { run: run(), edges: edges.collect(), shown, left_out: left_out(), compare }
}

fn left_out() -> Vec<LeftOut> {
    let one = |stage: &str, reason: &str, count, set_aside, examples: &[(&str, u32, &str)]| LeftOut {
        stage: stage.to_owned(),
        reason: reason.to_owned(),
        count,
        set_aside,
        examples: examples
            .iter()
            .map(|(record, step, text)| Example { record: (*record).to_owned(), step: *step, text: (*text).to_owned() })
            .collect(),
    };
    let broken = "`train-000117.png`: unexpected end of file after 8192 of 40161 bytes";
    let (first, second) = ("chosen: A bowl is on the left. · rejected: A fork is on the left.", "chosen: A cup.");
    vec![
        one("bootstrap/boxes", "unreadable-picture", 1, true, &[("train-000117", 0, broken)]),
        one("keep", "over 4 pairs a picture", 391, false, &[("train-000003", 0, first), ("train-000008", 2, second)]),
    ]
}

fn run() -> RunRecord {
    RunRecord {
        version: RECORD_VERSION,
        program: "0.1.0".to_owned(),
        workflow: "quickstart".to_owned(),
        seed: 42,
        params: vec![
            ("model".to_owned(), json!("../examples/tiny-world/model")),
            ("scenes".to_owned(), json!(300)),
            ("held-out".to_owned(), json!(300)),
        ],
        digest: Digest::of(b"everything"),
        started: 1_800_000_000,
        wall_ms: 192_400,
        stages: STAGES.iter().map(stage).collect(),
        skipped: Vec::new(),
        quarantine: vec![Quarantined {
            stage: "bootstrap/boxes".to_owned(),
            record: "train-000117".to_owned(),
            step: 0,
            reason: "unreadable-picture".to_owned(),
            detail: "`train-000117.png`: unexpected end of file after 8192 of 40161 bytes".to_owned(),
        }],
    }
}

fn stage((id, kind, outputs, computed, hits, wall_ms): &Row) -> StageRecord {
    let needs = EDGES.iter().filter(|(.., to, slot, _)| to == id && *slot != "carry");
    let rows_of = |stage: &str, output: &str| {
        let row = STAGES.iter().find(|(id, ..)| *id == stage).unwrap();
        row.2.iter().find(|(name, ..)| *name == output).map_or(1809, |(.., rows)| *rows)
    };
    let input = |(from, output, _, slot, _): &(&str, &str, &str, &str, &str)| InputRecord {
        slot: (*slot).to_owned(),
        from: ((*from).to_owned(), (*output).to_owned()),
        records: 300,
        rows: rows_of(from, output),
    };
    let output = |(name, form, rows): &(&str, Form, u64)| OutputRecord {
        name: (*name).to_owned(),
        kind: if *name == "records" { "pairs".to_owned() } else { (*name).to_owned() },
        form: *form,
        records: 300.min(*rows),
        rows: *rows,
        content: Digest::of(id.as_bytes()),
        listing: Digest::of(name.as_bytes()),
        files: BTreeMap::new(),
    };
    let mut counts = Counts { units: computed + hits, hits: *hits, computed: *computed, ..Counts::default() };
    match *id {
        "bootstrap" => counts.cut = 4,
        "keep" => counts.dropped = [("over 4 pairs a picture".to_owned(), 391)].into(),
        "bootstrap/boxes" => counts.quarantined = [("unreadable-picture".to_owned(), 1)].into(),
        _ => {}
    }
    StageRecord {
        id: (*id).to_owned(),
        kind: (*kind).to_owned(),
        fingerprint: (*kind != "loop").then(|| Digest::of(kind.as_bytes())),
        inputs: needs.map(input).collect(),
        outputs: outputs.iter().map(output).collect(),
        counts,
        wall_ms: *wall_ms,
        when: Some(when(id, *wall_ms)),
        trace: None,
        states: None,
    }
}

/// Stages one after the other, those of the loop's body all along the loop.
fn when(id: &str, wall_ms: u64) -> When {
    let outside = |row: &&Row| !row.0.contains('/');
    let before = |id: &str| STAGES.iter().take_while(|row| row.0 != id).filter(outside).map(|row| row.5).sum::<u64>();
    match id.split_once('/') {
        None => When { began_ms: before(id), ended_ms: before(id) + wall_ms },
        Some((around, _)) => When { began_ms: before(around) + 5, ended_ms: before(around) + 101_800 },
    }
}
