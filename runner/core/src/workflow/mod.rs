//! A workflow, read and resolved: what the rest of the runner works on. How the text becomes this stands in the submodules;
//! how its nodes hang together is checked in [`crate::graph`].
//!
//! # Reading order
//! [`yaml`] (text → tree that remembers places) → [`params`] and [`expr`] (typed parameters, expressions over them) →
//! [`check`] (a block against its JSON Schema) → [`paths`] (what may be read) → [`load`] (the whole way).

pub(crate) mod assets;
pub(crate) mod cases;
pub(crate) mod check;
pub(crate) mod common;
pub mod expr;
pub(crate) mod fields;
pub mod load;
pub(crate) mod matrix;
pub(crate) mod nodes;
pub mod params;
pub mod paths;
pub mod registry;
pub mod scalar;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use cases::{Case, Expected, Record};
pub(crate) use check::identity::default_at;
pub use load::{Settings, declared_params, load, load_text, name_of};
pub use matrix::Combination;
pub use registry::{AssetKind, Manifest, PluginManifests, Registry};

use crate::artifact::{Form, KindName};
use crate::diag::{Diagnostic, Diagnostics, Source, Span};
use crate::job::Exec;
use crate::stage::{Asset, Assets, Stage};

/// A workflow that can no longer be wrong, only fail.
pub struct Workflow {
    /// The file's text, for diagnostics that come later.
    pub source: Arc<Source>,
    /// `name:`, by default the file's stem; with a `matrix:` followed by the combination: `name@beta=0.1`.
    pub name: String,
    /// `seed:`, by default 0.
    pub seed: u64,
    /// Every parameter with its value, in the order of the file.
    pub params: Vec<(String, params::ParamValue)>,
    /// How many values each axis of `matrix:` has that the command line leaves open; what is loaded is one combination of them.
    pub open_axes: Vec<usize>,
    /// The entries of `models:` and `plugins:`.
    pub assets: BTreeMap<String, ResolvedAsset>,
    /// The nodes that run, in topological order; ties in the order of the file.
    pub nodes: Vec<Node>,
    /// Nodes that do not run, because of an `if:`.
    pub skipped: Vec<Skipped>,
    /// Nodes whose results must be in the store already, where only a part of the workflow runs.
    pub kept_only: BTreeSet<String>,
    /// Nodes that are left alone, where only a part of the workflow runs.
    pub left_alone: BTreeSet<String>,
    /// `report:`.
    pub report: ReportSpec,
    /// `tests:`.
    pub cases: Vec<Case>,
    /// The folder its file lies in; absolute.
    pub folder: PathBuf,
    /// What may be read.
    pub roots: paths::Roots,
    /// Remarks that do not stop anything.
    pub warnings: Vec<Diagnostic>,
}

/// An entry of `models:` or `plugins:`.
#[derive(Debug)]
pub struct ResolvedAsset {
    /// What stages see.
    pub asset: Arc<Asset>,
    /// Its fields without those equal to their schema's default; paths absolute. What keys are made of, with [`Self::marks`]
    /// replaced by content digests.
    pub identity: Value,
    /// Where paths stand in [`Self::identity`].
    pub marks: Vec<Mark>,
    /// Where its name stands in the file.
    pub span: Span,
}

/// A stage or a loop.
pub struct Node {
    /// Its id; unique among its siblings, and no loop body repeats an id from outside.
    pub id: String,
    /// Where the id stands in the file.
    pub span: Span,
    /// What it reads, in slot order. For a loop: what `over` names (slot `over`), then what its body reads from outside.
    pub needs: Vec<Need>,
    /// What it offers; the first is what the bare id means.
    pub outputs: Vec<Port>,
    /// Keys every stage has.
    pub common: Common,
    /// What it does.
    pub work: NodeWork,
}

/// What a node does.
pub enum NodeWork {
    /// A native stage.
    Stage(StageNode),
    /// A loop: one node outside, a DAG inside.
    Loop(LoopNode),
}

