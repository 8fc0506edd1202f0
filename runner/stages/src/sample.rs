//! `sample`: draws candidate next sentences for each description. What is drawn is the model's business; this stage says what
//! it may see: the picture, the question and the context, never the verdicts so far.

use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::digest::Digest;
use sentinel_core::job::Job;
use sentinel_core::stage::{Fault, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, to_rows};
use sentinel_domain::config::VlmName;
use sentinel_domain::ports::{Engines, Prompt, Sampling, SentenceEnd};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::{Entry, Given, JobWatch, Parsed, config, each_answered};
use crate::speaker::Speaker;

pub(crate) static ENTRY: Entry = Entry {
    name: "sample",
    summary: "draws candidate next sentences for each description",
    schema: || schema_for!(Config),
    parse,
    shapes: |with| Speaker::possible(with).map(shape).collect(),
};

/// What `sample` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The model, an entry of `models:`; without it, `needs.model` takes a checkpoint another stage made.
    model: Option<VlmName>,
    /// Candidates for each description.
    #[schemars(range(min = 1, max = 256))]
    n: u32,
    /// Softmax temperature; 0 always takes the likeliest token.
    #[schemars(range(min = 0.0, max = 100.0))]
    temperature: f32,
    /// Probability mass of the likeliest tokens kept (nucleus sampling); 1 keeps all.
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: f32,
    /// How many of the likeliest tokens are kept; 0 keeps all.
    top_k: u32,
    /// Most tokens of a sentence.
    #[schemars(range(min = 1, max = 4096))]
    max_tokens: u32,
    /// What ends a sentence.
    sentence_end: EndRule,
    /// Name of the random stream; two stages with the same name, model and inputs draw the same sentences.
    stream: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        let (top_p, top_k, max_tokens) = (1.0, 0, 512);
        Self {
            model: None,
            n: 10,
            temperature: 0.7,
            top_p,
            top_k,
            max_tokens,
            sentence_end: EndRule::Text,
            stream: None,
        }
    }
}

/// What ends a sentence.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndRule {
    /// The text read as English: `3.5`, `Mr.` and a list's `1.` end none, a closing quote belongs to its sentence.
    Text,
    /// The released code's rule: the token of `.`, `!` or `?`.
    Tokens,
}

impl From<EndRule> for SentenceEnd {
    fn from(rule: EndRule) -> Self {
        match rule {
            EndRule::Text => Self::Text,
            EndRule::Tokens => Self::Tokens,
        }
    }
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let config: Config = config(with)?;
    let model = Speaker::of(config.model.as_ref(), given)?;
    Ok(Box::new(Sample { config, model, engines: given.engines.clone() }))
}

struct Sample {
    config: Config,
    model: Speaker,
    engines: Arc<dyn Engines>,
}

fn shape(model: Vec<Slot>) -> Shape {
    let descriptions = Slot::rows("descriptions", "descriptions").view(&["picture", "question", "context"]);
    Shape::units(std::iter::once(descriptions).chain(model).collect::<Vec<_>>(), [Slot::rows("sentences", "sentences")])
}

impl Stage for Sample {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.model.inputs()).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.model.inputs()).outputs
    }
    fn version(&self) -> u32 {
        2
    }
    fn draws(&self) -> bool {
        true
    }
    fn stream(&self) -> Option<&str> {
        self.config.stream.as_deref()
    }
    fn engine(&self) -> Option<String> {
        Some(self.model.engine(&*self.engines))
    }
    fn uses_device(&self) -> bool {
        matches!(self.model, Speaker::Files(_))
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }
}

impl UnitStage for Sample {
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let Some(first) = units.first() else { return Ok(Vec::new()) };
        let (vlm, adapter) = self.model.open(first, &*self.engines, job)?;
        let asked = units.iter().map(|unit| Asked::of(unit, job)).collect::<Result<Vec<_>, _>>()?;
        let prompts: Vec<Prompt<'_>> = asked.iter().map(Asked::prompt).collect();
        let answers = vlm.sample(&prompts, &self.sampling(job.seed()), adapter.as_ref(), &JobWatch(job))?;
        let answers = each_answered(answers, units.len())?;
        Ok(answers.into_iter().map(|answer| answer.map(|sentences| vec![to_rows(sentences)])).collect())
    }
}

impl Sample {
    fn sampling(&self, seed: u64) -> Sampling {
        let Config { model: _, n, temperature, top_p, top_k, max_tokens, sentence_end, ref stream } = self.config;
        let stream = stream.clone().unwrap_or_else(|| ENTRY.name.to_owned());
        Sampling { n, temperature, top_p, top_k, max_tokens, sentence_end: sentence_end.into(), seed, stream }
    }
}

/// A description as a model sees it.
pub(crate) struct Asked<'a> {
    unit: &'a Unit,
    view: View,
    bytes: Arc<Vec<u8>>,
}

#[derive(Deserialize)]
struct View {
    picture: Digest,
    question: String,
    context: Vec<String>,
}

impl<'a> Asked<'a> {
    /// Reads what a model sees of a unit's description, and its picture.
    pub(crate) fn of(unit: &'a Unit, job: &dyn Job) -> Result<Self, StageError> {
        let view: View = unit.one("descriptions")?;
        let bytes = Arc::new(job.blob(view.picture)?);
        Ok(Self { unit, view, bytes })
    }

    /// Returns the request to the model.
    pub(crate) fn prompt(&self) -> Prompt<'_> {
        Prompt {
            id: &self.unit.id,
            step: self.unit.step,
            picture: self.view.picture,
            bytes: self.bytes.clone(),
            question: &self.view.question,
            context: &self.view.context,
        }
    }
}
