//! `detect`: asks every detector what it sees in each picture. Boxes are remembered by picture and detector, so that a picture
//! costs each detector one look, however many steps its description takes. A detector with an open vocabulary must be told what
//! to look for: the objects named at this step that no earlier step decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::digest::Digest;
use sentinel_core::job::{Files, Job};
use sentinel_core::stage::{Fault, Input, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, to_rows};
use sentinel_domain::config::DetectorName;
use sentinel_domain::ports::{Detector, DetectorSpec, Engines};
use sentinel_domain::records::{Detection, FoundBox, Memory};
use serde::Deserialize;
use serde_json::Value;

use crate::kind::{Entry, Given, JobWatch, Parsed, config, each_answered};
use crate::lexicon::canonical;
use crate::models;

pub(crate) static ENTRY: Entry = Entry {
    name: "detect",
    summary: "asks every detector what it sees in each picture",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// Part of the key under which boxes are remembered; counts up when what is remembered changes its meaning.
const BOXES: &[u8] = b"boxes 1";

/// What `detect` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The detectors, entries of `models:`. Verdicts need at least two to be cross-checked.
    #[schemars(length(min = 1, max = 16))]
    detectors: Vec<DetectorName>,
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let Config { detectors } = config(with)?;
    let named = detectors.iter().enumerate();
    let specs = named.map(|(index, name)| models::detector(name, given, &format!("/detectors/{index}")));
    let (specs, mistakes): (Vec<_>, Vec<_>) = specs.partition(Result::is_ok);
    let mistakes: Vec<_> = mistakes.into_iter().filter_map(Result::err).flatten().collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let specs: Vec<DetectorSpec> = specs.into_iter().filter_map(Result::ok).collect();
    Ok(Box::new(Detect { labels: labels(&specs), specs, engines: given.engines.clone() }))
}

/// Names each detector by its family, for that is what its answers depend on; the name in the workflow is not.
fn labels(specs: &[DetectorSpec]) -> Vec<String> {
    let label = |(index, spec): (usize, &DetectorSpec)| {
        let before = specs[..index].iter().filter(|other| other.family == spec.family).count();
        if before == 0 { spec.family.clone() } else { format!("{}-{}", spec.family, before + 1) }
    };
    specs.iter().enumerate().map(label).collect()
}

struct Detect {
    specs: Vec<DetectorSpec>,
    /// One for each of `specs`.
    labels: Vec<String>,
    engines: Arc<dyn Engines>,
}

fn shape() -> Shape {
    let descriptions = Slot::rows("descriptions", "descriptions").view(&["picture", "memory"]);
    let mentions = Slot::rows("mentions", "mentions").view(&["name"]).optional();
    Shape::units([descriptions, mentions], [Slot::rows("detections", "detections")])
}

impl Stage for Detect {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn engine(&self) -> Option<String> {
        Some(self.engines.catalogue().detector_engine.clone())
    }
    fn uses_device(&self) -> bool {
        true
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }
}

impl UnitStage for Detect {
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let mut open = Vec::new();
        for (spec, label) in self.specs.iter().zip(&self.labels) {
            let detector = self.engines.detector(spec, job.exec())?;
            let engine = self.engines.catalogue().detector_engine.as_str();
            open.push(Opened { label, identity: identity(spec, engine, job)?, detector });
        }
        let mut outputs = Vec::with_capacity(units.len());
        for (done, unit) in units.iter().enumerate() {
            if job.cancelled() {
                return Err(StageError::Cancelled);
            }
            let question = Question::of(unit)?;
            let detections: Result<Vec<Detection>, Fault> =
                open.iter().map(|opened| opened.detection(&question, job)).collect::<Result<_, StageError>>()?;
            outputs.push(detections.map(|detections| vec![to_rows(detections)]));
            job.progress(done as u64 + 1, units.len() as u64, "pictures", &[]);
        }
        Ok(outputs)
    }
}