/// A native stage.
pub struct StageNode {
    /// The word after `kind:`.
    pub kind: &'static str,
    /// The stage itself.
    pub stage: Box<dyn Stage>,
    /// The JSON Schema of its `with:` block.
    pub schema: Value,
    /// Its `with:` block as handed to it: types decided, paths absolute, absent fields left out.
    pub with: Value,
    /// `with` without fields equal to their schema's default (nested objects and plugin configs too): what keys are made of, with
    /// [`Self::marks`] replaced.
    pub identity: Value,
    /// Where asset names and paths stand in [`Self::identity`].
    pub marks: Vec<Mark>,
}

/// A loop.
pub struct LoopNode {
    /// Step limit; a record that reaches it is cut.
    pub max_steps: u32,
    /// The body, in topological order; ties in the order of the file. No body node is a loop.
    pub body: Vec<Node>,
    /// The body output that becomes the next step's `loop.state`.
    pub carry: (String, String),
    /// What the loop offers, in the order of the file and of [`Node::outputs`].
    pub collect: Vec<Collect>,
}

/// One entry of a loop's `collect:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collect {
    /// A body stage's output, over all steps: (stage, output).
    Output(String, String),
    /// `loop.final`: the last state of each record.
    Final,
}

/// One input of a node: an edge of the DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The input slot; `over` for what a loop runs over, empty for what a loop's body reads from outside.
    pub slot: String,
    /// Where it comes from.
    pub from: Origin,
    /// What flows.
    pub kind: KindName,
    /// Rows or files.
    pub form: Form,
    /// Where the reference stands in the file.
    pub span: Span,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An output of a sibling.
    Sibling {
        /// Its id.
        node: String,
        /// The output's name.
        output: String,
    },
    /// Only in a loop body: an output of a node outside the loop.
    Outside {
        /// Its id.
        node: String,
        /// The output's name.
        output: String,
    },
    /// Only in a loop body: the record as it stands at this step.
    LoopState,
}

/// One output of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// What stands after the dot.
    pub name: String,
    /// What flows out.
    pub kind: KindName,
    /// Rows or files.
    pub form: Form,
}

/// A place in a block of values that means more than its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// JSON pointer into the block.
    pub pointer: String,
    /// What stands there.
    pub what: MarkKind,
    /// Where it stands in the file.
    pub span: Span,
}

/// What stands at a [`Mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The name of an asset.
    Asset,
    /// An absolute path of a file.
    File,
    /// An absolute path of a directory.
    Dir,
    /// An absolute path of a directory of which only the files a stage lists count.
    Shelf,
}

/// Keys every stage has.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// What cannot change results.
    pub exec: Exec,
    /// What a unit's own fault means.
    pub on_error: OnError,
    /// How often work is repeated after the world failed it.
    pub retries: u32,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What it occupies while it runs, for example `gpu: 1`.
    pub resources: BTreeMap<String, u32>,
}

/// What a unit's own fault means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// The unit is set aside and counted.
    #[default]
    Quarantine,
    /// The stage stops at the first.
    Fail,
}

/// A node that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its id; `loop/stage` for a stage of a body.
    pub id: String,
    /// Why, for example "its `if` is false" or "needs `a`, which is skipped".
    pub because: String,
}

/// `report:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// Stages whose tables stand side by side.
    pub compare: Vec<String>,
}

impl Workflow {
    /// Returns every parameter with its value as it is told: paths within the workflow's root as the workflow itself could name them.
    pub fn told_params(&self) -> Vec<(String, Value)> {
        let told = |value: &params::ParamValue| match value {
            params::ParamValue::Path(path) => self.roots.seen_from(&self.folder, path).to_string_lossy().into(),
            value => value.to_json(),
        };
        self.params.iter().map(|(name, value)| (name.clone(), told(value))).collect()
    }

    /// Returns the assets as stages see them.
    pub fn assets(&self) -> Assets {
        self.assets.iter().map(|(name, entry)| (name.clone(), entry.asset.clone())).collect()
    }

    /// Returns every combination of what the command line leaves open; a workflow without `matrix:` has one.
    pub fn combinations(&self) -> impl Iterator<Item = Combination> {
        matrix::combinations(&self.open_axes).into_iter().map(Combination::At)
    }

