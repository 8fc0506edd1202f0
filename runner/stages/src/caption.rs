//! `caption`: completes each description to its end, greedily by default.

use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::digest::Digest;
use sentinel_core::job::Job;
use sentinel_core::report::{ReportIo, Tone, Widget};
use sentinel_core::stage::{
    Fault, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, parse_rows, to_rows,
};
use sentinel_domain::config::VlmName;
use sentinel_domain::ports::{Captioned, Captioning, Engines, Prompt, Sampling};
use sentinel_domain::records::Caption;
use serde::Deserialize;
use serde_json::Value;

use crate::gallery::{self, CARDS_MAX};
use crate::kind::{Entry, Given, JobWatch, Parsed, config, each_answered};
use crate::sample::{Asked, EndRule};
use crate::speaker::Speaker;

pub(crate) static ENTRY: Entry = Entry {
    name: "caption",
    summary: "completes each description to its end",
    schema: || schema_for!(Config),
    parse,
    shapes: |with| Speaker::possible(with).map(shape).collect(),
};

/// What `caption` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The model, an entry of `models:`; without it, `needs.model` takes a checkpoint another stage made.
    model: Option<VlmName>,
    /// Softmax temperature; 0 always takes the likeliest token.
    #[schemars(range(min = 0.0, max = 100.0))]
    temperature: f32,
    /// Probability mass of the likeliest tokens kept (nucleus sampling); 1 keeps all.
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: f32,
    /// How many of the likeliest tokens are kept; 0 keeps all.
    top_k: u32,
    /// Most tokens of a caption.
    #[schemars(range(min = 1, max = 4096))]
    max_tokens: u32,
    /// Most sentences of a caption.
    #[schemars(range(min = 1, max = 1024))]
    max_sentences: u32,
    /// What ends a sentence.
    sentence_end: EndRule,
    /// Name of the random stream.
    stream: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        let (top_p, top_k, max_tokens, max_sentences) = (1.0, 0, 512, 64);
        let sentence_end = EndRule::Text;
        Self { model: None, temperature: 0.0, top_p, top_k, max_tokens, max_sentences, sentence_end, stream: None }
    }
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let config: Config = config(with)?;
    let model = Speaker::of(config.model.as_ref(), given)?;
    Ok(Box::new(Complete { config, model, engines: given.engines.clone() }))
}

struct Complete {
    config: Config,
    model: Speaker,
    engines: Arc<dyn Engines>,
}

fn shape(model: Vec<Slot>) -> Shape {
    let descriptions =
        Slot::rows("descriptions", "descriptions").view(&["picture", "image_path", "question", "context"]);
    Shape::units(std::iter::once(descriptions).chain(model).collect::<Vec<_>>(), [Slot::rows("captions", "captions")])
}

impl Stage for Complete {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.model.inputs()).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.model.inputs()).outputs
    }
    fn version(&self) -> u32 {
        2
    }
    /// A greedy caption depends on no seed.
    fn draws(&self) -> bool {
        self.config.temperature > 0.0
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

    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        let some = io.some_rows("captions", CARDS_MAX)?;
        let mut cards = Vec::new();
        for unit in &some.units {
            for Caption { id, picture, sentences, .. } in parse_rows::<Caption>("captions", &unit.rows)? {
                let lines = sentences.iter().map(|sentence| gallery::line(None, sentence, Tone::Plain)).collect();
                cards.push(gallery::card(&id, Some(picture), lines));
            }
        }
        Ok(gallery::of("captions", &[], (cards, some.records)))
    }
}

impl UnitStage for Complete {
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let Some(first) = units.first() else { return Ok(Vec::new()) };
        let (vlm, adapter) = self.model.open(first, &*self.engines, job)?;
        let asked = units.iter().map(|unit| Asked::of(unit, job)).collect::<Result<Vec<_>, _>>()?;
        let prompts: Vec<Prompt<'_>> = asked.iter().map(Asked::prompt).collect();
        let answers = vlm.caption(&prompts, &self.captioning(job.seed()), adapter.as_ref(), &JobWatch(job))?;
        let answers = each_answered(answers, units.len())?;
        let rows = |(unit, answer): (&Unit, Result<Captioned, Fault>)| match answer {
            Ok(captioned) => Ok(Ok(vec![to_rows([caption(unit, captioned)?])])),
            Err(fault) => Ok(Err(fault)),
        };
        units.iter().zip(answers).map(rows).collect()
    }
}

impl Complete {
    fn captioning(&self, seed: u64) -> Captioning {
        let Config { model: _, temperature, top_p, top_k, max_tokens, max_sentences, sentence_end, ref stream } =
            self.config;
        let (n, sentence_end) = (1, sentence_end.into());
        let stream = stream.clone().unwrap_or_else(|| ENTRY.name.to_owned());
        let sampling = Sampling { n, temperature, top_p, top_k, max_tokens, sentence_end, seed, stream };
        Captioning { sampling, max_tokens, max_sentences }
    }
}

#[derive(Deserialize)]
struct View {
    picture: Digest,
    image_path: String,
    question: String,
}

fn caption(unit: &Unit, captioned: Captioned) -> Result<Caption, StageError> {
    let View { picture, image_path, question } = unit.one("descriptions")?;
    let Captioned { sentences, cut, tokens } = captioned;
    Ok(Caption { id: unit.id.to_string(), picture, image_path, question, sentences, cut, tokens })
}
