//! Learning a LoRA adapter from preference pairs with a loss of `LOSSES` over pairs. The reference is the base with the adapter
//! left out; its log-probabilities are made once.

use std::cell::Cell;

use candle_core::Tensor;
use rayon::prelude::*;
use sentinel_core::digest::Digest;
use sentinel_domain::ports::{PreferenceTask, TrainLog, Watch};
use sentinel_domain::records::Pair;
use sentinel_models::layers::Adapter;
use sentinel_models::model::Model;
use sentinel_models::weights::{Checkpoint, Weights};

use crate::base::{Base, Features, Prompts};
use crate::fit::{Fit, Slope};
use crate::log::Log;
use crate::lora::{LoraVars, Shape};
use crate::losses::{LOSSES, Over, PairLoss};
use crate::optimizer::{AdamW, Gradients, Moments};
use crate::pairs::{self, PairIds, pair_logps};
use crate::random::{permutation, stream};
use crate::schedule::Cosine;
use crate::{TrainError, adapter, checkpoint};

/// Pairs run together; part of the order in which gradients are summed, so never derived from the machine.
const TOGETHER: usize = 4;
/// Pairs the reference is asked about between two tellings of progress.
const ROUND: usize = 64;
/// The stream that orders the pairs.
const ORDER: u64 = 0;
const READINGS: [&str; 5] = ["loss", "margin", "accuracy", "learning_rate", "gradient_norm"];

/// A pair ready to be learnt from.
struct Lesson {
    picture: Digest,
    ids: PairIds,
    /// The reference's log-probabilities of chosen and rejected.
    reference: (f32, f32),
}

/// Trains an adapter and writes it to `task.out`.
pub(crate) fn train(task: &PreferenceTask<'_>, watch: &dyn Watch) -> Result<TrainLog, TrainError> {
    let loss = check(task)?;
    let base = Base::open(task.base)?;
    let weights = Weights::Frozen(Checkpoint::open(&base.dir, &base.device)?);
    let model = Model::take(&weights, &base.config, &base.device)?;
    let mut features = Features::of(&base, &model, task.pictures);
    let lessons = lessons(task, &base, &model, &mut features, watch)?;
    let lora = lora(task, &base)?;
    let standing = checkpoint::load(task.checkpoints, &lora.vars)?;
    let (mut moments, readings) = match standing {
        Some(standing) => (standing.moments, standing.readings),
        None => (Moments::zero(&lora.vars)?, Vec::new()),
    };
    let optim = &task.optim;
    let batches = Batches { pairs: lessons.len(), batch: optim.batch.max(1) as usize, seed: optim.seed };
    let steps = batches.steps(optim.epochs).min(optim.max_steps.unwrap_or(u32::MAX));
    let schedule = Cosine { peak: optim.learning_rate, floor: 0.0, warmup: optim.warmup, steps };
    let (beta_1, beta_2) = optim.betas;
    let optimizer = AdamW { beta_1, beta_2, eps: 1e-8, weight_decay: optim.weight_decay };
    let fit = Fit { vars: &lora.vars, optimizer, schedule: schedule.into(), clip: optim.clip };
    let policy = Policy { model: &model, lora: &lora, loss, beta: task.beta };
    let told = Cell::new((0.0, 0.0));
    let slope = |step| {
        let chosen: Vec<&Lesson> = batches.of(step).into_iter().map(|index| &lessons[index]).collect();
        let step = Step::of(&policy, &mut features, &chosen)?;
        told.set((step.margin, step.accuracy));
        Ok(step.slope)
    };
    let mut log = Log::new(&READINGS, readings, steps, task.checkpoints, optim.checkpoint_every, watch);
    fit.run(&mut moments, slope, |reading, moments| {
        let (margin, accuracy) = told.get();
        let row = vec![reading.loss, margin, accuracy, reading.learning_rate, reading.gradient_norm];
        log.after(row, &lora.vars, moments)
    })?;
    adapter::write(task.out, &lora, "base")?;
    Ok(log.done())
}

