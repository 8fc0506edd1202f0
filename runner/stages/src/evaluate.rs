//! `evaluate`: measures captions against what is really in their pictures. It alone sees ground truth.

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::FileSet;
use sentinel_core::job::Job;
use sentinel_core::report::{Better, Card, Cell, Number, ReportIo, Tone, Widget};
use sentinel_core::stage::{
    Shape, Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work, parse_rows, to_rows,
};
use sentinel_domain::records::{Caption, Measurement};
use serde::Deserialize;
use serde_json::Value;

use crate::gallery::{self, CARDS_MAX};
use crate::kind::{Entry, Given, Parsed, config};
use crate::metrics::{Metric, Told, Truth, measure};

pub(crate) static ENTRY: Entry = Entry {
    name: "evaluate",
    summary: "measures captions against what is really in their pictures",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape()],
};

/// What `evaluate` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// What is measured.
    #[schemars(length(min = 1, max = 16))]
    metrics: Vec<Metric>,
}

impl Default for Config {
    fn default() -> Self {
        Self { metrics: vec![Metric::Chair, Metric::Length] }
    }
}

fn parse(with: Value, _: &Given<'_>) -> Parsed {
    Ok(Box::new(Evaluate { config: config(with)? }))
}

struct Evaluate {
    config: Config,
}

fn shape() -> Shape {
    let inputs = [Slot::rows("captions", "captions"), Slot::files("annotations", "annotations")];
    Shape::whole(inputs, [Slot::rows("measurements", "measurements")])
}

impl Stage for Evaluate {
    fn inputs(&self) -> Vec<Slot> {
        shape().inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape().outputs
    }
    fn version(&self) -> u32 {
        2
    }
    fn work(&self) -> Work<'_> {
        Work::Whole(self)
    }

    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        let mut rows = Vec::new();
        for unit in io.rows("measurements")? {
            rows.extend(parse_rows::<Measurement>("measurements", &unit.rows)?.into_iter().map(cells));
        }
        let columns = ["measure", "value", "of"].map(str::to_owned).to_vec();
        let mut widgets = vec![Widget::Table { title: "measurements".to_owned(), columns, rows }];
        widgets.extend(gallery::of(
            "captions",
            &[(Tone::Good, "in the picture"), (Tone::Bad, "not in the picture")],
            cards(io)?,
        ));
        Ok(widgets)
    }
}

impl WholeStage for Evaluate {
    fn run(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let files = inputs
            .files
            .get("annotations")
            .ok_or_else(|| StageError::Bug("nothing in slot `annotations`".to_owned()))?;
        let truth = truth(files, &|digest| job.blob(digest))?;
        let captions: Vec<Caption> = inputs.list("captions")?;
        if captions.is_empty() {
            return Err(StageError::Refused("no captions to measure".to_owned()));
        }
        let told = tell(&captions, &truth)?;
        let mut measurements = Vec::new();
        for metric in &self.config.metrics {
            measurements.extend(measure(*metric, &told).map_err(StageError::Refused)?);
        }
        let units =
            measurements.into_iter().map(|measurement| (measurement.id.as_str().into(), to_rows([measurement])));
        Ok(vec![WholeOutput::Rows(units.collect())])
    }
}

type Blob<'a> = dyn Fn(sentinel_core::digest::Digest) -> Result<Vec<u8>, StageError> + 'a;

/// Reads the one JSON file of some annotations.
fn truth(files: &FileSet, blob: &Blob<'_>) -> Result<Truth, StageError> {
    let mut json = files.files.iter().filter(|(name, _)| name.ends_with(".json"));
    let (Some((name, file)), None) = (json.next(), json.next()) else {
        return Err(StageError::Refused(format!(
            "annotations are one `.json` file, and there are {}",
            files.files.len()
        )));
    };
    Truth::parse(&blob(file.digest)?).map_err(|reason| StageError::Refused(format!("`{name}`: {reason}")))
}

fn tell<'a>(captions: &'a [Caption], truth: &'a Truth) -> Result<Vec<Told<'a>>, StageError> {
    let unknown: Vec<&str> =
        captions.iter().filter(|caption| truth.scene(caption).is_none()).map(|caption| caption.id.as_str()).collect();
    if let Some(first) = unknown.first() {
        let count = unknown.len();
        return Err(StageError::Refused(format!(
            "{count} of {} captions have no annotations, the first of them `{first}`",
            captions.len()
        )));
    }
    Ok(captions.iter().filter_map(|caption| Some(Told::of(caption, truth.scene(caption)?))).collect())
}

/// Returns a measurement as cells; shares are shown in percent.
fn cells(measurement: Measurement) -> Vec<Cell> {
    let Measurement { id: _, label, value, cases, unit, lower_is_better } = measurement;
    let (value, decimals, sign) = if unit == "share" { (100.0 * value, 1, "%") } else { (value, 2, "") };
    let better = lower_is_better.map(|lower| if lower { Better::Lower } else { Better::Higher });
    let cases = Number { value: cases as f64, decimals: 0, unit: String::new(), better: None };
    vec![
        Cell::Text(label),
        Cell::Number(Number { value, decimals, unit: sign.to_owned(), better }),
        Cell::Number(cases),
    ]
}

/// Returns captions with their objects toned by the truth.
fn cards(io: &dyn ReportIo) -> Result<(Vec<Card>, u64), StageError> {
    let Some(files) = io.files("annotations")? else { return Ok((Vec::new(), 0)) };
    let truth = truth(&files, &|digest| io.blob(digest))?;
    let mut cards = Vec::new();
    let some = io.some_rows("captions", CARDS_MAX)?;
    for unit in &some.units {
        let captions: Vec<Caption> = parse_rows("captions", &unit.rows)?;
        for told in tell(&captions, &truth)? {
            let tone = |name: &str| if told.is_there(name) { Tone::Good } else { Tone::Bad };
            let line = |(sentence, mentions): (&String, &Vec<crate::lexicon::Mention>)| {
                gallery::toned(
                    None,
                    sentence,
                    mentions.iter().map(|mention| (mention.start, mention.end, tone(&mention.name))),
                )
            };
            let lines = told.caption.sentences.iter().zip(&told.mentions).map(line).collect();
            cards.push(gallery::card(&told.caption.id, Some(told.caption.picture), lines));
        }
    }
    Ok((cards, some.records))
}
