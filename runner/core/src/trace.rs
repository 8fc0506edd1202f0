//! The way of one record through a run, as the store remembers it: what every stage made of it, by what, and from what. With it a
//! pair, a verdict or a line of a converted file is followed back to its source.

use serde::Serialize;
use serde_json::Value;

use crate::cache::kept::{Artifact, Traced, decode_trace};
use crate::cache::store::Store;
use crate::digest::Digest;
use crate::last::LastRun;
use crate::report::collect;
use crate::report::record::StageRecord;
use crate::run::RunError;
use crate::session::unknown;
use crate::workflow::node_of;

/// A record's passage through a stage, in a loop at one step.
#[derive(Debug, Clone, Serialize)]
pub struct Passage {
    /// The stage; `loop/stage` in a loop's body.
    pub stage: String,
    /// The loop step.
    pub step: u32,
    /// Whether the stage worked on everything at once, this record among others.
    pub is_whole: bool,
    /// The key its result is kept under.
    pub key: Digest,
    /// What made it: kind, settings without defaults, seed, engine; models, plugins and files as digests of their content.
    pub ingredients: Value,
    /// The machine on which it was computed.
    pub made_on: Option<String>,
    /// What came in: slot, the stage and output it came from, the digest of what the stage saw.
    pub inputs: Vec<Input>,
    /// What came out: the record's rows by output.
    pub outputs: Vec<Output>,
    /// Why the record was set aside here.
    pub aside: Option<String>,
}

/// One input of a stage.
#[derive(Debug, Clone, Serialize)]
pub struct Input {
    /// The slot.
    pub slot: String,
    /// `stage.output`.
    pub from: String,
    /// The digest of what the stage saw; absent where it saw nothing.
    pub digest: Option<Digest>,
}

/// One output of a stage.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The record's rows.
    pub rows: Vec<Value>,
    /// Files, which belong to all records.
    pub files: Vec<String>,
}

impl LastRun {
    /// Follows a record through the run: stage by stage, in a loop step by step.
    pub fn trace(&self, record: &str) -> Result<Vec<Passage>, RunError> {
        let mut way = Vec::new();
        for stage in self.record().stages.iter().filter(|stage| stage.kind != "loop") {
            way.extend(self.through(stage, record)?);
        }
        // Stages that work on everything at once tell of a record only what it is among.
        if way.iter().any(|one| !one.is_whole || one.outputs.iter().any(|output| !output.rows.is_empty())) {
            return Ok(in_order(way, self));
        }
        let ids = self.ids()?;
        Err(unknown(&format!("no stage of the last run knows a record `{record}`"), record, ids.iter().map(|id| &**id)))
    }

    /// Returns the ids of all records of the first stages.
    fn ids(&self) -> Result<Vec<std::sync::Arc<str>>, RunError> {
        let mut ids = Vec::new();
        for output in
            self.record().stages.iter().filter(|stage| stage.inputs.is_empty()).flat_map(|stage| &stage.outputs)
        {
            if let Artifact::Rows(units) = collect::listing(self.store(), &output.listing)? {
                ids.extend(units.iter().map(|unit| unit.id.clone()));
            }
        }
        Ok(ids)
    }

    fn through(&self, stage: &StageRecord, record: &str) -> Result<Vec<Passage>, RunError> {
        let store = self.store();
        let trace = stage.trace.map(|trace| store.blob(&trace)).transpose()?.flatten();
        let trace = trace.and_then(|trace| decode_trace(&trace)).unwrap_or_default();
        let ingredients = ingredients(store, stage)?;
        let listings =
            stage.outputs.iter().map(|output| Ok((&*output.name, collect::listing(store, &output.listing)?)));
        let listings: Vec<(&str, Artifact)> = listings.collect::<Result<_, RunError>>()?;
        let mut way = Vec::new();
        for unit in trace.into_iter().filter(|unit| unit.id.is_empty() || &*unit.id == record) {
            let quarantined = self.record().quarantine.iter();
            let mut aside = quarantined
                .filter(|aside| aside.stage == stage.id && aside.record == record && aside.step == unit.step);
            way.push(Passage {
                stage: stage.id.clone(),
                step: unit.step,
                is_whole: unit.id.is_empty(),
                key: unit.key,
                ingredients: ingredients.clone(),
                made_on: store.made_on(&unit.key)?,
                inputs: inputs(stage, &unit),
                outputs: outputs(store, &listings, record, unit.step)?,
                aside: aside.next().map(|aside| format!("{}: {}", aside.reason, aside.detail)),
            });
        }
        Ok(way)
    }
}

fn outputs(store: &Store, listings: &[(&str, Artifact)], record: &str, step: u32) -> Result<Vec<Output>, RunError> {
    let mut outputs = Vec::new();
    for (name, listing) in listings {
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        match listing {
            Artifact::Rows(units) => {
                for unit in units.iter().filter(|unit| &*unit.id == record && unit.step == step) {
                    let kept = store.rows(&unit.rows)?;
                    rows.extend(
                        kept.iter().map(|row| serde_json::from_str(row).unwrap_or_else(|_| Value::from(&**row))),
                    );
                }
            }
            Artifact::Files(all) => files.extend(all.files.keys().cloned()),
        }
        outputs.push(Output { name: (*name).to_owned(), rows, files });
    }
    Ok(outputs)
}

/// Puts steps of one stage beside those of its loop: stages in the order of the run, in a loop step by step.
fn in_order(mut way: Vec<Passage>, run: &LastRun) -> Vec<Passage> {
    let place = |stage: &str| run.record().stages.iter().position(|record| record.id == stage).unwrap_or(usize::MAX);
    way.sort_by_key(|one| (place(node_of(&one.stage)), one.step, place(&one.stage)));
    way
}

fn ingredients(store: &Store, stage: &StageRecord) -> Result<Value, RunError> {
    let known = store.fingerprints(&stage.kind)?;
    let own = known.into_iter().find(|known| Some(known.digest) == stage.fingerprint);
    Ok(own.map(|own| own.ingredients).unwrap_or_default())
}

/// Returns the inputs of a unit; those that show nothing of themselves have no digest.
fn inputs(stage: &StageRecord, unit: &Traced) -> Vec<Input> {
    let are_all = stage.inputs.len() == unit.inputs.len();
    let digest = |place: usize| unit.inputs.get(place).copied().filter(|_| are_all);
    let input = |(place, input): (usize, &crate::report::record::InputRecord)| Input {
        slot: input.slot.clone(),
        from: format!("{}.{}", input.from.0, input.from.1),
        digest: digest(place),
    };
    stage.inputs.iter().enumerate().map(input).collect()
}
