//! `scenes`: composes pictures of the tiny world, with their ground truth and, if asked, dialogues about them to train a base
//! model on. Everything follows from the seed, the split and the scene's number.

use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::{FileEntry, FileSet, Rows};
use sentinel_core::job::Job;
use sentinel_core::stage::{Shape, Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work, to_rows};
use sentinel_domain::ports::{Engines, SPLITS, Scene, SceneDialogue, Scenes};
use sentinel_domain::records::{Description, Dialogue, Memory};
use serde::Deserialize;
use serde_json::Value;

use crate::kind::{Entry, Given, Parsed, config};

pub(crate) static ENTRY: Entry = Entry {
    name: "scenes",
    summary: "composes pictures of the tiny world, with their ground truth",
    schema: || schema_for!(Config),
    parse,
    shapes,
};

/// What `scenes` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// How many pictures.
    #[schemars(range(min = 1, max = 1_000_000))]
    count: u32,
    /// Which part of the world, for example `train` or `held-out`: two parts have no picture in common.
    #[schemars(extend("enum" = SPLITS))]
    split: String,
    /// What is asked about each picture.
    #[serde(default = "question")]
    question: String,
    /// Also makes dialogues to train a base model on.
    dialogues: Option<Dialogues>,
}

/// How dialogues are made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dialogues {
    /// Share of describing sentences that name an expected object though it is absent.
    #[schemars(range(min = 0.0, max = 1.0))]
    hallucination: f64,
}

fn question() -> String {
    "Describe this picture.".to_owned()
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    Ok(Box::new(Compose { config: config(with)?, engines: given.engines.clone() }))
}

struct Compose {
    config: Config,
    engines: Arc<dyn Engines>,
}

fn shape(talks: bool) -> Shape {
    let outputs = [Slot::rows("descriptions", "descriptions"), Slot::files("annotations", "annotations")];
    let dialogues = talks.then_some(Slot::rows("dialogues", "dialogues"));
    Shape::whole([], outputs.into_iter().chain(dialogues).collect::<Vec<_>>())
}

fn shapes(with: &Value) -> Vec<Shape> {
    let silent = with.get("dialogues").is_none().then_some(false);
    silent.into_iter().chain([true]).map(shape).collect()
}

impl Stage for Compose {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.config.dialogues.is_some()).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.config.dialogues.is_some()).outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn draws(&self) -> bool {
        true
    }
    fn engine(&self) -> Option<String> {
        Some(self.engines.catalogue().scenes_engine.clone())
    }
    fn work(&self) -> Work<'_> {
        Work::Whole(self)
    }
}

/// Scenes that are composed at once; between two rounds the runner is told how far the work is.
const ROUND: u32 = 256;

impl WholeStage for Compose {
    fn run(&self, _: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let composer = self.engines.scenes();
        let mut composed = Vec::with_capacity(self.config.count as usize);
        let mut next = 0;
        while next < self.config.count {
            if job.cancelled() {
                return Err(StageError::Cancelled);
            }
            let end = self.config.count.min(next + ROUND);
            composed.extend(self.round(&*composer, next..end, job)?);
            next = end;
            job.progress(u64::from(next), u64::from(self.config.count), "pictures", &[]);
        }
        let (scenes, rest): (Vec<Scene>, Vec<(Units, Units)>) = composed.into_iter().unzip();
        let (descriptions, dialogues): (Vec<Units>, Vec<Units>) = rest.into_iter().unzip();
        let truth = composer.annotations(&scenes)?;
        let entry = FileEntry { digest: job.put_blob(&truth)?, bytes: truth.len() as u64 };
        let annotations = FileSet { files: [("annotations.json".to_owned(), entry)].into() };
        let mut outputs =
            vec![WholeOutput::Rows(descriptions.into_iter().flatten().collect()), WholeOutput::Files(annotations)];
        outputs.extend(
            self.config.dialogues.as_ref().map(|_| WholeOutput::Rows(dialogues.into_iter().flatten().collect())),
        );
        Ok(outputs)
    }
}

type Units = Vec<(Arc<str>, Rows)>;
/// A scene without its picture, which is in the store; its description; its dialogues.
type Composed = (Scene, (Units, Units));

impl Compose {
    /// Composes some scenes side by side; what comes out does not depend on the number of threads.
    fn round(
        &self,
        composer: &dyn Scenes,
        numbers: std::ops::Range<u32>,
        job: &dyn Job,
    ) -> Result<Vec<Composed>, StageError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = job.exec().threads.map_or(cores, |threads| threads as usize);
        let numbers: Vec<u32> = numbers.collect();
        let share = numbers.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let work =
                |numbers: &'_ [u32]| numbers.iter().map(|number| self.one(composer, *number, job)).collect::<Vec<_>>();
            let working: Vec<_> = numbers.chunks(share).map(|numbers| scope.spawn(move || work(numbers))).collect();
            let done = working
                .into_iter()
                .map(|thread| thread.join().map_err(|_| StageError::Bug("composing a scene panicked".to_owned())));
            done.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        })
    }

    fn one(&self, composer: &dyn Scenes, number: u32, job: &dyn Job) -> Result<Composed, StageError> {
        let Config { count: _, split, question, dialogues } = &self.config;
        let mut scene = composer.compose(job.seed(), split, number)?;
        let picture = job.put_blob(&std::mem::take(&mut scene.png))?;
        let image_path = format!("{}.png", scene.id);
        let (id, question, memory) = (scene.id.clone(), question.clone(), Memory::default());
        let talks = match dialogues {
            Some(Dialogues { hallucination }) => composer.dialogues(job.seed(), &scene, *hallucination)?,
            None => Vec::new(),
        };
        let dialogue = |SceneDialogue { group, question, answer }| Dialogue {
            id: id.clone(),
            picture,
            image_path: image_path.clone(),
            question,
            answer,
            group,
        };
        let unit: Arc<str> = id.as_str().into();
        let dialogues = vec![(unit.clone(), to_rows(talks.into_iter().map(dialogue)))];
        let description = Description {
            id,
            picture,
            image_path,
            question,
            context: Vec::new(),
            named: Vec::new(),
            memory,
            end: None,
        };
        Ok((scene, (vec![(unit, to_rows([description]))], dialogues)))
    }
}
