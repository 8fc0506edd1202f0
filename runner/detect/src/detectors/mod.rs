//! The families: one file each, how a picture becomes a model's inputs and its outputs become boxes. No engine here.

pub(crate) mod detr;
pub(crate) mod yolo;

use std::sync::Arc;

use image::RgbImage;
use sentinel_domain::ports::DetectorSpec;

use crate::boxes::Candidate;
use crate::error::DetectError;
use crate::onnx::Model;
use crate::session::{Input, Tensor};

/// A family's way with one model, resolved: what is wrong with the file has been said by now.
pub(crate) trait Family: Send + Sync {
    /// Returns the model's inputs, in the file's order, for one picture.
    fn inputs(&self, picture: &RgbImage) -> Vec<Input>;

    /// Reads the boxes, best first and in pixels of the picture, from the model's outputs, in the file's order.
    fn boxes(&self, picture: &RgbImage, outputs: &[Tensor<f32>]) -> Result<Vec<Candidate>, DetectError>;
}

/// Checks a file and a number of class names against a family.
pub(crate) type Resolve = fn(Arc<Model>, &DetectorSpec, usize) -> Result<Box<dyn Family>, DetectError>;

/// Reads a threshold of the workflow, or the family's own.
fn threshold(spec: &DetectorSpec, field: &'static str, value: Option<f32>, default: f32) -> Result<f32, DetectError> {
    let value = value.unwrap_or(default);
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(DetectError::Threshold { detector: spec.name.clone(), field, value })
}

/// Returns a tensor's shape as (rows, columns), without its axis of one picture.
fn matrix(model: &Model, output: &str, tensor: &Tensor<f32>) -> Result<(usize, usize), DetectError> {
    match tensor.shape.as_slice() {
        [1, rows, columns] if tensor.values.len() == rows * columns => Ok((*rows, *columns)),
        shape => {
            Err(model.refuse(format!("answers with `{output}` shaped {shape:?} for one picture, expected three axes")))
        }
    }
}

/// Checks that a number is one.
fn finite(output: &'static str, value: f32, index: &[usize]) -> Result<f32, DetectError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(DetectError::NotANumber { output, value, index: index.to_vec() })
}
