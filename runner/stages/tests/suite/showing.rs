//! What the report shows of stages, made from their rows alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_core::artifact::FileSet;
use sentinel_core::digest::Digest;
use sentinel_core::job::Job;
use sentinel_core::report::{Card, Cell, Number, ReportIo, ReportUnit, SomeUnits, Tone, Widget, chosen};
use sentinel_core::stage::{StageError, to_rows};
use sentinel_domain::fakes::{FakeEngines, MemoryJob};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bench::stage;

/// Kept rows and files by slot.
struct Kept<'a> {
    rows: BTreeMap<&'static str, Vec<ReportUnit>>,
    files: BTreeMap<&'static str, Arc<FileSet>>,
    job: &'a MemoryJob,
}

impl<'a> Kept<'a> {
    fn new(job: &'a MemoryJob) -> Self {
        Self { rows: BTreeMap::new(), files: BTreeMap::new(), job }
    }

    fn rows<T: Serialize>(
        mut self,
        slot: &'static str,
        id: &str,
        step: u32,
        records: impl IntoIterator<Item = T>,
    ) -> Self {
        let unit = ReportUnit { id: id.into(), step, rows: Arc::new(to_rows(records)) };
        self.rows.entry(slot).or_default().push(unit);
        self
    }

    fn file(mut self, slot: &'static str, name: &str, content: &Value) -> Self {
        self.files.insert(slot, Arc::new(self.job.file_set([(name, content.to_string().into_bytes())])));
        self
    }
}

impl ReportIo for Kept<'_> {
    fn rows(&self, slot: &str) -> Result<Vec<ReportUnit>, StageError> {
        Ok(self.rows.get(slot).cloned().unwrap_or_default())
    }
    fn some_rows(&self, slot: &str, records_max: usize) -> Result<SomeUnits, StageError> {
        let all = self.rows.get(slot).cloned().unwrap_or_default();
        let (records, chosen) = chosen(all.iter().map(|unit| &*unit.id), records_max);
        let units = all.iter().filter(|unit| chosen.contains(&*unit.id)).cloned().collect();
        Ok(SomeUnits { units, records })
    }
    fn files(&self, slot: &str) -> Result<Option<Arc<FileSet>>, StageError> {
        Ok(self.files.get(slot).cloned())
    }
    fn blob(&self, digest: Digest) -> Result<Vec<u8>, StageError> {
        self.job.blob(digest)
    }
}

fn cards(widgets: &[Widget]) -> &[Card] {
    let gallery = widgets.iter().rev().find_map(|widget| match widget {
        Widget::Gallery { cards, .. } => Some(cards),
        Widget::Table { .. } | Widget::Curve { .. } => None,
    });
    gallery.map_or(&[], Vec::as_slice)
}

/// Returns the toned pieces of a card's line.
fn toned(card: &Card, line: usize) -> Vec<(&str, Tone)> {
    card.lines[line]
        .spans
        .iter()
        .filter(|(_, tone)| *tone != Tone::Plain)
        .map(|(text, tone)| (text.as_str(), *tone))
        .collect()
}

#[test]
fn judge_shows_boxes_and_toned_sentences_at_the_most_telling_step() {
    let (job, picture) = (MemoryJob::new(0), Digest::of(b"p"));
    let description = json!({ "id": "a", "picture": picture, "image_path": "a.png", "question": "?", "context": [], "named": [],
        "memory": { "factual": [], "uncertain": [], "hallucinated": [] } });
    let verdict = |name: &str, standing: &str| json!({ "name": name, "standing": standing, "candidates": [0], "found_by": [], "missed_by": [] });
    let mention = |name: &str, surface: &str, start: usize| json!({ "candidate": 0, "name": name, "surface": surface, "start": start, "end": start + surface.len() });
    let sentence = |text: &str| json!({ "candidate": 0, "text": text, "ended": false, "cut": false, "tokens": 3 });
    let detection = |detector: &str| json!({ "detector": detector, "vocabulary": null, "boxes": [{ "name": "dog", "score": 0.5, "xyxy": [1, 2, 3, 4] }] });
    let mut kept = Kept::new(&job);
    for (step, text) in [(0, "A pup."), (1, "A pup by a kite."), (2, "A pup.")] {
        kept = kept
            .rows("descriptions", "a", step, [&description])
            .rows("sentences", "a", step, [sentence(text)])
            .rows(
                "mentions",
                "a",
                step,
                std::iter::once(mention("dog", "pup", 2)).chain((step == 1).then(|| mention("kite", "kite", 11))),
            )
            .rows("detections", "a", step, [detection("yolo"), detection("detr")])
            .rows(
                "verdicts",
                "a",
                step,
                std::iter::once(verdict("dog", "factual")).chain((step == 1).then(|| verdict("kite", "hallucinated"))),
            );
    }
    let widgets = stage(FakeEngines::default(), "judge", json!({})).widgets(&kept).unwrap();
    let [card] = cards(&widgets) else { panic!("one card a record: {widgets:?}") };
    assert_eq!((card.picture, card.boxes.len(), card.boxes[1].group.as_str()), (Some(picture), 2, "detr"));
    assert_eq!(toned(card, 0), [("pup", Tone::Good), ("kite", Tone::Bad)]);
    let without = Kept {
        rows: kept.rows.into_iter().filter(|(slot, _)| *slot != "sentences").collect(),
        files: BTreeMap::new(),
        job: &job,
    };
    let widgets = stage(FakeEngines::default(), "judge", json!({})).widgets(&without).unwrap();
    assert!(cards(&widgets)[0].lines.is_empty(), "sentences need not be connected");
}

