//! What a stage is: the one trait everything else plugs into. It is not how stages are found in YAML (`workflow`)
//! nor how they are run (`run`).
//!
//! A [`StageKind`] is an entry of the table of kinds; parsing its `with:` block gives a [`Stage`], which can no longer be
//! wrong, only fail. A stage works unit by unit ([`UnitStage`]: one root record at a time, many to a batch) or on
//! everything at once ([`WholeStage`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::artifact::{FileSet, Form, KindName, Rows};
use crate::job::{Files, Job};
use crate::report::{ReportIo, Widget};

/// An entry of the table of stage kinds.
pub trait StageKind: Sync + Send {
    /// The word after `kind:`; a verb.
    fn name(&self) -> &'static str;
    /// One sentence for `sentinel list` and the docs.
    fn summary(&self) -> &'static str;
    /// The JSON Schema of the `with:` block, made by schemars from the config type. Fields that name an entry of `models:` or
    /// `plugins:` or a path carry the extensions of [`crate::stage::mark`], so that the runner resolves, checks and digests them.
    fn schema(&self) -> schemars::Schema;
    /// Parses a `with:` block that already satisfies the schema; names are resolved to assets, paths are absolute.
    fn parse(&self, with: Value, assets: &Assets) -> Result<Box<dyn Stage>, Vec<ConfigError>>;
    /// Returns every shape a stage with this block may have, where something in the block is wrong and left out: what is absent may
    /// be what was meant. The stage's edges are checked against these; none says nothing.
    fn shapes(&self, _with: &Value) -> Vec<Shape> {
        Vec::new()
    }
}

/// A stage as its edges see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// As [`Stage::inputs`].
    pub inputs: Vec<Slot>,
    /// As [`Stage::outputs`].
    pub outputs: Vec<Slot>,
    /// Whether it works on everything at once.
    pub is_whole: bool,
}

impl Shape {
    /// Returns the shape of a stage.
    pub fn of(stage: &dyn Stage) -> Self {
        let is_whole = matches!(stage.work(), Work::Whole(_));
        Self { inputs: stage.inputs(), outputs: stage.outputs(), is_whole }
    }

    /// Returns the shape of a stage that works unit by unit.
    pub fn units(inputs: impl Into<Vec<Slot>>, outputs: impl Into<Vec<Slot>>) -> Self {
        Self { inputs: inputs.into(), outputs: outputs.into(), is_whole: false }
    }

    /// Returns the shape of a stage that works on everything at once.
    pub fn whole(inputs: impl Into<Vec<Slot>>, outputs: impl Into<Vec<Slot>>) -> Self {
        Self { is_whole: true, ..Self::units(inputs, outputs) }
    }
}

/// Schema extensions the runner understands; see `sentinel_domain::config` for the types that carry them.
pub mod mark {
    /// On a string: names an entry of `models:` or `plugins:`; the value is the asset kind, for example `vlm`, `detector`, `plugin/filter`.
    pub const ASSET: &str = "x-sentinel-asset";
    /// On a string: a path relative to the workflow file; the value is `file`, `dir` or `shelf`. The content of files and
    /// directories enters the key; of a shelf, a directory that may hold much more than is used, only what
    /// [`Stage::listed_files`](super::Stage::listed_files) names.
    pub const PATH: &str = "x-sentinel-path";
    /// On a field: it says how the work is done and not what comes out, so that its value enters no key.
    pub const HOW: &str = "x-sentinel-how";
}

/// What is wrong in a `with:` block beyond its schema.
#[derive(Debug, Clone)]
pub struct ConfigError {
    /// JSON pointer into the `with:` block, for example `/lora/rank`.
    pub pointer: String,
    /// What is wrong, lower case, no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The entries of `models:` and `plugins:` a stage may name.
pub type Assets = BTreeMap<String, Arc<Asset>>;

/// One entry of `models:` or `plugins:`.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The name in the workflow.
    pub name: String,
    /// The asset kind: `vlm`, `detector`, or `plugin/<world>`.
    pub kind: String,
    /// The entry's own fields, paths made absolute.
    pub value: Value,
}

