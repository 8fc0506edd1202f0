//! `matrix:`: parameters with several values each. A workflow runs once for every combination; what is loaded is one of them.

use std::path::Path;

use super::fields::mapping;
use super::params::{Param, ParamValue, Params, value_of};
use super::yaml::{self, Node, Place, Sink, Spanned};
use crate::diag::advice;

/// More combinations are refused.
const COMBINATIONS_MAX: usize = 256;
/// A longer name of a combination is refused: file systems take 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// Which combination is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Combination {
    /// The first, for who only looks at the file.
    #[default]
    First,
    /// The one the command line gives: every axis must have a value there.
    Given,
    /// Of each axis the command line leaves open, the value at this place.
    At(Vec<usize>),
}

/// The axes of a workflow, after parameters have got the values of one combination.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    axes: Vec<Axis>,
    /// How many values each axis has that the command line leaves open.
    pub(super) open: Vec<usize>,
    /// Whether anything about it was reported.
    pub(super) is_wrong: bool,
}

/// A parameter and the values it runs through.
#[derive(Debug)]
struct Axis {
    name: String,
    /// At least one; no two have the same word in a name.
    values: Vec<ParamValue>,
    at: Place,
}

impl Matrix {
    /// Reads `matrix:` and gives the axes the command line leaves open their values. Paths are relative to `folder`.
    pub(super) fn apply(
        tree: Option<&Spanned<Node>>,
        combination: &Combination,
        folder: &Path,
        params: &mut Params,
        sink: &mut Sink,
    ) -> Self {
        let Some(tree) = tree.filter(|tree| tree.value != Node::Null) else { return Self::default() };
        let told = sink.found.count();
        let axes = read(tree, params, folder, sink);
        let open: Vec<&Axis> = axes.iter().filter(|axis| params.claim(&axis.name)).collect();
        for (axis, place) in open.iter().zip(0..) {
            if *combination == Combination::Given {
                let message = format!("the workflow runs for several values of `{}`", axis.name);
                let help = format!("say which: `--set {}={}`", axis.name, axis.values[0]);
                sink.push(sink.error("E0310", axis.at, message).help(help));
            }
            let chosen = if let Combination::At(places) = combination { places.get(place) } else { None };
            params.put(&axis.name, axis.values[chosen.copied().unwrap_or(0).min(axis.values.len() - 1)].clone());
        }
        let open = open.iter().map(|axis| axis.values.len()).collect();
        let is_wrong = sink.found.count() > told || axes.iter().any(|axis| params.value(&axis.name).is_none());
        Self { axes, open, is_wrong }
    }

    /// Returns the name of the combination of the workflow called `name`: `name@beta=0.1,seed=7`.
    pub(super) fn named(&self, name: String, params: &Params, sink: &mut Sink) -> String {
        let Some(first) = self.axes.first() else { return name };
        let words =
            self.axes.iter().filter_map(|axis| Some(format!("{}={}", axis.name, word(params.value(&axis.name)?))));
        let whole = format!("{name}@{}", words.collect::<Vec<_>>().join(","));
        if whole.len() > NAME_BYTES_MAX {
            let message = format!("a combination's name would be longer than {NAME_BYTES_MAX} bytes: `{whole}`");
            sink.push(sink.error("E0311", first.at, message).help("results appear in a folder of this name"));
        }
        whole
    }
}

/// Returns every combination of so many values each, as [`Combination::At`] takes them; the last axis runs fastest.
pub(super) fn combinations(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |shorter, size| {
        let with_each = |places: &Vec<usize>| (0..*size).map(|place| [places.as_slice(), &[place]].concat()).collect();
        shorter.iter().flat_map::<Vec<Vec<usize>>, _>(with_each).collect()
    })
}

fn read(tree: &Spanned<Node>, params: &mut Params, folder: &Path, sink: &mut Sink) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for (name, values) in mapping(tree, "`matrix`", sink).unwrap_or_default() {
        let Some(param) = params.declared.iter().find(|param| param.name == name.value).cloned() else {
            // One that is declared wrongly has been reported.
            if !params.is_known(&name.value) {
                let names = params.declared.iter().map(|param| param.name.as_str());
                let help = advice(&name.value, "axes are parameters, and there are", names);
                let message = format!("the workflow declares no parameter `{}`", yaml::shortened(&name.value));
                sink.push(sink.error("E0311", name.at, message).help(help));
            }
            continue;
        };
        let told = sink.found.count();
        let values = values_of(&param, values, folder, sink);
        if sink.found.count() > told || values.is_empty() {
            // Its value is not missing but wrong.
            params.claim(&name.value);
        } else {
            axes.push(Axis { name: name.value.clone(), values, at: name.at });
        }
    }
    let product = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.values.len()));
    if product.is_none_or(|product| product > COMBINATIONS_MAX) {
        sink.push(sink.error("E0311", tree.at, format!("these are more than {COMBINATIONS_MAX} combinations")));
    }
    axes
}

fn values_of(param: &Param, tree: &Spanned<Node>, folder: &Path, sink: &mut Sink) -> Vec<ParamValue> {
    let Node::Seq(items) = &tree.value else {
        if tree.value != Node::Poison {
            let message = format!("expected a list of values, found {}", tree.found());
            sink.push(sink.error("E0311", tree.at, message));
        }
        return Vec::new();
    };
    if items.is_empty() {
        sink.push(sink.error("E0311", tree.at, format!("`{}` needs at least one value", param.name)));
    }
    let mut values: Vec<ParamValue> = Vec::new();
    for item in items {
        let (message, help) = match value_of(param, item, folder) {
            Ok(Some(value)) if values.iter().any(|known| word(known) == word(&value)) => {
                (format!("two values of `{}` would be called `{}`", param.name, word(&value)), None)
            }
            Ok(Some(value)) => {
                values.push(value);
                continue;
            }
            Ok(None) if item.value == Node::Poison => continue,
            Ok(None) => ("a value is missing".to_owned(), None),
            Err(refusal) => refusal,
        };
        sink.push(sink.error("E0311", item.at, message).maybe_help(help));
    }
    values
}

/// Returns a value as it stands in a name: of a path its last part; what cannot stand in a folder's name is a hyphen.
fn word(value: &ParamValue) -> String {
    let text = match value {
        ParamValue::Path(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        other => other.to_string(),
    };
    text.chars().map(|letter| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '-' }).collect()
}
