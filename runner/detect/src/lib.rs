//! Object detectors from ONNX files, behind [`sentinel_domain::ports::Detector`]. It knows no workflow and no sentence.
//!
//! # Steps
//! 1. [`engine::search`] finds what runs ONNX files here: ONNX Runtime, or the built-in tract;
//! 2. [`open`] reads the file's own description, the class names, and lets a family of [`DETECTORS`] check both;
//! 3. at the first picture the engine opens the model (`session`);
//! 4. each picture is decoded and fitted (`picture`, `resample`), run alone, and its outputs read as boxes (`detectors`, `boxes`).

mod boxes;
mod detectors;
pub mod engine;
mod error;
mod labels;
pub mod locate;
mod onnx;
mod picture;
mod resample;
mod serve;
mod session;

use std::sync::Arc;

use sentinel_core::job::Exec;
use sentinel_domain::ports::{Detector, DetectorSpec};

pub use engine::{Engine, Search, search};
pub use error::DetectError;

/// A kind of model file: its layout of inputs and outputs, its defaults.
pub struct FamilyInfo {
    /// The word in a workflow.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    resolve: detectors::Resolve,
}

/// Every detector family, sorted by name.
pub static DETECTORS: &[FamilyInfo] = &[
    FamilyInfo {
        name: "detr",
        summary: "DETR exported by Optimum: `logits` with a last class for \"no object\", `pred_boxes`",
        resolve: detectors::detr::resolve,
    },
    FamilyInfo {
        name: "rt-detr",
        summary: "RT-DETR exported by Optimum: sigmoid `logits`, `pred_boxes`",
        resolve: detectors::detr::resolve_rt,
    },
    FamilyInfo {
        name: "yolo",
        summary: "YOLO exported by ultralytics: `output0`, raw or end to end",
        resolve: detectors::yolo::resolve,
    },
];

/// Opens a detector: reads the model file and the class names, and checks that they fit the family and each other.
/// The engine opens the model at the first picture.
///
/// # Errors
/// Says what does not fit, with values; nothing is run.
pub fn open(spec: &DetectorSpec, exec: &Exec, engine: &Engine) -> Result<Arc<dyn Detector>, DetectError> {
    let known = DETECTORS.iter().map(|family| format!("`{}`", family.name)).collect::<Vec<_>>().join(", ");
    let family = DETECTORS.iter().find(|family| family.name == spec.family);
    let family = family.ok_or_else(|| DetectError::UnknownFamily { family: spec.family.clone(), known })?;
    let model = Arc::new(onnx::Model::read(&spec.path)?);
    let labels = labels::read(spec.labels.as_deref(), &model)?;
    let family = (family.resolve)(Arc::clone(&model), spec, labels.len())?;
    let threads = exec.threads.unwrap_or(0) as usize;
    Ok(Arc::new(serve::Served::new(model, family, labels, engine.clone(), threads)))
}
