//! `extract`: finds the objects that sentences name, through an extractor plugin. What a plugin says is checked before it is
//! believed: a mention must stand where it claims to.

use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::job::Job;
use sentinel_core::stage::{Fault, Shape, Slot, Stage, StageError, Unit, UnitOutput, UnitStage, Work, to_rows};
use sentinel_domain::config::ExtractorName;
use sentinel_domain::ports::{Engines, PluginSpec};
use sentinel_domain::records::{Mention, Sentence};
use serde::Deserialize;
use serde_json::Value;

use crate::kind::{Entry, Given, Parsed, config, each_answered};
use crate::models;

pub(crate) static ENTRY: Entry = Entry {
    name: "extract",
    summary: "finds the objects that sentences name, by a plugin",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// What `extract` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The extractor, an entry of `plugins:`.
    plugin: ExtractorName,
    /// The plugin's own configuration; its manifest holds the schema.
    #[serde(default)]
    config: serde_json::Map<String, Value>,
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let Config { plugin, config } = config(with)?;
    let plugin = models::plugin(&plugin.0, given)?;
    Ok(Box::new(Extract { plugin, config: Value::Object(config).to_string(), engines: given.engines.clone() }))
}

struct Extract {
    plugin: PluginSpec,
    config: String,
    engines: Arc<dyn Engines>,
}

fn shape() -> Shape {
    Shape::units([Slot::rows("sentences", "sentences")], [Slot::rows("mentions", "mentions")])
}

impl Stage for Extract {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn engine(&self) -> Option<String> {
        Some(self.engines.catalogue().plugin_engine.clone())
    }
    fn work(&self) -> Work<'_> {
        Work::Units(self)
    }
}

impl UnitStage for Extract {
    fn run(&self, units: &[Unit], _: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let sentences = units.iter().map(|unit| unit.list("sentences")).collect::<Result<Vec<Vec<Sentence>>, _>>()?;
        let answers = self.engines.extractor(&self.plugin)?.extract(&self.config, &sentences)?;
        let answers = each_answered(answers, units.len())?;
        let checked = |(sentences, answer): (&Vec<Sentence>, Result<Vec<Mention>, Fault>)| {
            let mentions = answer?;
            mentions.iter().try_for_each(|mention| check(mention, sentences))?;
            Ok(vec![to_rows(mentions)])
        };
        Ok(sentences.iter().zip(answers).map(checked).collect())
    }
}

/// Checks that a mention stands where it says.
fn check(mention: &Mention, sentences: &[Sentence]) -> Result<(), Fault> {
    let Mention { candidate, name, surface, start, end } = mention;
    let sentence = sentences.iter().find(|sentence| sentence.candidate == *candidate);
    let written = sentence.and_then(|sentence| sentence.text.get(*start as usize..*end as usize));
    if written == Some(surface) && !surface.is_empty() && !name.trim().is_empty() {
        return Ok(());
    }
    let place = format!("bytes {start}..{end} of candidate {candidate}");
    let found = written.map_or("nothing".to_owned(), |written| format!("`{written}`"));
    let detail = format!("the plugin names `{name}` by `{surface}` at {place}, where {found} stands");
    Err(Fault { reason: "wrong-mention".to_owned(), detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_must_stand_where_they_say() {
        let text = "A dög barks.".to_owned();
        let sentences = [Sentence { candidate: 3, text, ended: false, cut: false, tokens: 4 }];
        let mention = |candidate, name: &str, surface: &str, start, end| {
            check(&Mention { candidate, name: name.to_owned(), surface: surface.to_owned(), start, end }, &sentences)
                .is_ok()
        };
        assert!(mention(3, "dog", "dög", 2, 6));
        assert!(!mention(0, "dog", "dög", 2, 6), "no such candidate");
        assert!(!mention(3, "dog", "dög", 2, 5), "another text");
        assert!(!mention(3, "dog", "d", 2, 4), "inside a letter");
        assert!(!mention(3, "dog", "dög", 2, 600), "past the end");
        assert!(!mention(3, "dog", "dög", 6, 2), "backwards");
        assert!(!mention(3, "dog", "", 2, 2), "nothing");
        assert!(!mention(3, " ", "dög", 2, 6), "no name");
    }
}
