//! Learning a LoRA adapter from preference pairs with C-DPO. The reference is the base with the adapter left out; its
//! log-probabilities are made once.

use std::cell::RefCell;

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sentinel_core::digest::Digest;
use sentinel_domain::ports::{PreferenceTask, TrainLog, Watch};
use sentinel_domain::records::Pair;
use sentinel_models::families::llava::Llava;
use sentinel_models::layers::Adapter;
use sentinel_models::weights::{Checkpoint, Weights};

use crate::base::{Base, Features, Prompts};
use crate::fit::Fit;
use crate::log::Log;
use crate::lora::{LoraVars, Shape};
use crate::losses::{LOSSES, c_dpo};
use crate::optimizer::{AdamW, Moments};
use crate::pairs::{PairIds, pair_logps};
use crate::schedule::Cosine;
use crate::{TrainError, adapter, checkpoint};

/// Pairs run together: more would not be faster, and shorter ones would be padded to longer ones.
const TOGETHER: usize = 8;
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
    if task.loss != "c-dpo" {
        return Err(TrainError::Row(format!(
            "loss `{}` learns from no pairs; there are {}",
            task.loss,
            LOSSES.join(", ")
        )));
    }
    let base = Base::open(task.base)?;
    let weights = Weights::Frozen(Checkpoint::open(&base.dir, &base.device)?);
    let model = Llava::take(&weights, &base.config, &base.device)?;
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
    let told = RefCell::new((0.0, 0.0));
    let loss = |step| {
        let chosen: Vec<&Lesson> = batches.of(step).into_iter().map(|index| &lessons[index]).collect();
        let (loss, margin, accuracy) = loss_of(&model, &mut features, &chosen, &lora.adapter(), task.beta)?;
        *told.borrow_mut() = (margin, accuracy);
        Ok(loss)
    };
    let mut log = Log::new(&READINGS, readings, steps, task.checkpoints, optim.checkpoint_every, watch);
    fit.run(&mut moments, loss, |reading, moments| {
        let (margin, accuracy) = *told.borrow();
        let row = vec![reading.loss, margin, accuracy, reading.learning_rate, reading.gradient_norm];
        log.after(row, &lora.vars, moments)
    })?;
    adapter::write(task.out, &lora, "base")?;
    Ok(log.done())
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

fn lessons(
    task: &PreferenceTask<'_>,
    base: &Base,
    model: &Llava,
    features: &mut Features<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Lesson>, TrainError> {
    let mut prompts = Prompts::of(base);
    let mut lessons = Vec::with_capacity(task.pairs.len());
    for pair in task.pairs {
        let ids = ids(pair, base, &mut prompts, task.learn_end)?;
        lessons.push(Lesson { picture: pair.picture, ids, reference: (0.0, 0.0) });
    }
    let total = lessons.len() as u64;
    let mut done = 0;
    for group in lessons.chunks_mut(TOGETHER) {
        if watch.cancelled() {
            return Err(TrainError::Cancelled);
        }
        let (chosen, rejected) = logps(model, features, &group.iter().collect::<Vec<_>>(), None)?;
        let (chosen, rejected) = (chosen.to_vec1::<f32>()?, rejected.to_vec1::<f32>()?);
        for (lesson, reference) in group.iter_mut().zip(chosen.into_iter().zip(rejected)) {
            lesson.reference = reference;
        }
        done += group.len() as u64;
        watch.progress(done, total, "reference", &[]);
    }
    Ok(lessons)
}

/// Tokenises a pair: prompt and context before it, both sentences, and the end of the description where it is learnt.
fn ids(pair: &Pair, base: &Base, prompts: &mut Prompts<'_>, learn_end: bool) -> Result<PairIds, TrainError> {
    let prompt = prompts.get(&pair.question)?;
    let end = (learn_end && pair.is_last).then(|| base.text.end());
    let side = |sentence: &str| -> Result<Vec<u32>, TrainError> {
        let ids = base.text.sentence(sentence)?;
        if ids.is_empty() {
            let (id, step) = (&pair.id, pair.step);
            return Err(TrainError::Row(format!("the pair of `{id}` at step {step} has an empty sentence")));
        }
        Ok(ids.into_iter().chain(end).collect())
    };
    Ok(PairIds {
        prefix: base.ids(prompt, &pair.context)?,
        image_at: prompt.image_at,
        chosen: side(&pair.chosen)?,
        rejected: side(&pair.rejected)?,
    })
}

fn logps(
    model: &Llava,
    features: &mut Features<'_>,
    lessons: &[&Lesson],
    adapter: Option<&Adapter>,
) -> Result<(Tensor, Tensor), TrainError> {
    let pictures: Vec<Digest> = lessons.iter().map(|lesson| lesson.picture).collect();
    let ids: Vec<PairIds> = lessons.iter().map(|lesson| lesson.ids.clone()).collect();
    pair_logps(model, &features.get(&pictures)?, &ids, adapter)
}

/// Returns the loss of a batch, the mean margin, and the share of pairs with a positive one.
fn loss_of(
    model: &Llava,
    features: &mut Features<'_>,
    batch: &[&Lesson],
    adapter: &Adapter,
    beta: f64,
) -> Result<(Tensor, f64, f64), TrainError> {
    // Pairs of about one length are run together, and little is padded.
    let mut sorted = batch.to_vec();
    sorted.sort_by_key(|lesson| lesson.ids.len());
    let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
    for group in sorted.chunks(TOGETHER) {
        let (group_chosen, group_rejected) = logps(model, features, group, Some(adapter))?;
        chosen.push(group_chosen);
        rejected.push(group_rejected);
    }
    let reference = |side: fn(&Lesson) -> f32| {
        let values: Vec<f32> = sorted.iter().map(|lesson| side(lesson)).collect();
        Tensor::from_vec(values, sorted.len(), &Device::Cpu)
    };
    let preference = c_dpo(
        &Tensor::cat(&chosen, 0)?,
        &Tensor::cat(&rejected, 0)?,
        &reference(|lesson| lesson.reference.0)?,
        &reference(|lesson| lesson.reference.1)?,
        beta,
    )?;
    let margins: Vec<f32> = preference.margins.to_vec1()?;
    let count = margins.len() as f64;
    let mean = margins.iter().map(|margin| f64::from(*margin)).sum::<f64>() / count;
    let positive = margins.iter().filter(|margin| **margin > 0.0).count() as f64 / count;
    Ok((preference.loss, mean, positive))
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
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        let mut order: Vec<usize> = (0..self.pairs).collect();
        for last in (1..self.pairs).rev() {
            order.swap(last, (u64::from(stream.next_u32()) * (last as u64 + 1) >> 32) as usize);
        }
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
