//! What an entry of the table of stages is, and the few things every stage does alike: parsing its block, passing the runner's
//! questions on to an engine, checking that an engine answered each unit.

use std::sync::Arc;

use schemars::Schema;
use sentinel_core::job::Job;
use sentinel_core::stage::{Assets, ConfigError, Shape, Stage, StageError, StageKind};
use sentinel_domain::ports::{Engines, Watch};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An entry of the table of stages.
pub struct Entry {
    /// The word after `kind:`.
    pub name: &'static str,
    /// One sentence for `sentinel list` and the docs.
    pub summary: &'static str,
    /// The JSON Schema of the `with:` block.
    pub(crate) schema: fn() -> Schema,
    /// Parses a `with:` block.
    pub(crate) parse: fn(Value, &Given<'_>) -> Parsed,
    /// Every shape such a stage may have, as far as a block of which only what is right is left does not decide it.
    pub(crate) shapes: fn(&Value) -> Vec<Shape>,
}

/// What parsing gives.
pub(crate) type Parsed = Result<Box<dyn Stage>, Vec<ConfigError>>;

/// What a `with:` block may refer to.
pub(crate) struct Given<'a> {
    /// The entries of `models:` and `plugins:`.
    pub(crate) assets: &'a Assets,
    /// The engines the stage will call; while parsing, only their names and manifests may be asked.
    pub(crate) engines: &'a Arc<dyn Engines>,
}

impl Entry {
    /// Returns the kind, closing over the engines.
    pub(crate) fn with(&'static self, engines: Arc<dyn Engines>) -> Kind {
        Kind { entry: self, engines }
    }
}

/// An entry that has met the engines.
pub(crate) struct Kind {
    entry: &'static Entry,
    engines: Arc<dyn Engines>,
}

impl StageKind for Kind {
    fn name(&self) -> &'static str {
        self.entry.name
    }
    fn summary(&self) -> &'static str {
        self.entry.summary
    }
    fn schema(&self) -> Schema {
        (self.entry.schema)()
    }
    fn parse(&self, with: Value, assets: &Assets) -> Parsed {
        (self.entry.parse)(with, &Given { assets, engines: &self.engines })
    }
    fn shapes(&self, with: &Value) -> Vec<Shape> {
        (self.entry.shapes)(with)
    }
}

/// Parses a `with:` block into a stage's config. The block satisfies the schema of this very type, so that what is still wrong
/// is something the schema cannot say.
pub(crate) fn config<T: DeserializeOwned>(with: Value) -> Result<T, Vec<ConfigError>> {
    serde_json::from_value(with).map_err(|error| wrong("", error.to_string(), None))
}

/// Returns one mistake at a place of the `with:` block.
pub(crate) fn wrong(pointer: &str, message: impl Into<String>, hint: Option<String>) -> Vec<ConfigError> {
    vec![ConfigError { pointer: pointer.to_owned(), message: message.into(), hint }]
}

/// Returns mistakes, if there are any.
pub(crate) fn none_of(mistakes: Vec<ConfigError>) -> Result<(), Vec<ConfigError>> {
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Passes an engine's questions on to the runner.
pub(crate) struct JobWatch<'a>(pub(crate) &'a dyn Job);

impl Watch for JobWatch<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
    fn progress(&self, done: u64, total: u64, unit: &'static str, readings: &[(&'static str, f64)]) {
        self.0.progress(done, total, unit, readings);
    }
}

/// Returns an engine's answers if there is one for each request.
pub(crate) fn each_answered<T>(answers: Vec<T>, requests: usize) -> Result<Vec<T>, StageError> {
    if answers.len() == requests {
        return Ok(answers);
    }
    Err(StageError::Bug(format!("an engine gave {} answers to {requests} requests", answers.len())))
}
