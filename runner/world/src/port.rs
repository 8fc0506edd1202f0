//! The composer behind the `Scenes` port: scenes leave as PNG bytes and a truth in JSON, and come back as they left.

use sentinel_domain::ports::{EngineError, Scene as PortScene, SceneDialogue, Scenes};

use crate::{Truth, WorldError, annotations, compose, dialogues};

/// Identity of the composer for keys; a changed picture, truth or dialogue needs a new number.
pub const ENGINE: &str = "tiny-world 4";

/// The tiny world, as the stages see it.
#[derive(Debug, Clone, Copy)]
pub struct TinyWorld;

impl Scenes for TinyWorld {
    fn compose(&self, seed: u64, split: &str, index: u32) -> Result<PortScene, EngineError> {
        let scene = compose(seed, split, index)?;
        let truth = serde_json::to_string(&scene.truth).expect("a truth is plain structs, which always serialise");
        Ok(PortScene { png: scene.png(), id: scene.id, truth })
    }

    fn annotations(&self, scenes: &[PortScene]) -> Result<Vec<u8>, EngineError> {
        let truths = scenes.iter().map(truth).collect::<Result<Vec<_>, _>>()?;
        Ok(annotations(scenes.iter().zip(&truths).map(|(scene, truth)| (scene.id.as_str(), truth)))?)
    }

    fn dialogues(&self, seed: u64, scene: &PortScene, hallucination: f64) -> Result<Vec<SceneDialogue>, EngineError> {
        let talks = dialogues(seed, &truth(scene)?, hallucination as f32)?;
        let row = |talk: crate::Talk| SceneDialogue {
            group: talk.group.to_owned(),
            question: talk.question.to_owned(),
            answer: talk.answer,
        };
        Ok(talks.into_iter().map(row).collect())
    }
}

fn truth(scene: &PortScene) -> Result<Truth, WorldError> {
    serde_json::from_str(&scene.truth)
        .map_err(|error| WorldError::ForeignTruth { reason: format!("`{}`: {error}", scene.id) })
}

impl From<WorldError> for EngineError {
    fn from(error: WorldError) -> Self {
        Self::Refused(error.to_string())
    }
}
