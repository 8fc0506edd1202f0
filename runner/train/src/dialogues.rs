//! Training all parameters on dialogues with next-token loss: dialogues become lessons by picture, a curriculum of phases runs over
//! them, and the result is a Hugging Face directory.

use std::collections::BTreeMap;

use sentinel_core::digest::Digest;
use sentinel_domain::ports::{NextTokenTask, TrainLog, Watch};
use sentinel_models::families::Family;
use sentinel_models::model::Model;
use sentinel_models::weights::{Checkpoint, Variables, Weights};

use crate::base::{Base, Prompts};
use crate::full::{Curriculum, Lessons, Phase};
use crate::log::Log;
use crate::optimizer::{AdamW, Moments};
use crate::rows::Row;
use crate::schedule::Cosine;
use crate::{TrainError, checkpoint, fresh, full, model};

const READINGS: [&str; 3] = ["loss", "learning_rate", "gradient_norm"];

/// Trains a model and writes it to `task.out`.
pub(crate) fn train(task: &NextTokenTask<'_>, watch: &dyn Watch) -> Result<TrainLog, TrainError> {
    let base = Base::open(task.base)?;
    // Only of this family are first values and published names known here.
    let Family::Llava(llava) = &base.config.family else {
        let family = base.config.family.model_type();
        return Err(TrainError::Row(format!("whole models of type `{family}` cannot be trained; supported: llava")));
    };
    let weights = Weights::Trained(match task.fresh {
        true => Variables::fresh(&base.device, fresh::initialiser(llava, task.optim.seed)),
        false => Variables::of(Checkpoint::open(&base.dir, &base.device)?),
    });
    let model = Model::take(&weights, &base.config, &base.device)?;
    let Weights::Trained(variables) = &weights else { unreachable!("made above") };
    let vars = variables.all();
    let (pictures, lessons) = lessons(task, &base)?;
    let curriculum = curriculum(task);
    let steps = curriculum.phases.iter().map(|phase| phase.schedule.steps).sum();
    let (mut moments, readings) = match checkpoint::load(task.checkpoints, &vars)? {
        Some(standing) => (standing.moments, standing.readings),
        None => (Moments::zero(&vars)?, Vec::new()),
    };
    let mut log = Log::new(&READINGS, readings, steps, task.checkpoints, task.optim.checkpoint_every, watch);
    let prepared = |numbers: &[usize]| {
        let digests: Vec<Digest> = numbers.iter().map(|number| pictures[*number]).collect();
        base.pictures(&digests, task.pictures)
    };
    full::train(&model, &vars, &lessons, &curriculum, &mut moments, prepared, |reading, moments| {
        log.after(vec![reading.loss, reading.learning_rate, reading.gradient_norm], &vars, moments)
    })?;
    model::write(task.out, &vars, task.half)?;
    model::copy_rest(&base.dir, task.out)?;
    Ok(log.done())
}

/// Tokenises dialogues, picture by picture in the order in which pictures first appear.
fn lessons(task: &NextTokenTask<'_>, base: &Base) -> Result<(Vec<Digest>, Vec<Lessons>), TrainError> {
    let mut prompts = Prompts::of(base, task.pictures);
    let (mut pictures, mut lessons): (Vec<Digest>, Vec<Lessons>) = Default::default();
    let mut numbers: BTreeMap<Digest, usize> = BTreeMap::new();
    for dialogue in task.dialogues {
        let number = *numbers.entry(dialogue.picture).or_insert_with(|| {
            pictures.push(dialogue.picture);
            lessons.push(Lessons::new());
            pictures.len() - 1
        });
        let (prompt, place) = prompts.get(&dialogue.question, &dialogue.picture)?;
        let mut ids = base.ids(prompt, &dialogue.answer)?;
        ids.push(base.text.end());
        let learnt = prompt.ids.len()..ids.len();
        let row = Row { ids, image_at: prompt.image_at, place, learnt };
        lessons[number].entry(dialogue.group.clone()).or_default().push(row);
    }
    Ok((pictures, lessons))
}

fn curriculum(task: &NextTokenTask<'_>) -> Curriculum {
    let phase = |phase: &sentinel_domain::ports::Phase| Phase {
        mixture: phase.mixture.clone(),
        schedule: Cosine {
            peak: phase.learning_rate,
            floor: phase.final_learning_rate,
            warmup: phase.warmup,
            steps: phase.steps,
        },
    };
    let (beta_1, beta_2) = task.optim.betas;
    Curriculum {
        phases: task.phases.iter().map(phase).collect(),
        batch: task.optim.batch as usize,
        optimizer: AdamW { beta_1, beta_2, eps: 1e-8, weight_decay: task.optim.weight_decay },
        clip: task.optim.clip,
        seed: task.optim.seed,
    }
}