/// The name of the output in which a stage tells what it left out: rows with a `reason`, which runs and reports count by reason.
pub const DROPPED: &str = "dropped";

/// One named, typed end of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The name used in `needs:` (inputs) or after the dot (outputs).
    pub name: &'static str,
    /// What may flow here.
    pub kind: SlotKind,
    /// Rows or files.
    pub form: Form,
    /// Whether an input may be left out; always false for outputs.
    pub optional: bool,
    /// The top-level fields of a row this stage may see. Only these are handed over, and only these enter the key.
    /// `None`: the whole row.
    pub view: Option<&'static [&'static str]>,
}

/// The kind of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// Exactly this kind.
    Is(KindName),
    /// Any rows, for the input of a generic stage.
    AnyRows,
    /// The kind that came in through the named input, for the output of a generic stage.
    SameAs(&'static str),
}

impl Slot {
    /// A required slot of rows of one kind, seen whole.
    pub const fn rows(name: &'static str, kind: KindName) -> Self {
        Self { name, kind: SlotKind::Is(kind), form: Form::Rows, optional: false, view: None }
    }

    /// A required slot of files of one kind.
    pub const fn files(name: &'static str, kind: KindName) -> Self {
        Self { name, kind: SlotKind::Is(kind), form: Form::Files, optional: false, view: None }
    }

    /// The same slot, showing only these top-level fields.
    pub const fn view(self, fields: &'static [&'static str]) -> Self {
        Self { view: Some(fields), ..self }
    }

    /// The same slot, which may be left unconnected.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A stage, parsed and valid.
pub trait Stage: Send + Sync {
    /// The input slots.
    fn inputs(&self) -> Vec<Slot>;
    /// The output slots; the first is what `needs: {x: stage}` means.
    fn outputs(&self) -> Vec<Slot>;
    /// The version of the stage's meaning; bumped whenever the same inputs may give other bytes.
    fn version(&self) -> u32;
    /// Whether the result depends on the seed; then the seed and the stream name enter the key.
    fn draws(&self) -> bool {
        false
    }
    /// The name of the random stream, by default the stage's kind (`with.stream` overrides it). Only asked when [`Self::draws`].
    fn stream(&self) -> Option<&str> {
        None
    }
    /// Engine, version, device class and dtype, where they can change bits: `candle 0.11.1, kernels 2, cpu f32`. It enters the key.
    fn engine(&self) -> Option<String> {
        None
    }
    /// Whether the stage computes on the device; such stages take turns.
    fn uses_device(&self) -> bool {
        false
    }
    /// Further files whose content the result depends on, for example the pictures an index lists; that one of them is missing
    /// counts like content. Called when keys are made.
    fn listed_files(&self, _files: &dyn Files) -> Result<Vec<PathBuf>, StageError> {
        Ok(Vec::new())
    }
    /// How the work is done.
    fn work(&self) -> Work<'_>;
    /// What the report shows of this stage, made from its kept inputs and outputs alone, so that cached stages show it too.
    fn widgets(&self, _io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        Ok(Vec::new())
    }
}