/// Finds the loss; a mistake in the task is told before anything is opened.
fn check(task: &PreferenceTask<'_>) -> Result<PairLoss, TrainError> {
    let over_pairs = LOSSES.iter().filter_map(|loss| match loss.over {
        Over::Pairs(of) => Some((loss.name, of)),
        Over::Tokens => None,
    });
    let mistake = match over_pairs.clone().find(|(name, _)| *name == task.loss) {
        None => {
            let names: Vec<&str> = over_pairs.map(|(name, _)| name).collect();
            format!("loss `{}` learns from no pairs; there are {}", task.loss, names.join(", "))
        }
        _ if task.pairs.is_empty() => "there are no pairs to learn from".to_owned(),
        _ if task.rank == 0 => "an adapter of rank 0 learns nothing".to_owned(),
        _ if !(task.alpha.is_finite() && task.beta.is_finite() && task.beta > 0.0) => {
            format!("beta is {}, above 0 expected; alpha is {}", task.beta, task.alpha)
        }
        Some((_, loss)) => return Ok(loss),
    };
    Err(TrainError::Row(mistake))
}

/// Returns the trainable adapter: a fresh one, or the one to start from.
fn lora(task: &PreferenceTask<'_>, base: &Base) -> Result<LoraVars, TrainError> {
    let shape = Shape { rank: task.rank as usize, alpha: task.alpha };
    match task.start {
        None => LoraVars::fresh(&base.config.text, shape, task.optim.seed, &base.device),
        Some(start) => {
            let start = sentinel_models::adapter::read(&start.dir, &base.config.text, &base.device)?;
            LoraVars::from(&start, &base.config.text, shape)
        }
    }
}

/// Tokenises all pairs and asks the reference about them.
fn lessons(
    task: &PreferenceTask<'_>,
    base: &Base,
    model: &Model,
    features: &mut Features<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Lesson>, TrainError> {
    let mut prompts = Prompts::of(base, task.pictures);
    let mut lessons = Vec::with_capacity(task.pairs.len());
    for pair in task.pairs {
        let ids = ids(pair, base, &mut prompts, task.learn_end)?;
        pairs::check(model, &[&ids])?;
        lessons.push(Lesson { picture: pair.picture, ids, reference: (0.0, 0.0) });
    }
    let total = lessons.len() as u64;
    let mut done = 0;
    for round in lessons.chunks_mut(ROUND) {
        if watch.cancelled() {
            return Err(TrainError::Cancelled);
        }
        let sorted = by_length(&round.iter().collect::<Vec<_>>());
        let groups = Group::all(&sorted.iter().map(|at| &round[*at]).collect::<Vec<_>>(), features)?;
        let made = groups.par_iter().map(|group| group.reference(model)).collect::<Result<Vec<_>, _>>()?;
        for (at, reference) in sorted.into_iter().zip(made.concat()) {
            round[at].reference = reference;
        }
        done += round.len() as u64;
        watch.progress(done, total, "reference", &[]);
    }
    Ok(lessons)
}

/// Returns the places of lessons sorted by length: those of about one length are run together, and little is padded.
fn by_length(lessons: &[&Lesson]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..lessons.len()).collect();
    places.sort_by_key(|at| lessons[*at].ids.len());
    places
}

/// Tokenises a pair: prompt and context before it, both sentences, and the end of the description where it is learnt.
fn ids(pair: &Pair, base: &Base, prompts: &mut Prompts<'_>, learn_end: bool) -> Result<PairIds, TrainError> {
    let (prompt, place) = prompts.get(&pair.question, &pair.picture)?;
    let end = (learn_end && pair.is_last).then(|| base.text.end());
    let side = |sentence: &str| -> Result<Vec<u32>, TrainError> {
        let ids = base.sentence(sentence, pair.context.is_empty())?;
        if ids.is_empty() {
            let (id, step) = (&pair.id, pair.step);
            return Err(TrainError::Row(format!("the pair of `{id}` at step {step} has an empty sentence")));
        }
        Ok(ids.into_iter().chain(end).collect())
    };
    Ok(PairIds {
        prefix: base.ids(prompt, &pair.context)?,
        image_at: prompt.image_at,
        place,
        chosen: side(&pair.chosen)?,
        rejected: side(&pair.rejected)?,
    })
}

/// Pairs that are run together, with their pictures' features.
struct Group<'a> {
    lessons: Vec<&'a Lesson>,
    features: Vec<Tensor>,
}

