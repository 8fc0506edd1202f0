//! `sentinel.lock`: what workflows are made of — parameters, and of every stage its settings, models, plugins and files as digests of
//! their content. A file to commit: a run with `--locked` refuses whatever differs from it, and says what.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cache::KEY_SCHEMA;
use crate::cache::store::{Store, StoreError};
use crate::report::record::RunRecord;
use crate::report::wording::value;
use crate::run::prepare::{Prepared, PreparedNode};
use crate::run::{RunError, write_whole};
use crate::why::ingredients_differ;
use crate::workflow::params::ParamValue;
use crate::workflow::{Workflow, default_at, node_of};

/// The file's name; it lies in a workflow's own root.
pub const LOCK_FILE: &str = "sentinel.lock";
/// The version of its format.
const LOCK_VERSION: u32 = 1;
/// A larger file is no lock.
const LOCK_BYTES_MAX: u64 = 64 << 20;
/// Characters of a value that are told.
const VALUE_CHARS: usize = 60;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of its format.
    version: u32,
    /// The version of the way keys are made: digests of another are not comparable.
    key_schema: u32,
    /// Workflows by name.
    workflows: BTreeMap<String, Locked>,
}

/// What one workflow is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The seed.
    seed: u64,
    /// Parameters with their values, but for paths, whose content counts.
    params: BTreeMap<String, Value>,
    /// Stage, `loop/stage` in a loop's body → its ingredients.
    stages: BTreeMap<String, Value>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: LOCK_VERSION, key_schema: KEY_SCHEMA, workflows: BTreeMap::new() }
    }
}

impl Locked {
    /// Returns what a workflow is made of.
    pub(crate) fn of(workflow: &Workflow, prepared: &[PreparedNode]) -> Self {
        let params = workflow.params.iter().filter(|(_, value)| !matches!(value, ParamValue::Path(_)));
        let stages = prepared.iter().flat_map(PreparedNode::stages);
        let stage = |stage: &std::sync::Arc<Prepared>| (stage.id.clone(), stage.fingerprint.ingredients.clone());
        Self {
            seed: workflow.seed,
            params: params.map(|(name, value)| (name.clone(), value.to_json())).collect(),
            stages: stages.map(stage).collect(),
        }
    }

    /// Returns what a run that came to its end was made of, as far as the store still knows; paths count as they were given.
    pub(crate) fn of_run(run: &RunRecord, store: &Store) -> Result<Self, StoreError> {
        let mut stages = BTreeMap::new();
        for (id, fingerprint) in run.stages.iter().filter_map(|stage| Some((&stage.id, stage.fingerprint?))) {
            // What was pruned can still be told from something else.
            let ingredients = store.ingredients(&fingerprint)?.unwrap_or_else(|| json!({ "pruned": fingerprint }));
            stages.insert(id.clone(), ingredients);
        }
        Ok(Self { seed: run.seed, params: run.params.iter().cloned().collect(), stages })
    }

    /// Says how `now` differs from this; a difference that several stages share is told once. `default` knows what a field of a
    /// stage's `with` is by default, `is_left` which stages `now` is silent about on purpose.
    pub(crate) fn differences(
        &self,
        now: &Self,
        default: &dyn Fn(&str, &[&str]) -> Option<Value>,
        is_left: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if self.seed != now.seed {
            lines.push(format!("`seed` was {} and is {}", self.seed, now.seed));
        }
        for (name, is) in &now.params {
            match self.params.get(name) {
                Some(was) if was == is => {}
                Some(was) => lines.push(format!(
                    "parameter `{name}` was {} and is {}",
                    value(was, VALUE_CHARS),
                    value(is, VALUE_CHARS)
                )),
                None => lines.push(format!("parameter `{name}` is new")),
            }
        }
        let gone = self.params.keys().filter(|name| !now.params.contains_key(*name));
        lines.extend(gone.map(|name| format!("parameter `{name}` is gone")));
        let mut shared: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (id, is) in &now.stages {
            let default = |path: &[&str]| default(id, path);
            match self.stages.get(id) {
                Some(was) => ingredients_differ(was, is, &default)
                    .into_iter()
                    .for_each(|line| shared.entry(line).or_default().push(id)),
                None => lines.push(format!("stage `{id}` is new")),
            }
        }
        let gone = self.stages.keys().filter(|id| !now.stages.contains_key(*id) && !is_left(id));
        lines.extend(gone.map(|id| format!("stage `{id}` is gone")));
        let of = |ids: Vec<&str>| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        lines.extend(shared.into_iter().map(|(line, ids)| format!("{line} (of {})", of(ids))));
        lines
    }
}

/// Returns where the lock of a workflow lies.
pub fn place(workflow: &Workflow) -> PathBuf {
    workflow.roots.own().join(LOCK_FILE)
}

/// Writes down what a workflow is made of, beside what the file says of others.
pub(crate) fn write(workflow: &Workflow, now: Locked) -> Result<PathBuf, RunError> {
    let path = place(workflow);
    let mut lock = read(&path)?.unwrap_or_default();
    (lock.version, lock.key_schema) = (LOCK_VERSION, KEY_SCHEMA);
    lock.workflows.insert(workflow.name.clone(), now);
    let text = serde_json::to_string_pretty(&lock).expect("a lock is JSON") + "\n";
    match write_whole(&path, text.as_bytes(), workflow.roots.own()) {
        Ok(()) => Ok(path),
        Err(source) => Err(RunError::Output { path, source }),
    }
}

/// Says how a workflow differs from what is locked.
pub(crate) fn check(workflow: &Workflow, now: &Locked) -> Result<Vec<String>, RunError> {
    let path = place(workflow);
    let refuse =
        |story: String| Err(RunError::Unknown(format!("`{}` {story}; `sentinel lock` writes it", path.display())));
    match read(&path)? {
        None => refuse("is not there".to_owned()),
        Some(lock) if lock.key_schema != KEY_SCHEMA => {
            refuse(format!("was written by a version whose digests are not comparable ({})", lock.key_schema))
        }
        Some(lock) => match lock.workflows.get(&workflow.name) {
            Some(locked) => {
                let default = |id: &str, path: &[&str]| {
                    workflow.stage(id).and_then(|stage| default_at(&stage.schema, &stage.with, path))
                };
                Ok(locked.differences(now, &default, &|id| workflow.left_alone.contains(node_of(id))))
            }
            None => refuse(format!("says nothing of `{}`", workflow.name)),
        },
    }
}

fn read(path: &Path) -> Result<Option<Lock>, RunError> {
    let broken = |story: String| RunError::Unknown(format!("`{}` is no lock file: {story}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(error.to_string())),
    };
    let mut text = String::new();
    file.take(LOCK_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| broken(error.to_string()))?;
    if text.len() as u64 > LOCK_BYTES_MAX {
        return Err(broken(format!("it has more than {LOCK_BYTES_MAX} bytes")));
    }
    // An empty file marks a root and locks nothing.
    if text.trim().is_empty() {
        return Ok(None);
    }
    let lock: Lock = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    match lock.version {
        LOCK_VERSION => Ok(Some(lock)),
        other => Err(broken(format!("its version is {other}, and this program reads {LOCK_VERSION}"))),
    }
}