/// The two grains of work.
pub enum Work<'a> {
    /// Unit by unit: each unit gets the answer it would get alone.
    Units(&'a dyn UnitStage),
    /// Everything at once.
    Whole(&'a dyn WholeStage),
}

/// Work on one root record at a time, many to a batch.
pub trait UnitStage {
    /// Answers each unit, in order. A unit's own fault is a [`Fault`] and costs only itself; a [`StageError`] stops the stage.
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError>;
}

/// Work on everything at once.
pub trait WholeStage {
    /// Makes all outputs, in the order of [`Stage::outputs`].
    fn run(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError>;
}

/// Everything that belongs to one root record at one step.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The root record's id.
    pub id: Arc<str>,
    /// The loop step, from 0; 0 outside loops.
    pub step: u32,
    /// Input slot name → what came in.
    pub inputs: BTreeMap<&'static str, Input>,
}

/// What came in through one slot of one unit.
#[derive(Debug, Clone)]
pub enum Input {
    /// This unit's rows.
    Rows(Arc<Rows>),
    /// A whole artifact, the same for every unit.
    Files(Arc<FileSet>),
}

/// A unit's rows, one list for each output slot, in order.
pub type UnitOutput = Vec<Rows>;

/// Units in record order, each with its rows.
pub type Units = Vec<(Arc<str>, Arc<Rows>)>;

/// What came in to a whole stage.
#[derive(Debug, Clone, Default)]
pub struct WholeInputs {
    /// Slot name → units in record order, each with its rows.
    pub rows: BTreeMap<&'static str, Arc<Units>>,
    /// Slot name → files.
    pub files: BTreeMap<&'static str, Arc<FileSet>>,
}

/// One output of a whole stage.
#[derive(Debug, Clone)]
pub enum WholeOutput {
    /// Units in record order, each with its rows; the ids are distinct, and become those of the root records.
    Rows(Vec<(Arc<str>, Rows)>),
    /// The same, and why further records could not be made: those are set aside as units at fault are.
    Sifted(Vec<(Arc<str>, Rows)>, Vec<(Arc<str>, Fault)>),
    /// Files, already put into the store through the job.
    Files(FileSet),
}

/// Why one unit could not be answered; kept like a result, and shown as a quarantined record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// A short stable word for counting, for example `unreadable-picture`, `plugin-trap`.
    pub reason: String,
    /// The whole story, with values.
    pub detail: String,
}

/// Why a stage stopped.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The user asked to stop; what was done stays done.
    #[error("interrupted")]
    Cancelled,
    /// The outside world failed in a way that may pass: I/O, memory, a server, a deadline. Retried as configured.
    #[error("{0}")]
    World(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The stage cannot do this work at all: an unusable model, an incompatible adapter. Never retried.
    #[error("{0}")]
    Refused(String),
    /// We are wrong.
    #[error("internal error: {0}")]
    Bug(String),
}

impl Unit {
    /// Returns the rows of a slot, parsed.
    pub fn list<T: DeserializeOwned>(&self, slot: &'static str) -> Result<Vec<T>, StageError> {
        match self.inputs.get(slot) {
            Some(Input::Rows(rows)) => parse_rows(slot, rows),
            _ => Err(StageError::Bug(format!("unit `{}` has no rows in slot `{slot}`", self.id))),
        }
    }

    /// Returns the only row of a slot, parsed.
    pub fn one<T: DeserializeOwned>(&self, slot: &'static str) -> Result<T, StageError> {
        let mut list = self.list(slot)?;
        match (list.pop(), list.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(StageError::Bug(format!("unit `{}` needs exactly one row in slot `{slot}`", self.id))),
        }
    }

    /// Returns the files of a slot, or `None` when it is unconnected.
    pub fn files(&self, slot: &'static str) -> Option<&Arc<FileSet>> {
        match self.inputs.get(slot) {
            Some(Input::Files(files)) => Some(files),
            _ => None,
        }
    }
}

impl WholeInputs {
    /// Returns all rows of a slot in record order, parsed.
    pub fn list<T: DeserializeOwned>(&self, slot: &'static str) -> Result<Vec<T>, StageError> {
        let units = self.rows.get(slot).ok_or_else(|| StageError::Bug(format!("nothing in slot `{slot}`")))?;
        units
            .iter()
            .map(|(_, rows)| parse_rows(slot, rows))
            .collect::<Result<Vec<Vec<T>>, _>>()
            .map(|lists| lists.into_iter().flatten().collect())
    }
}

/// Parses rows; one that does not parse is our bug, for what enters the store was written from the same types.
pub fn parse_rows<T: DeserializeOwned>(slot: &str, rows: &[Box<str>]) -> Result<Vec<T>, StageError> {
    rows.iter()
        .map(|row| {
            serde_json::from_str(row).map_err(|error| StageError::Bug(format!("slot `{slot}`: {error} in {row:.200}")))
        })
        .collect()
}

/// Writes records as rows.
pub fn to_rows<T: serde::Serialize>(records: impl IntoIterator<Item = T>) -> Rows {
    records
        .into_iter()
        .map(|record| {
            serde_json::to_string(&record).expect("records have string keys and finite numbers").into_boxed_str()
        })
        .collect()
}