/// What a unit asks of the detectors.
struct Question {
    picture: Digest,
    /// What an open vocabulary looks for, canonical and sorted; `None` where no mentions come in.
    phrases: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct View {
    picture: Digest,
    memory: Memory,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Question {
    fn of(unit: &Unit) -> Result<Self, StageError> {
        let View { picture, memory } = unit.one("descriptions")?;
        if !matches!(unit.inputs.get("mentions"), Some(Input::Rows(_))) {
            return Ok(Self { picture, phrases: None });
        }
        let names: BTreeSet<String> = unit.list("mentions")?.iter().map(|Named { name }| canonical(name)).collect();
        let decided = |name: &String| memory.standing(name).is_some();
        Ok(Self { picture, phrases: Some(names.into_iter().filter(|name| !decided(name)).collect()) })
    }
}

/// A detector at work.
struct Opened<'a> {
    label: &'a str,
    identity: Digest,
    detector: Arc<dyn Detector>,
}

impl Opened<'_> {
    /// Returns what the detector sees in one picture, or the picture's own fault.
    fn detection(&self, question: &Question, job: &dyn Job) -> Result<Result<Detection, Fault>, StageError> {
        let closed = self.detector.vocabulary();
        let phrases = match (closed, &question.phrases) {
            (Some(_), _) => &Vec::new(),
            (None, Some(phrases)) => phrases,
            (None, None) => {
                let message = format!(
                    "`{}` has an open vocabulary: connect `needs.mentions`, so that it knows what to look for",
                    self.label
                );
                return Err(StageError::Refused(message));
            }
        };
        let boxes = if closed.is_none() && phrases.is_empty() {
            Ok(Vec::new())
        } else {
            self.boxes(question.picture, phrases, job)?
        };
        let vocabulary = closed.map(|names| distinct(names.iter().map(|name| canonical(name))));
        let detection = |boxes: Vec<FoundBox>| Detection {
            detector: self.label.to_owned(),
            vocabulary,
            boxes: boxes.into_iter().map(|found| FoundBox { name: canonical(&found.name), ..found }).collect(),
        };
        Ok(boxes.map(detection))
    }

    /// Returns the boxes in a picture, remembered or found. A picture's fault is not remembered, so that it can be tried again.
    fn boxes(
        &self,
        picture: Digest,
        phrases: &[String],
        job: &dyn Job,
    ) -> Result<Result<Vec<FoundBox>, Fault>, StageError> {
        let asked: Vec<&[u8]> = phrases.iter().map(|phrase| phrase.as_bytes()).collect();
        let known = [BOXES, self.identity.as_bytes(), picture.as_bytes()];
        let key = Digest::of_parts(known.into_iter().chain(asked));
        let mut fault = None;
        let mut look = || {
            let bytes = Arc::new(job.blob(picture)?);
            let answers = self.detector.detect(&[bytes], &[phrases.to_vec()], &JobWatch(job))?;
            match each_answered(answers, 1)?.remove(0) {
                Ok(boxes) => Ok(serde_json::to_vec(&boxes).expect("boxes are plain structs of finite numbers")),
                Err(own) => {
                    let unseen = StageError::Refused(own.detail.clone());
                    fault = Some(own);
                    Err(unseen)
                }
            }
        };
        match (job.memo(key, &mut look), fault) {
            (_, Some(fault)) => Ok(Err(fault)),
            (Ok(kept), None) => {
                let boxes = serde_json::from_slice(&kept);
                boxes.map(Ok).map_err(|error| StageError::Bug(format!("remembered boxes: {error}")))
            }
            (Err(error), None) => Err(error),
        }
    }
}

/// Returns everything a detector's boxes depend on besides the picture.
fn identity(spec: &DetectorSpec, engine: &str, files: &dyn Job) -> Result<Digest, StageError> {
    let DetectorSpec { name: _, family, path, labels, confidence, iou } = spec;
    let number = |value: &Option<f32>| value.map_or("default".to_owned(), |value| value.to_string());
    let labels = labels.as_ref().map(|labels| Files::digest(files, labels)).transpose()?;
    let labels = labels.map_or("own".to_owned(), |digest| digest.to_string());
    let model = Files::digest(files, path)?.to_string();
    let parts = [family.as_str(), &model, &labels, &number(confidence), &number(iou), engine];
    Ok(Digest::of_parts(parts.map(str::as_bytes)))
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}
