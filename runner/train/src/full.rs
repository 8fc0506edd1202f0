//! Training all parameters with next-token loss: a curriculum of phases over lessons about pictures. Which lesson stands where
//! in which batch follows from the seed and the step alone, so that training continues bit for bit wherever it stopped.
// B batch, L learnt tokens in all rows

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use sentinel_models::image::Picture;
use sentinel_models::model::Model;

use crate::TrainError;
use crate::fit::{Fit, Reading, Slope};
use crate::losses::next_token;
use crate::optimizer::{AdamW, Moments};
use crate::random::{permutation, stream, unit};
use crate::rows::{self, Row, token_logps};
use crate::schedule::{Cosine, Phases};

/// What can be learnt about one picture: rows by group, for example `describe`.
pub type Lessons = BTreeMap<String, Vec<Row>>;

/// A part of the curriculum.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Shares of the groups in a batch; every picture has rows of every group with a share.
    pub mixture: Vec<(String, f64)>,
    /// Its learning rates and number of steps.
    pub schedule: Cosine,
}

/// How everything is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum {
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// Pictures an optimiser step.
    pub batch: usize,
    /// The optimiser.
    pub optimizer: AdamW,
    /// Greatest gradient norm; 0 clips nothing.
    pub clip: f64,
    /// Orders the pictures and draws the lessons.
    pub seed: u64,
}

/// Trains `vars`, the parameters of `model`, from the step `moments` has reached to the curriculum's end.
///
/// `pictures[k]` are the lessons of picture k, `prepared` makes pictures of their numbers, `after` hears of every
/// step and may stop the training by an error.
pub fn train(
    model: &Model,
    vars: &BTreeMap<String, Var>,
    pictures: &[Lessons],
    curriculum: &Curriculum,
    moments: &mut Moments,
    mut prepared: impl FnMut(&[usize]) -> Result<Vec<Picture>, TrainError>,
    after: impl FnMut(&Reading, &Moments) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    check(model, pictures, curriculum)?;
    let schedule = Phases(curriculum.phases.iter().map(|phase| phase.schedule).collect());
    let fit = Fit { vars, optimizer: curriculum.optimizer, schedule, clip: curriculum.clip };
    let slope = |step| {
        let Some((phase, _)) = fit.schedule.place(step) else { unreachable!("the schedule ends with the last phase") };
        let chosen = choose(pictures, curriculum, &curriculum.phases[phase], step);
        let mut logps = Vec::with_capacity(chosen.len());
        // One forward pass a group: rows of a group are about equally long, and little is padded.
        for lessons in chosen.values() {
            let (numbers, rows): (Vec<usize>, Vec<Row>) = lessons.iter().map(|(k, row)| (*k, (*row).clone())).unzip();
            let features = model.features(&prepared(&numbers)?)?;
            logps.push(token_logps(model, &features, &rows, None)?.0);
        }
        Slope::of(vars, &next_token(&Tensor::cat(&logps, 0)?)?)
    };
    fit.run(moments, slope, after)
}

/// A mistake in the data is told before the first step.
fn check(model: &Model, pictures: &[Lessons], curriculum: &Curriculum) -> Result<(), TrainError> {
    if curriculum.batch == 0 || pictures.len() < curriculum.batch {
        let (batch, found) = (curriculum.batch, pictures.len());
        return Err(TrainError::Row(format!("a batch of {batch} cannot be drawn from {found} pictures")));
    }
    for row in pictures.iter().flat_map(BTreeMap::values).flatten() {
        rows::check(model, std::slice::from_ref(row))?;
    }
    for (group, share) in curriculum.phases.iter().flat_map(|phase| &phase.mixture) {
        if !share.is_finite() || *share < 0.0 {
            return Err(TrainError::Row(format!("the share of `{group}` is {share}")));
        }
        let lacks = |lessons: &Lessons| *share > 0.0 && lessons.get(group).is_none_or(Vec::is_empty);
        if let Some(k) = pictures.iter().position(lacks) {
            return Err(TrainError::Row(format!("picture {k} has no dialogue of group `{group}`")));
        }
    }
    match curriculum.phases.iter().find(|phase| phase.mixture.iter().map(|(_, share)| share).sum::<f64>() <= 0.0) {
        Some(_) => Err(TrainError::Row("a phase's mixture has no share above 0".to_owned())),
        None => Ok(()),
    }
}

/// Returns the lessons of a step by group: pictures in the order of their epoch, a group for each drawn by its share.
fn choose<'a>(
    pictures: &'a [Lessons],
    curriculum: &Curriculum,
    phase: &'a Phase,
    step: u32,
) -> BTreeMap<&'a str, Vec<(usize, &'a Row)>> {
    let batches = pictures.len() / curriculum.batch;
    let (epoch, batch) = (step as usize / batches, step as usize % batches);
    let order = permutation(pictures.len(), stream(curriculum.seed, 0, epoch as u64));
    let mut draws = stream(curriculum.seed, 1, u64::from(step));
    let mut chosen: BTreeMap<&str, Vec<(usize, &Row)>> = BTreeMap::new();
    for &k in &order[batch * curriculum.batch..(batch + 1) * curriculum.batch] {
        let group = draw(&phase.mixture, unit(&mut draws));
        let rows = &pictures[k][group];
        let row = &rows[(unit(&mut draws) * rows.len() as f64) as usize];
        chosen.entry(group).or_default().push((k, row));
    }
    chosen
}

fn draw(mixture: &[(String, f64)], at: f64) -> &str {
    let mut left = at * mixture.iter().map(|(_, share)| share).sum::<f64>();
    for (group, share) in mixture {
        if left < *share {
            return group;
        }
        left -= share;
    }
    // Rounding may leave a little; it is the last group's that has a share.
    let last = mixture.iter().rfind(|(_, share)| *share > 0.0);
    &last.expect("check() refuses a mixture without a share").0
}
