//! Family `yolo`: ONNX files as ultralytics exports them (YOLOv8, 9, 11, 12; YOLOv10 and 26 or any export with `nms=True`).
//!
//! Input `images` (1, 3, H, W), RGB in 0..1, letterboxed. Output `output0`, either raw (1, 4 + C, A): centre and size in input
//! pixels and a score a class for each of A places; or end to end (1, K, 6): corners, score and class number of K boxes,
//! overlaps already dropped. Semantics and defaults follow ultralytics' documentation of `predict`.

use std::sync::Arc;

use image::RgbImage;
use sentinel_domain::ports::DetectorSpec;

use super::{Family, finite, matrix, threshold};
use crate::boxes::{Candidate, best_first, corners, suppress};
use crate::error::DetectError;
use crate::onnx::{Model, shape};
use crate::picture::{Letterbox, UNIT, letterbox, planes};
use crate::session::{Input, Tensor};

const INPUT: &str = "images";
const OUTPUT: &str = "output0";
/// Input side where the file tells none: ultralytics' default `imgsz`.
const SIDE: usize = 640;
/// Largest input side taken from a file.
const SIDE_MAX: usize = 4096;
const CONFIDENCE: f32 = 0.25;
const IOU: f32 = 0.7;
/// Most boxes that enter the search for overlaps, and most that leave it: ultralytics' `max_nms` and `max_det`.
const CANDIDATES_MAX: usize = 30_000;
const BOXES_MAX: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Raw,
    EndToEnd,
}

struct Yolo {
    model: Arc<Model>,
    classes: usize,
    width: u32,
    height: u32,
    output: usize,
    confidence: f32,
    iou: f32,
}

/// Checks that the file is such an export with this many classes.
pub(crate) fn resolve(model: Arc<Model>, spec: &DetectorSpec, classes: usize) -> Result<Box<dyn Family>, DetectError> {
    if let Some(task) = model.metadata.get("task").filter(|task| *task != "detect") {
        return Err(model.refuse(format!("was exported for the task `{task}`, expected `detect`")));
    }
    let input = model.picture_input(INPUT)?;
    if model.inputs.len() != 1 {
        return Err(model.refuse(format!("has {} inputs, expected `{INPUT}` alone", model.inputs.len())));
    }
    let exported = exported_size(&model);
    let side = |axis: usize| match input.dims[axis].unwrap_or(exported[axis - 2]) {
        side if (1..=SIDE_MAX).contains(&side) => Ok(side as u32),
        side => Err(model.refuse(format!("takes pictures of side {side}, expected 1 to {SIDE_MAX}"))),
    };
    let (height, width) = (side(2)?, side(3)?);
    let (output, port) = model.output(OUTPUT)?;
    match port.dims.as_slice() {
        [] => {}
        [_, rows, columns] if layout(classes, *rows, *columns).is_some() => {}
        dims => return Err(unexpected(&model, classes, &shape(dims))),
    }
    let confidence = threshold(spec, "confidence", spec.confidence, CONFIDENCE)?;
    let iou = threshold(spec, "iou", spec.iou, IOU)?;
    Ok(Box::new(Yolo { classes, width, height, output, confidence, iou, model }))
}

/// Height and width the file was exported for, from its metadata, where its input leaves them open.
fn exported_size(model: &Model) -> [usize; 2] {
    let text = model.metadata.get("imgsz").map_or("", String::as_str).trim_matches(['[', ']']);
    let sides: Vec<usize> = text.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    <[usize; 2]>::try_from(sides).unwrap_or([SIDE; 2])
}

/// Tells the two layouts apart; an axis the file leaves open fits. No raw output has as few as six places.
fn layout(classes: usize, rows: Option<usize>, columns: Option<usize>) -> Option<Layout> {
    match (rows, columns) {
        (_, Some(6)) => Some(Layout::EndToEnd),
        (Some(rows), _) if rows != 4 + classes => None,
        _ => Some(Layout::Raw),
    }
}

fn unexpected(model: &Model, classes: usize, shape: &str) -> DetectError {
    let rows = 4 + classes;
    model.refuse(format!(
        "answers with `{OUTPUT}` shaped {shape}; with {classes} class names it should be (N, {rows}, A) or (N, K, 6)"
    ))
}

impl Family for Yolo {
    fn inputs(&self, picture: &RgbImage) -> Vec<Input> {
        let fitted = letterbox(picture, self.width, self.height);
        let shape = vec![1, 3, self.height as usize, self.width as usize];
        vec![Input::Float(Tensor { shape, values: planes(&fitted, UNIT) })]
    }

    fn boxes(&self, picture: &RgbImage, outputs: &[Tensor<f32>]) -> Result<Vec<Candidate>, DetectError> {
        let output = &outputs[self.output];
        let (rows, columns) = matrix(&self.model, OUTPUT, output)?;
        let mut found = match layout(self.classes, Some(rows), Some(columns)) {
            Some(Layout::Raw) => self.raw(&output.values, columns)?,
            Some(Layout::EndToEnd) => self.end_to_end(&output.values)?,
            None => return Err(unexpected(&self.model, self.classes, &format!("(1, {rows}, {columns})"))),
        };
        let fit = Letterbox::of(picture, self.width, self.height);
        for candidate in &mut found {
            candidate.xyxy = fit.back(candidate.xyxy, picture);
        }
        Ok(found)
    }
}

impl Yolo {
    /// (4 + C, A): a column a place.
    fn raw(&self, values: &[f32], places: usize) -> Result<Vec<Candidate>, DetectError> {
        let at = |row: usize, place: usize| values[row * places + place];
        let mut found = Vec::new();
        for place in 0..places {
            let mut best = (0, f32::NEG_INFINITY);
            for class in 0..self.classes {
                let score = finite(OUTPUT, at(4 + class, place), &[0, 4 + class, place])?;
                if score > best.1 {
                    best = (class, score);
                }
            }
            let (class, score) = best;
            if score > self.confidence {
                let mut sides = [0.0; 4];
                for (row, side) in sides.iter_mut().enumerate() {
                    *side = finite(OUTPUT, at(row, place), &[0, row, place])?;
                }
                found.push(Candidate { class, score, xyxy: corners(sides) });
            }
        }
        best_first(&mut found);
        found.truncate(CANDIDATES_MAX);
        let mut found = suppress(&found, self.iou);
        found.truncate(BOXES_MAX);
        Ok(found)
    }

    /// (K, 6): a row a box, overlaps dropped by the model.
    fn end_to_end(&self, values: &[f32]) -> Result<Vec<Candidate>, DetectError> {
        let mut found = Vec::new();
        for (number, row) in values.chunks_exact(6).enumerate() {
            for (column, value) in row.iter().enumerate() {
                finite(OUTPUT, *value, &[0, number, column])?;
            }
            let class = row[5];
            if row[4] <= self.confidence {
                continue;
            }
            if class.fract() != 0.0 || class < 0.0 || class >= self.classes as f32 {
                let classes = self.classes;
                return Err(self
                    .model
                    .refuse(format!("answers with class {class}, and there are {classes} class names")));
            }
            found.push(Candidate { class: class as usize, score: row[4], xyxy: [row[0], row[1], row[2], row[3]] });
        }
        best_first(&mut found);
        found.truncate(BOXES_MAX);
        Ok(found)
    }
}
