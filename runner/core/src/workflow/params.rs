//! Typed parameters: what `params:` declares, the values they get from defaults, `--params` files and `--set`, and the
//! evaluation of every expression of a workflow over them.

mod assign;
mod declare;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde_json::{Number, Value, json};

pub(super) use assign::value_of;
pub use declare::declare;

use super::expr::{self, Lookup};
use super::yaml::{Node, Place, Sink, Spanned};
use crate::diag::{Source, Span, nearest};

/// The keys of a declaration.
pub const PARAM_KEYS: &[&str] = &["type", "default", "min", "max", "values", "help"];
/// The types a parameter may have.
pub const PARAM_TYPES: &[&str] = &["string", "int", "number", "bool", "path", "enum"];

/// The value of a parameter, or of an expression over parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// `string` and `enum`.
    Text(String),
    /// `int`.
    Int(i64),
    /// `number`; finite.
    Number(f64),
    /// `bool`.
    Bool(bool),
    /// `path`; absolute.
    Path(PathBuf),
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// Any text.
    Text,
    /// An integer.
    Int,
    /// A finite number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A path; relative to the workflow's folder in the file, to the working directory on the command line.
    Path,
    /// One of a few words.
    Enum,
}

/// A declared parameter.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ParamType,
    /// Its value when none is given.
    pub default: Option<ParamValue>,
    /// Least value of an `int` or `number`.
    pub min: Option<f64>,
    /// Greatest value of an `int` or `number`.
    pub max: Option<f64>,
    /// The words of an `enum`.
    pub values: Vec<String>,
    /// What it is for.
    pub help: String,
    /// Where its name stands.
    pub at: Place,
}

/// What the command line says about parameters.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--set`, each `name=value`, in order; later ones win.
    pub set: Vec<String>,
    /// `--params`, in order; later ones win, `--set` wins over all.
    pub files: Vec<PathBuf>,
    /// The working directory: paths given with `--set` are relative to it.
    pub folder: PathBuf,
}

/// Declared parameters and their values.
pub struct Params {
    /// In the order of the file.
    pub declared: Vec<Param>,
    /// `None`: something about it is wrong and has been reported.
    values: BTreeMap<String, Option<ParamValue>>,
    used: RefCell<BTreeSet<String>>,
    /// Those the command line says something of, or `matrix:` does.
    claimed: BTreeSet<String>,
    /// Paths given on the command line.
    pub given_paths: Vec<PathBuf>,
}

impl Param {
    /// Returns what it takes in a few words, for help: `int, at least 1, default 300`.
    pub fn takes(&self) -> String {
        let mut parts = vec![match self.kind {
            ParamType::Enum => self.values.join(" | "),
            kind => kind.word().to_owned(),
        }];
        parts.extend(self.min.map(|min| format!("at least {min}")));
        parts.extend(self.max.map(|max| format!("at most {max}")));
        parts.push(self.default.as_ref().map_or("required".to_owned(), |default| format!("default {default}")));
        parts.join(", ")
    }
}

impl ParamType {
    /// Returns the word after `type:`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Path => "path",
            Self::Enum => "enum",
        }
    }

    /// Returns it with an article, for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::Bool => "`true` or `false`",
            Self::Path => "a path",
            Self::Enum => "a word",
        }
    }
}

impl Params {
    /// Returns what a name stands for in an expression, and counts it as used.
    /// Advice on unknown names costs time, so it is given on request.
    pub fn lookup(&self, name: &str, advise: bool) -> Lookup<'_> {
        self.used.borrow_mut().insert(name.to_owned());
        match self.values.get(name) {
            Some(Some(value)) => Lookup::Value(value),
            Some(None) => Lookup::Poisoned,
            None => Lookup::Unknown(
                nearest(name, self.values.keys().map(String::as_str).filter(|_| advise)).map(str::to_owned),
            ),
        }
    }

    /// Whether a parameter of this name is declared, rightly or wrongly.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns the value of a parameter, unless something about it is wrong.
    pub(super) fn value(&self, name: &str) -> Option<&ParamValue> {
        self.values.get(name)?.as_ref()
    }

    /// Takes it on to say a parameter's value; returns whether nobody has.
    pub(super) fn claim(&mut self, name: &str) -> bool {
        self.claimed.insert(name.to_owned())
    }

    /// Gives a parameter its value.
    pub(super) fn put(&mut self, name: &str, value: ParamValue) {
        self.values.insert(name.to_owned(), Some(value));
    }

    /// Returns the declared parameters that no expression used.
    pub fn unused(&self) -> impl Iterator<Item = &Param> {
        let used = self.used.borrow().clone();
        self.declared.iter().filter(move |param| !used.contains(&param.name))
    }

    /// Returns every parameter with its value, in the order of the file.
    pub fn values(&self) -> Vec<(String, ParamValue)> {
        let value = |param: &Param| self.values[&param.name].clone().map(|value| (param.name.clone(), value));
        self.declared.iter().filter_map(value).collect()
    }

    /// Replaces every expression below a tree by its value, a wrong one by [`Node::Poison`].
    pub fn evaluate(&self, tree: &mut Spanned<Node>, sink: &mut Sink) {
        let at = tree.at;
        match &mut tree.value {
            Node::Seq(items) => items.iter_mut().for_each(|item| self.evaluate(item, sink)),
            Node::Map(entries) => {
                for (key, value) in entries {
                    if expr::is_expression(&key.value) {
                        sink.push(sink.error("E0304", key.at, "a key cannot be an expression").help("write it out"));
                    }
                    self.evaluate(value, sink);
                }
            }
            Node::Scalar(scalar) if expr::is_expression(&scalar.text) => {
                let advise = !sink.found.is_full();
                tree.value = match expr::evaluate(&scalar.text, &|name| self.lookup(name, advise)) {
                    Ok(Some(value)) => Node::Value(value),
                    Ok(None) => Node::Poison,
                    Err(error) => {
                        let at = Place { span: within(&sink.source, at.span, &scalar.text, error.range), ..at };
                        sink.push(sink.error(error.code, at, error.message).maybe_help(error.help));
                        Node::Poison
                    }
                };
            }
            _ => {}
        }
    }
}

/// Returns where a part of a quoted scalar stands; the whole scalar, if escapes or folding make that unclear.
fn within(source: &Source, span: Span, text: &str, part: std::ops::Range<usize>) -> Span {
    let start = span.start + 1;
    if source.text.get(start..start + text.len()) == Some(text) {
        Span { start: start + part.start, end: start + part.end }
    } else {
        span
    }
}

impl ParamValue {
    /// Returns it as JSON, as fields receive it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Int(int) => json!(int),
            Self::Number(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Bool(bool) => json!(bool),
            Self::Path(path) => json!(path.to_string_lossy()),
        }
    }

    /// Returns the name of its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Int(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a bool",
            Self::Path(_) => "a path",
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Int(int) => write!(out, "{int}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(bool) => write!(out, "{bool}"),
            Self::Path(path) => write!(out, "{}", path.display()),
        }
    }
}
