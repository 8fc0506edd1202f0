//! `filter`: keeps the records a plugin wants, and tells why the others went. It takes records of any kind. Whether it decides
//! over one unit's records or over all of them at once is the plugin's to say.

use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::{Form, Rows};
use sentinel_core::job::Job;
use sentinel_core::stage::{
    DROPPED, Fault, Input, Shape, Slot, SlotKind, Stage, StageError, Unit, UnitOutput, UnitStage, WholeInputs,
    WholeOutput, WholeStage, Work, to_rows,
};
use sentinel_domain::config::FilterName;
use sentinel_domain::ports::{Engines, FilterScope, Kept, PluginSpec};
use sentinel_domain::records::Dropped;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::kind::{Entry, Given, Parsed, config, each_answered, wrong};
use crate::models;

pub(crate) static ENTRY: Entry = Entry {
    name: "filter",
    summary: "keeps the records a plugin wants, and tells why the others went",
    schema: || schema_for!(Config),
    parse,
    shapes: |_| vec![shape(FilterScope::Unit), shape(FilterScope::Whole)],
};

/// What `filter` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The filter, an entry of `plugins:`.
    plugin: FilterName,
    /// The plugin's own configuration; its manifest holds the schema.
    #[serde(default)]
    config: serde_json::Map<String, Value>,
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let Config { plugin, config } = config(with)?;
    let plugin = models::plugin(&plugin.0, given)?;
    let scope = given.engines.filter_scope(&plugin).map_err(|error| wrong("/plugin", error.to_string(), None))?;
    Ok(Box::new(Sieve { plugin, scope, config: Value::Object(config).to_string(), engines: given.engines.clone() }))
}

struct Sieve {
    plugin: PluginSpec,
    scope: FilterScope,
    config: String,
    engines: Arc<dyn Engines>,
}

/// What it works on at once is its plugin's to say.
fn shape(scope: FilterScope) -> Shape {
    let records = |kind| Slot { name: "records", kind, form: Form::Rows, optional: false, view: None };
    let outputs = [records(SlotKind::SameAs("records")), Slot::rows(DROPPED, "drops")];
    let units = Shape::units([records(SlotKind::AnyRows)], outputs);
    Shape { is_whole: matches!(scope, FilterScope::Whole), ..units }
}

impl Stage for Sieve {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.scope).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.scope).outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn engine(&self) -> Option<String> {
        Some(self.engines.catalogue().plugin_engine.clone())
    }
    fn work(&self) -> Work<'_> {
        match self.scope {
            FilterScope::Unit => Work::Units(self),
            FilterScope::Whole => Work::Whole(self),
        }
    }
}

impl UnitStage for Sieve {
    fn run(&self, units: &[Unit], _: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let rows = |unit: &Unit| match unit.inputs.get("records") {
            Some(Input::Rows(rows)) => Ok(rows.clone()),
            _ => Err(StageError::Bug(format!("unit `{}` has no rows in slot `records`", unit.id))),
        };
        let rows = units.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
        let parted = self.part(&rows)?;
        Ok(parted.into_iter().map(|parted| parted.map(|(kept, dropped)| vec![kept, dropped])).collect())
    }
}

impl WholeStage for Sieve {
    fn run(&self, inputs: &WholeInputs, _: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let units =
            inputs.rows.get("records").ok_or_else(|| StageError::Bug("nothing in slot `records`".to_owned()))?;
        let rows: Vec<Arc<Rows>> = units.iter().map(|(_, rows)| rows.clone()).collect();
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for ((id, _), parted) in units.iter().zip(self.part(&rows)?) {
            let refused = |Fault { reason, detail }| StageError::Refused(format!("`{id}`: {reason}: {detail}"));
            let (own_kept, own_dropped) = parted.map_err(refused)?;
            kept.push((id.clone(), own_kept));
            dropped.push((id.clone(), own_dropped));
        }
        Ok(vec![WholeOutput::Rows(kept), WholeOutput::Rows(dropped)])
    }
}

impl Sieve {
    /// Parts each unit's rows into those that stay and those that go.
    fn part(&self, units: &[Arc<Rows>]) -> Result<Vec<Result<Parted, Fault>>, StageError> {
        let asked: Vec<Vec<&str>> = units.iter().map(|rows| rows.iter().map(AsRef::as_ref).collect()).collect();
        let answers = self.engines.filter(&self.plugin)?.keep(&self.config, &asked)?;
        let answers = each_answered(answers, units.len())?;
        units
            .iter()
            .zip(answers)
            .map(|(rows, answer)| answer.map_or_else(|fault| Ok(Err(fault)), |kept| part(rows, kept).map(Ok)))
            .collect()
    }
}

/// Rows that stay, and rows that go.
type Parted = (Rows, Rows);

fn part(rows: &Rows, words: Vec<Kept>) -> Result<Parted, StageError> {
    let words = each_answered(words, rows.len())?;
    let (mut kept, mut dropped) = (Rows::new(), Vec::new());
    for (row, word) in rows.iter().zip(words) {
        match word {
            Kept::Yes => kept.push(row.clone()),
            Kept::No(reason) => {
                let record = RawValue::from_string(row.to_string());
                let record = record.map_err(|error| StageError::Bug(format!("slot `records`: {error}")))?;
                dropped.push(Dropped { reason, record });
            }
        }
    }
    Ok((kept, to_rows(dropped)))
}
