//! `detect`: what is asked of detectors, what is remembered, what a picture's own fault costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sentinel_core::job::Job;
use sentinel_core::stage::{Fault, StageError, Unit, parse_rows};
use sentinel_domain::fakes::{FakeEngines, MemoryJob};
use sentinel_domain::ports::{Detector, EngineError, PerRecord, Watch};
use sentinel_domain::records::{Detection, FoundBox};
use serde_json::json;

use crate::bench::{rows, run_one, run_units, stage, unit};

/// A detector that finds all it is asked for, or its whole vocabulary, notes what it is asked, and cannot read empty pictures.
struct Noting {
    vocabulary: Option<Vec<String>>,
    asked: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Detector for Noting {
    fn vocabulary(&self) -> Option<&[String]> {
        self.vocabulary.as_deref()
    }

    fn detect(
        &self,
        pictures: &[Arc<Vec<u8>>],
        phrases: &[Vec<String>],
        _: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<FoundBox>>>, EngineError> {
        self.asked.lock().unwrap().extend(phrases.iter().cloned());
        let answer = |(picture, phrases): (&Arc<Vec<u8>>, &Vec<String>)| {
            if picture.is_empty() {
                return Err(Fault { reason: "unreadable-picture".to_owned(), detail: "no bytes".to_owned() });
            }
            let names = self.vocabulary.as_ref().unwrap_or(phrases);
            Ok(names
                .iter()
                .map(|name| FoundBox { name: name.clone(), score: 0.1, xyxy: [0.5, 1.25, 3.0, 4.0] })
                .collect())
        };
        Ok(pictures.iter().zip(phrases).map(answer).collect())
    }
}

fn engines(vocabulary: Option<&[&str]>) -> (FakeEngines, Arc<Mutex<Vec<Vec<String>>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let vocabulary = vocabulary.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let detector: Arc<dyn Detector> = Arc::new(Noting { vocabulary, asked: asked.clone() });
    let names = ["yolo", "detr", "second"];
    let detectors = names.map(|name| (name.to_owned(), detector.clone()));
    (FakeEngines { detectors: BTreeMap::from(detectors), ..FakeEngines::default() }, asked)
}

fn job() -> MemoryJob {
    let files = ["yolo.onnx", "detr.onnx", "second.onnx", "labels.txt"];
    files.into_iter().fold(MemoryJob::new(0), |job, name| job.file(format!("/models/{name}"), name))
}

fn asking(job: &MemoryJob, id: &str, picture: &[u8], mentions: Option<&[&str]>) -> Unit {
    let memory = json!({ "factual": ["cat"], "uncertain": [], "hallucinated": ["tv"] });
    let description = json!({ "picture": job.put_blob(picture).unwrap(), "memory": memory });
    let mentions = mentions.map(|names| rows(names.iter().map(|name| json!({ "name": name }))));
    let mentions = mentions.map(|mentions| ("mentions", mentions));
    unit(id, 0, std::iter::once(("descriptions", rows([description]))).chain(mentions))
}

fn detections(rows: &[Box<str>]) -> Vec<Detection> {
    parse_rows("detections", rows).unwrap()
}

#[test]
fn an_open_vocabulary_is_asked_for_what_is_undecided() {
    let (engines, asked) = engines(None);
    let (job, detect) = (job(), stage(engines, "detect", json!({ "detectors": ["detr"] })));
    let unit = asking(&job, "a", b"x", Some(&["puppies", "cat", "television", "dog", "oak tree"]));
    let found = detections(&run_one(detect.as_ref(), &unit, &job));
    assert_eq!(*asked.lock().unwrap(), [["dog".to_owned(), "oak tree".to_owned()]]);
    assert_eq!((found[0].vocabulary.clone(), found[0].boxes.len()), (None, 2));
    let decided = asking(&job, "a", b"x", Some(&["cat"]));
    assert_eq!(detections(&run_one(detect.as_ref(), &decided, &job))[0].boxes.len(), 0);
    assert_eq!(asked.lock().unwrap().len(), 1, "nothing undecided, nothing asked");
    let unconnected = run_units(detect.as_ref(), &[asking(&job, "a", b"x", None)], &job);
    assert!(matches!(unconnected, Err(StageError::Refused(message)) if message.contains("needs.mentions")));
}

#[test]
fn names_are_canonical_and_detectors_go_by_their_family() {
    let (engines, asked) = engines(Some(&["Sofa", "tv", "television", "oak tree"]));
    let (job, detect) = (job(), stage(engines, "detect", json!({ "detectors": ["yolo", "detr", "second"] })));
    let found = detections(&run_one(detect.as_ref(), &asking(&job, "a", b"x", None), &job));
    assert_eq!(found.iter().map(|one| one.detector.as_str()).collect::<Vec<_>>(), ["yolo", "detr", "yolo-2"]);
    assert_eq!(found[0].vocabulary.as_deref().unwrap(), ["couch", "tv", "oak tree"]);
    assert_eq!(
        found[0].boxes.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(),
        ["couch", "tv", "tv", "oak tree"]
    );
    assert_eq!(found[0].boxes[0].xyxy, [0.5, 1.25, 3.0, 4.0]);
    assert_eq!(asked.lock().unwrap().len(), 3, "each is another detector");
}

#[test]
fn a_pictures_own_fault_costs_only_itself_and_is_tried_again() {
    let (engines, asked) = engines(Some(&["cat"]));
    let (job, detect) = (job(), stage(engines, "detect", json!({ "detectors": ["yolo"] })));
    let units = [asking(&job, "a", b"", None), asking(&job, "b", b"x", None)];
    for _ in 0..2 {
        let answers = run_units(detect.as_ref(), &units, &job).unwrap();
        assert_eq!(answers[0].as_ref().unwrap_err().reason, "unreadable-picture");
        assert!(answers[1].is_ok());
    }
    assert_eq!(asked.lock().unwrap().len(), 3, "the good picture is remembered, the bad one looked at again");
}