impl<'a> Group<'a> {
    fn all(lessons: &[&'a Lesson], features: &mut Features<'_>) -> Result<Vec<Self>, TrainError> {
        let group = |lessons: &[&'a Lesson]| {
            let pictures: Vec<Digest> = lessons.iter().map(|lesson| lesson.picture).collect();
            Ok(Self { features: features.get(&pictures)?, lessons: lessons.to_vec() })
        };
        lessons.chunks(TOGETHER).map(group).collect()
    }

    /// Returns the log-probabilities of the chosen and of the rejected sentences.
    fn logps(&self, model: &Model, adapter: Option<&Adapter>) -> Result<(Tensor, Tensor), TrainError> {
        let ids: Vec<&PairIds> = self.lessons.iter().map(|lesson| &lesson.ids).collect();
        pair_logps(model, &self.features, &ids, adapter)
    }

    /// Returns the reference's log-probabilities of each pair.
    fn reference(&self, model: &Model) -> Result<Vec<(f32, f32)>, TrainError> {
        let (chosen, rejected) = self.logps(model, None)?;
        Ok(chosen.to_vec1()?.into_iter().zip(rejected.to_vec1()?).collect())
    }

    /// Returns this group's part of a batch's loss, with gradients, and its margins.
    fn slope(&self, policy: &Policy<'_>, batch: usize) -> Result<(Slope, Vec<f32>), TrainError> {
        let (chosen, rejected) = self.logps(policy.model, Some(&policy.lora.adapter()))?;
        let reference = |side: fn(&Lesson) -> f32| {
            let values: Vec<f32> = self.lessons.iter().map(|lesson| side(lesson)).collect();
            Tensor::from_vec(values, self.lessons.len(), chosen.device())
        };
        let (reference_chosen, reference_rejected) =
            (reference(|lesson| lesson.reference.0)?, reference(|lesson| lesson.reference.1)?);
        let preference = (policy.loss)(&chosen, &rejected, &reference_chosen, &reference_rejected, policy.beta)?;
        let share = self.lessons.len() as f64 / batch as f64;
        Ok((Slope::of(&policy.lora.vars, &(preference.loss * share)?)?, preference.margins.to_vec1()?))
    }
}

/// What is learnt with.
struct Policy<'a> {
    model: &'a Model,
    lora: &'a LoraVars,
    loss: PairLoss,
    beta: f64,
}

/// A step's loss and gradients, the mean margin, and the share of pairs with a positive one.
struct Step {
    slope: Slope,
    margin: f64,
    accuracy: f64,
}

impl Step {
    /// Runs a batch in groups, side by side. Groups do not depend on the number of threads, and are added in order.
    fn of(policy: &Policy<'_>, features: &mut Features<'_>, batch: &[&Lesson]) -> Result<Self, TrainError> {
        let sorted: Vec<&Lesson> = by_length(batch).into_iter().map(|at| batch[at]).collect();
        let groups = Group::all(&sorted, features)?;
        let parts: Vec<(Slope, Vec<f32>)> =
            groups.par_iter().map(|group| group.slope(policy, batch.len())).collect::<Result<_, _>>()?;
        let (slopes, margins): (Vec<Slope>, Vec<Vec<f32>>) = parts.into_iter().unzip();
        let mut slope = Slope { loss: 0.0, gradients: Gradients::new() };
        for part in slopes {
            slope = slope.plus(part)?;
        }
        let (margins, count) = (margins.concat(), batch.len() as f64);
        let margin = margins.iter().map(|margin| f64::from(*margin)).sum::<f64>() / count;
        let accuracy = margins.iter().filter(|margin| **margin > 0.0).count() as f64 / count;
        Ok(Self { slope, margin, accuracy })
    }
}

/// Which pairs stand in which batch: every epoch in an order of its own, which follows from the seed alone.
struct Batches {
    pairs: usize,
    batch: usize,
    seed: u64,
}

impl Batches {
    fn an_epoch(&self) -> usize {
        self.pairs.div_ceil(self.batch)
    }

    fn steps(&self, epochs: f64) -> u32 {
        (self.an_epoch() as f64 * epochs).ceil() as u32
    }

    fn of(&self, step: u32) -> Vec<usize> {
        let (epoch, batch) = (step as usize / self.an_epoch(), step as usize % self.an_epoch());
        let order = permutation(self.pairs, stream(self.seed, ORDER, epoch as u64));
        order.into_iter().skip(batch * self.batch).take(self.batch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_pair_once_in_another_order() {
        let batches = Batches { pairs: 10, batch: 4, seed: 3 };
        assert_eq!(batches.steps(2.0), 6);
        let epoch = |first: u32| (first..first + 3).flat_map(|step| batches.of(step)).collect::<Vec<_>>();
        let (first, second) = (epoch(0), epoch(3));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(batches.of(2).len(), 2);
    }
}
