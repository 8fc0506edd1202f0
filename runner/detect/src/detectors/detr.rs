//! Families `detr` and `rt-detr`: ONNX files as Hugging Face's Optimum exports them.
//!
//! Inputs `pixel_values` (1, 3, H, W) and, for DETR, `pixel_mask` (1, h, w) of ones. Outputs `logits` (1, Q, C + 1), the last
//! class being "no object" (DETR: softmax), or (1, Q, C) (RT-DETR: sigmoid), and `pred_boxes` (1, Q, 4), centre and size in
//! 0..1. Reading them follows transformers' `post_process_object_detection`, picture sizes its `DetrImageProcessor` and
//! `RTDetrImageProcessor` with the Pillow backend.

use std::sync::Arc;

use image::RgbImage;
use sentinel_domain::ports::DetectorSpec;
use sentinel_pictures::{Filter, resize};

use super::{Family, finite, matrix, threshold};
use crate::boxes::{Candidate, best_first, corners, suppress};
use crate::error::DetectError;
use crate::onnx::{INT64, Model, Port, names, shape};
use crate::picture::{IMAGENET, Scaling, UNIT, edge_size, planes};
use crate::session::{Input, Tensor};

const PIXELS: &str = "pixel_values";
const MASK: &str = "pixel_mask";
const LOGITS: &str = "logits";
const BOXES: &str = "pred_boxes";
/// Largest side of an input or a mask taken from a file.
const SIDE_MAX: usize = 4096;
/// DETR's input where the file leaves it open: the shortest side, unless the longest would pass its limit.
const SHORTEST: u32 = 800;
const LONGEST: u32 = 1333;
/// RT-DETR's input where the file leaves it open.
const SQUARE: usize = 640;
const CONFIDENCE: f32 = 0.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Detr,
    RtDetr,
}

struct Detr {
    model: Arc<Model>,
    kind: Kind,
    classes: usize,
    /// Height and width of the input, where they are fixed.
    size: [Option<usize>; 2],
    /// For each input of the file in order: the picture, or a mask with these fixed sides.
    inputs: Vec<Slot>,
    logits: usize,
    boxes: usize,
    confidence: f32,
    /// Overlaps are dropped only if the workflow says from where on.
    iou: Option<f32>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Pixels,
    Mask([Option<usize>; 2]),
}

/// Checks that the file is a DETR export with this many classes.
pub(crate) fn resolve(model: Arc<Model>, spec: &DetectorSpec, classes: usize) -> Result<Box<dyn Family>, DetectError> {
    resolve_kind(Kind::Detr, model, spec, classes)
}

/// Checks that the file is an RT-DETR export with this many classes.
pub(crate) fn resolve_rt(
    model: Arc<Model>,
    spec: &DetectorSpec,
    classes: usize,
) -> Result<Box<dyn Family>, DetectError> {
    resolve_kind(Kind::RtDetr, model, spec, classes)
}

fn resolve_kind(
    kind: Kind,
    model: Arc<Model>,
    spec: &DetectorSpec,
    classes: usize,
) -> Result<Box<dyn Family>, DetectError> {
    let pixels = model.picture_input(PIXELS)?;
    let mut size = sides(&model, pixels, [2, 3])?;
    if kind == Kind::RtDetr {
        size = size.map(|side| side.or(Some(SQUARE)));
    }
    let slots: Result<Vec<Slot>, DetectError> = model.inputs.iter().map(|port| slot(&model, port)).collect();
    let (logits, port) = model.output(LOGITS)?;
    let last = port.dims.last().copied().flatten().unwrap_or(columns(kind, classes));
    if last != columns(kind, classes) {
        return Err(unexpected_classes(&model, kind, classes, last));
    }
    let (boxes, port) = model.output(BOXES)?;
    if port.dims.last().is_some_and(|last| last.is_some_and(|last| last != 4)) {
        return Err(model.refuse(format!("answers with `{BOXES}` shaped {}, expected (N, Q, 4)", shape(&port.dims))));
    }
    let confidence = threshold(spec, "confidence", spec.confidence, CONFIDENCE)?;
    let iou = spec.iou.map(|iou| threshold(spec, "iou", Some(iou), iou)).transpose()?;
    Ok(Box::new(Detr { kind, classes, size, inputs: slots?, logits, boxes, confidence, iou, model }))
}

fn slot(model: &Model, port: &Port) -> Result<Slot, DetectError> {
    match port.name.as_str() {
        PIXELS => Ok(Slot::Pixels),
        MASK if port.element == INT64 && port.dims.len() == 3 => Ok(Slot::Mask(sides(model, port, [1, 2])?)),
        MASK => {
            Err(model
                .refuse(format!("takes `{MASK}` shaped {}, expected (N, H, W) of 64-bit integers", shape(&port.dims))))
        }
        _ => {
            Err(model
                .refuse(format!("has the inputs {}, expected `{PIXELS}` and perhaps `{MASK}`", names(&model.inputs))))
        }
    }
}