#[test]
fn pair_shows_both_sentences() {
    let (job, picture) = (MemoryJob::new(0), Digest::of(b"p"));
    let pair = json!({ "id": "a", "step": 2, "picture": picture, "image_path": "a.png", "question": "?", "context": ["One."], "chosen": "A puppy.",
        "rejected": "A puppy, a cat and a kite.", "objects_of_chosen": ["dog"], "hallucinated_in_rejected": ["kite"], "factual": ["dog"], "named": [],
        "is_last": false, "type": "y-" });
    let kept = Kept::new(&job).rows("pairs", "a", 1, Vec::<Value>::new()).rows("pairs", "a", 2, [pair]);
    let widgets = stage(FakeEngines::default(), "pair", json!({})).widgets(&kept).unwrap();
    let [card] = cards(&widgets) else { panic!("{widgets:?}") };
    assert_eq!(card.id, "a, step 3");
    assert_eq!([card.lines[1].tone, card.lines[2].tone], [Tone::Good, Tone::Bad]);
    assert_eq!(toned(card, 1), [("puppy", Tone::Good)]);
    assert_eq!(toned(card, 2), [("puppy", Tone::Good), ("cat", Tone::Doubtful), ("kite", Tone::Bad)]);
}

#[test]
fn train_shows_one_curve_a_reading() {
    let job = MemoryJob::new(0);
    let log = json!({ "readings": ["loss", "reward_margin"], "steps": [[0.7, 0.0], [0.5, 1.0]] });
    let stage = stage(FakeEngines::default(), "train", json!({ "model": "base", "loss": "c-dpo" }));
    let widgets = stage.widgets(&Kept::new(&job).file("log", "log.json", &log)).unwrap();
    let [Widget::Curve { series, .. }, Widget::Curve { title, .. }] = widgets.as_slice() else { panic!("{widgets:?}") };
    assert_eq!((series[0].points.as_slice(), title.as_str()), (&[(1.0, 0.7), (2.0, 0.5)][..], "reward margin"));
    assert!(stage.widgets(&Kept::new(&job)).unwrap().is_empty());
}

#[test]
fn evaluate_shows_numbers_and_captions_toned_by_the_truth() {
    let job = MemoryJob::new(0);
    let truth = json!({ "images": [{ "id": 1, "file_name": "a.png" }], "annotations": [{ "image_id": 1, "category_id": 1 }], "categories": [{ "id": 1, "name": "dog" }] });
    let caption = json!({ "id": "a", "picture": Digest::of(b"p"), "image_path": "a.png", "question": "?", "sentences": ["A puppy.", "A kite."], "cut": false, "tokens": 4 });
    let measurement = |id: &str, unit: &str, lower: Value| json!({ "id": id, "label": id, "value": 0.25, "cases": 4, "unit": unit, "lower_is_better": lower });
    let kept = Kept::new(&job)
        .file("annotations", "annotations.json", &truth)
        .rows("captions", "a", 0, [caption])
        .rows("measurements", "chair_s", 0, [measurement("chair_s", "share", json!(true))])
        .rows("measurements", "words", 0, [measurement("words", "mean", Value::Null)]);
    let widgets = stage(FakeEngines::default(), "evaluate", json!({})).widgets(&kept).unwrap();
    let [Widget::Table { rows, .. }, _] = widgets.as_slice() else { panic!("{widgets:?}") };
    let text = |cell: &Cell| match cell {
        Cell::Number(Number { value, decimals, unit, better }) => {
            format!("{value:.*}{unit} {better:?}", usize::from(*decimals))
        }
        Cell::Text(text) => text.clone(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(text).collect()).collect();
    assert_eq!(rows, [["chair_s", "25.0% Some(Lower)", "4 None"], ["words", "0.25 None", "4 None"]]);
    let card = &cards(&widgets)[0];
    assert_eq!((toned(card, 0), toned(card, 1)), (vec![("puppy", Tone::Good)], vec![("kite", Tone::Bad)]));
    let kept = Kept::new(&job).rows("captions", "a", 0, [json!({ "id": "a", "picture": Digest::of(b"p"), "image_path": "a.png", "question": "?", "sentences": ["A dog."], "cut": false, "tokens": 4 })]);
    let widgets = stage(FakeEngines::default(), "caption", json!({ "model": "base" })).widgets(&kept).unwrap();
    assert_eq!(cards(&widgets)[0].lines.len(), 1);
}

#[test]
fn of_many_records_some_are_shown_and_all_are_counted() {
    let job = MemoryJob::new(0);
    let mut kept = Kept::new(&job);
    for number in 0..300 {
        let id = format!("r{number}");
        let caption = json!({ "id": id, "picture": Digest::of(b"p"), "image_path": "a.png", "question": "?", "sentences": ["A dog."], "cut": false, "tokens": 4 });
        kept = kept.rows("captions", &id, 0, [caption]);
    }
    let widgets = stage(FakeEngines::default(), "caption", json!({ "model": "base" })).widgets(&kept).unwrap();
    let [Widget::Gallery { records: 300, cards, .. }] = widgets.as_slice() else { panic!("{widgets:?}") };
    assert_eq!(cards.len(), 60);
    let number = |card: &Card| card.id[1..].parse::<u32>().unwrap();
    assert!(cards.iter().any(|card| number(card) > 200) && cards.is_sorted_by_key(number), "from all, in order");
}