    /// Returns the node with this id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns the ids of all stages in topological order, those of loop bodies as `loop/stage`; loops themselves are left out.
    pub fn stage_ids(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().flat_map(|node| match &node.work {
            NodeWork::Stage(_) => vec![node.id.clone()],
            NodeWork::Loop(inner) => inner.body.iter().map(|member| format!("{}/{}", node.id, member.id)).collect(),
        })
    }

    /// Returns the stage with this id; `loop/stage` in a loop's body.
    pub fn stage(&self, id: &str) -> Option<&StageNode> {
        find(&self.nodes, id)?.stage()
    }

    /// Returns an error for every path the workflow names that is not there, or is a file where a folder is needed or the reverse.
    pub fn missing_paths(&self) -> Diagnostics {
        let mut found = Diagnostics::default();
        for (path, what, span) in self.paths() {
            let message = match (std::fs::metadata(&path), what) {
                (Err(error), _) => format!("`{}`: {error}", path.display()),
                (Ok(there), MarkKind::Dir | MarkKind::Shelf) if !there.is_dir() => {
                    format!("`{}` is a file, and a folder is needed", path.display())
                }
                (Ok(there), MarkKind::File) if there.is_dir() => {
                    format!("`{}` is a folder, and a file is needed", path.display())
                }
                (Ok(_), _) => continue,
            };
            found.push(Diagnostic::error("E0408", &self.source, span, message));
        }
        found
    }

    /// Returns every path the workflow names with the places of those marks: of assets first, then of stages and loop bodies.
    pub fn paths(&self) -> Vec<(PathBuf, MarkKind, Span)> {
        let mut paths = Vec::new();
        for entry in self.assets.values() {
            marked_paths(&entry.identity, &entry.marks, &mut paths);
        }
        let bodies = self.nodes.iter().flat_map(Node::and_body);
        for stage in bodies.filter_map(Node::stage) {
            marked_paths(&stage.identity, &stage.marks, &mut paths);
        }
        paths
    }
}

/// Returns the id of the node a stage belongs to: its own, or that of the loop in whose body it stands.
pub fn node_of(stage: &str) -> &str {
    stage.split_once('/').map_or(stage, |(around, _)| around)
}

/// Returns the node with this id; `loop/stage` in a loop's body.
pub(crate) fn find<'n>(nodes: &'n [Node], id: &str) -> Option<&'n Node> {
    let node = nodes.iter().find(|node| node.id == node_of(id))?;
    match id.split_once('/') {
        Some((_, inner)) => node.and_body().skip(1).find(|member| member.id == inner),
        None => Some(node),
    }
}

fn marked_paths(block: &Value, marks: &[Mark], paths: &mut Vec<(PathBuf, MarkKind, Span)>) {
    for mark in marks.iter().filter(|mark| mark.what != MarkKind::Asset) {
        if let Some(path) = block.pointer(&mark.pointer).and_then(Value::as_str) {
            paths.push((path.into(), mark.what, mark.span));
        }
    }
}

impl Node {
    /// Returns the stage, unless it is a loop.
    pub fn stage(&self) -> Option<&StageNode> {
        match &self.work {
            NodeWork::Stage(stage) => Some(stage),
            NodeWork::Loop(_) => None,
        }
    }

    /// Returns the names of the assets its settings name; of a loop none, for its body's stages name them.
    pub fn asset_names(&self) -> impl Iterator<Item = &str> {
        let stage = self.stage().into_iter();
        stage.flat_map(|stage| {
            let marks = stage.marks.iter().filter(|mark| mark.what == MarkKind::Asset);
            marks.filter_map(|mark| stage.identity.pointer(&mark.pointer)?.as_str())
        })
    }

    /// Returns the node, followed by its body if it is a loop.
    pub fn and_body(&self) -> impl Iterator<Item = &Self> {
        let body: &[Self] = match &self.work {
            NodeWork::Stage(_) => &[],
            NodeWork::Loop(inner) => &inner.body,
        };
        std::iter::once(self).chain(body)
    }

    /// Returns an output by name.
    pub fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }
}