fn sides(model: &Model, port: &Port, axes: [usize; 2]) -> Result<[Option<usize>; 2], DetectError> {
    let sides = axes.map(|axis| port.dims[axis]);
    match sides.iter().flatten().find(|side| **side > SIDE_MAX) {
        Some(side) => Err(model.refuse(format!("takes `{}` of side {side}, more than {SIDE_MAX}", port.name))),
        None => Ok(sides),
    }
}

/// Columns of `logits`.
fn columns(kind: Kind, classes: usize) -> usize {
    match kind {
        Kind::Detr => classes + 1,
        Kind::RtDetr => classes,
    }
}

fn unexpected_classes(model: &Model, kind: Kind, classes: usize, found: usize) -> DetectError {
    let wanted = columns(kind, classes);
    let what = match kind {
        Kind::Detr => "one a class name and one for \"no object\"",
        Kind::RtDetr => "one a class name",
    };
    model.refuse(format!(
        "answers with {found} `{LOGITS}` a query; with {classes} class names it should be {wanted}, {what}"
    ))
}

impl Family for Detr {
    fn inputs(&self, picture: &RgbImage) -> Vec<Input> {
        let (width, height) = self.input_size(picture);
        let scaling: Scaling = match self.kind {
            Kind::Detr => IMAGENET,
            Kind::RtDetr => UNIT,
        };
        let slot = |slot: &Slot| match slot {
            Slot::Pixels => {
                let shape = vec![1, 3, height as usize, width as usize];
                Input::Float(Tensor {
                    shape,
                    values: planes(&resize(picture, width, height, Filter::Bilinear), scaling),
                })
            }
            Slot::Mask([down, across]) => {
                let shape = vec![1, down.unwrap_or(height as usize), across.unwrap_or(width as usize)];
                Input::Int(Tensor { values: vec![1; shape.iter().product()], shape })
            }
        };
        self.inputs.iter().map(slot).collect()
    }

    fn boxes(&self, picture: &RgbImage, outputs: &[Tensor<f32>]) -> Result<Vec<Candidate>, DetectError> {
        let (queries, columns_found) = matrix(&self.model, LOGITS, &outputs[self.logits])?;
        if columns_found != columns(self.kind, self.classes) {
            return Err(unexpected_classes(&self.model, self.kind, self.classes, columns_found));
        }
        match matrix(&self.model, BOXES, &outputs[self.boxes])? {
            (rows, 4) if rows == queries => {}
            (rows, sides) => {
                return Err(self
                    .model
                    .refuse(format!("answers with {queries} `{LOGITS}` and {rows} × {sides} `{BOXES}`")));
            }
        }
        let (logits, sides) = (&outputs[self.logits].values, &outputs[self.boxes].values);
        for (at, logit) in logits.iter().enumerate().filter(|(_, logit)| logit.is_nan()) {
            finite(LOGITS, *logit, &[0, at / columns_found, at % columns_found])?;
        }
        let mut found = Vec::new();
        for (query, class, score) in self.scores(logits, queries) {
            if score > self.confidence {
                let mut box_ = [0.0; 4];
                for (axis, side) in box_.iter_mut().enumerate() {
                    *side = finite(BOXES, sides[query * 4 + axis], &[0, query, axis])?;
                }
                found.push(Candidate { class, score, xyxy: scaled(corners(box_), picture) });
            }
        }
        best_first(&mut found);
        Ok(self.iou.map_or_else(|| found.clone(), |iou| suppress(&found, iou)))
    }
}

impl Detr {
    /// Width and height of the input for this picture.
    fn input_size(&self, picture: &RgbImage) -> (u32, u32) {
        let free = edge_size(picture.dimensions(), SHORTEST, LONGEST);
        let [height, width] = self.size;
        (width.map_or(free.0, |width| width as u32), height.map_or(free.1, |height| height as u32))
    }

    /// Returns (query, class, score): the best class of each query (DETR), or the best Q of all Q × C (RT-DETR).
    fn scores(&self, logits: &[f32], queries: usize) -> Vec<(usize, usize, f32)> {
        match self.kind {
            Kind::Detr => logits.chunks_exact(self.classes + 1).enumerate().map(softmax_best).collect(),
            Kind::RtDetr => {
                let score =
                    |(at, logit): (usize, &f32)| (at / self.classes, at % self.classes, 1.0 / (1.0 + (-logit).exp()));
                let mut scores: Vec<_> = logits.iter().enumerate().map(score).collect();
                scores.sort_by(|a, b| b.2.total_cmp(&a.2));
                scores.truncate(queries);
                scores
            }
        }
    }
}

/// Softmax over all columns, then the best of all but the last.
fn softmax_best((query, logits): (usize, &[f32])) -> (usize, usize, f32) {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
    let score = |logit: f32| (logit - greatest).exp() / sum;
    let classes = logits[..logits.len() - 1].iter().map(|logit| score(*logit)).enumerate();
    let (class, best) = classes.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best });
    (query, class, best)
}

/// From 0..1 to pixels of the picture.
fn scaled([left, top, right, bottom]: [f32; 4], picture: &RgbImage) -> [f32; 4] {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    [left * width, top * height, right * width, bottom * height]
}
