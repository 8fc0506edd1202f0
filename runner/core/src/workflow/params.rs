//! Typed parameters: what `params:` declares, the values they get from defaults, `--params` files and `--set`, and the
//! evaluation of every expression of a workflow over them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Number, Value, json};

use super::expr::{self, Lookup};
use super::fields::{Fields, Keys, check_id, listed, mapping, word};
use super::paths::tidy;
use super::scalar;
use super::yaml::{self, Node, Place, Scalar, Sink, Spanned};
use crate::diag::{Diagnostic, Diagnostics, Source, Span, did_you_mean, nearest};

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
    /// Paths given on the command line.
    pub given_paths: Vec<PathBuf>,
}

/// The second half of a message, and advice.
type Refusal = (String, Option<String>);

/// Reads `params:`. Defaults of type `path` are relative to `folder`.
pub fn declare(tree: Option<&Spanned<Node>>, folder: &Path, sink: &mut Sink) -> Params {
    let mut params =
        Params { declared: Vec::new(), values: BTreeMap::new(), used: RefCell::default(), given_paths: Vec::new() };
    let entries = tree.and_then(|tree| mapping(tree, "`params`", sink)).unwrap_or_default();
    for (name, declaration) in entries {
        params.values.insert(name.value.clone(), None);
        if let (true, Some(param)) =
            (check_id(name, "a parameter", true, sink), declaration_of(name, declaration, folder, sink))
        {
            params.declared.push(param);
        }
    }
    params
}

fn declaration_of(name: &Spanned<String>, tree: &Spanned<Node>, folder: &Path, sink: &mut Sink) -> Option<Param> {
    let fields =
        Fields::of(tree, format!("parameter `{}`", name.value), &Keys { known: PARAM_KEYS, not_yet: &[] }, sink)?;
    let kind = kind_of(fields.require("type", sink)?, sink)?;
    let mut param = Param {
        name: name.value.clone(),
        kind,
        default: None,
        min: None,
        max: None,
        values: Vec::new(),
        help: fields
            .get("help")
            .and_then(|help| word(help, "a text", sink))
            .map(|help| help.value.to_owned())
            .unwrap_or_default(),
        at: name.at,
    };
    let numeric = matches!(kind, ParamType::Int | ParamType::Number);
    for bound in ["min", "max"] {
        let Some(tree) = fields.get(bound) else { continue };
        if !numeric {
            let at = fields.key_place(bound).unwrap_or(tree.at);
            sink.push(sink.error("E0306", at, format!("`{bound}` bounds numbers, and `{}` is none", param.name)));
            continue;
        }
        let value = word(tree, "a number", sink).map(|text| (scalar::number(text.value), text));
        match value {
            Some((Ok(value), _)) if bound == "min" => param.min = Some(value),
            Some((Ok(value), _)) => param.max = Some(value),
            Some((Err(help), text)) => {
                sink.push(
                    sink.error("E0203", text.at, format!("expected a number, found {}", tree.found())).maybe_help(help),
                );
            }
            None => {}
        }
    }
    if let (Some(min), Some(max)) = (param.min, param.max)
        && min > max
    {
        let at = fields.get("max").map_or(name.at, |tree| tree.at);
        sink.push(sink.error("E0306", at, format!("`max` {max} is less than `min` {min}")));
    }
    param.values = choices(&fields, kind, &param.name, sink)?;
    if let Some(tree) = fields.get("default") {
        match value_of(&param, tree, folder) {
            Ok(value) => param.default = value,
            Err((message, help)) => {
                sink.push(sink.error("E0306", tree.at, message).label("the default").maybe_help(help));
                return None;
            }
        }
    }
    Some(param)
}

fn kind_of(tree: &Spanned<Node>, sink: &mut Sink) -> Option<ParamType> {
    let name = word(tree, "a type", sink)?;
    let kind = match name.value {
        "string" => ParamType::Text,
        "int" => ParamType::Int,
        "number" => ParamType::Number,
        "bool" => ParamType::Bool,
        "path" => ParamType::Path,
        "enum" => ParamType::Enum,
        other => {
            let synonym = match other {
                "str" | "text" => Some("string"),
                "integer" => Some("int"),
                "float" | "double" => Some("number"),
                "boolean" => Some("bool"),
                "file" | "dir" | "directory" => Some("path"),
                _ => nearest(other, PARAM_TYPES.iter().copied()),
            };
            let message = format!("`{other}` is not a type; there are {}", listed(PARAM_TYPES.iter().copied()));
            sink.push(
                sink.error("E0204", name.at, message).maybe_help(synonym.map(|name| format!("did you mean `{name}`?"))),
            );
            return None;
        }
    };
    Some(kind)
}

fn choices(fields: &Fields<'_>, kind: ParamType, name: &str, sink: &mut Sink) -> Option<Vec<String>> {
    let tree = match (kind, fields.get("values")) {
        (ParamType::Enum, _) => fields.require("values", sink)?,
        (_, None) => return Some(Vec::new()),
        (_, Some(tree)) => {
            let at = fields.key_place("values").unwrap_or(tree.at);
            sink.push(sink.error("E0306", at, format!("`values` belongs to `type: enum`, and `{name}` has another")));
            return Some(Vec::new());
        }
    };
    let Node::Seq(items) = &tree.value else {
        sink.push(sink.error("E0203", tree.at, format!("expected a list of words, found {}", tree.found())));
        return None;
    };
    let mut values: Vec<String> = Vec::new();
    for item in items {
        let value = word(item, "a word", sink)?;
        if values.iter().any(|known| known == value.value) {
            sink.push(sink.error("E0306", value.at, format!("`{}` stands here twice", value.value)));
        }
        values.push(value.value.to_owned());
    }
    if values.is_empty() {
        sink.push(sink.error("E0306", tree.at, "`values` is empty"));
        return None;
    }
    Some(values)
}

/// Returns the value of a parameter from a file; `None` if nothing stands there or what stands there has been reported.
fn value_of(param: &Param, tree: &Spanned<Node>, folder: &Path) -> Result<Option<ParamValue>, Refusal> {
    match &tree.value {
        Node::Scalar(scalar) if expr::is_expression(&scalar.text) => {
            Err(("a parameter's value cannot be an expression".to_owned(), None))
        }
        Node::Scalar(scalar) => read_value(param, scalar, folder).map(Some),
        Node::Null | Node::Poison => Ok(None),
        _ => Err((format!("expected {}, found {}", param.kind.name(), tree.found()), None)),
    }
}

fn read_value(param: &Param, scalar: &Scalar, folder: &Path) -> Result<ParamValue, Refusal> {
    let text = scalar.text.as_str();
    let typed = !matches!(param.kind, ParamType::Text | ParamType::Path | ParamType::Enum);
    let refuse =
        |help: Option<String>| (format!("expected {}, found `{}`", param.kind.name(), yaml::shortened(text)), help);
    if typed && scalar.quoted {
        return Err((
            format!("expected {}, found the text `{}`", param.kind.name(), yaml::shortened(text)),
            Some("remove the quotes".to_owned()),
        ));
    }
    match param.kind {
        ParamType::Text => Ok(ParamValue::Text(text.to_owned())),
        ParamType::Bool => scalar::bool(text).map(ParamValue::Bool).map_err(refuse),
        ParamType::Int => {
            let int = scalar::int(text).map_err(refuse)?;
            let int = i64::try_from(int).map_err(|_| refuse(Some("an integer has at most 64 bits".to_owned())))?;
            param.check_bounds(int as f64, text).map(|()| ParamValue::Int(int))
        }
        ParamType::Number => {
            let number = scalar::number(text).map_err(refuse)?;
            param.check_bounds(number, text).map(|()| ParamValue::Number(number))
        }
        ParamType::Path if text.is_empty() || text.contains('\0') => Err(refuse(None)),
        ParamType::Path => Ok(ParamValue::Path(tidy(&folder.join(text)))),
        ParamType::Enum if param.values.iter().any(|value| value == text) => Ok(ParamValue::Text(text.to_owned())),
        ParamType::Enum => {
            let names = || param.values.iter().map(String::as_str);
            Err((
                format!("expected one of {}, found `{}`", listed(names()), yaml::shortened(text)),
                did_you_mean(text, names()),
            ))
        }
    }
}

impl Param {
    fn check_bounds(&self, value: f64, text: &str) -> Result<(), Refusal> {
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Err((format!("`{text}` is less than {min}, the least `{}` may be", self.name), None));
        }
        if let Some(max) = self.max.filter(|max| value > *max) {
            return Err((format!("`{text}` is more than {max}, the most `{}` may be", self.name), None));
        }
        Ok(())
    }

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
    /// Gives every parameter its value. Mistakes in the workflow go to the sink, those elsewhere are returned with their own source.
    pub fn assign(&mut self, given: &Given, sink: &mut Sink) -> Diagnostics {
        let mut elsewhere = Diagnostics::default();
        for param in &self.declared {
            self.values.insert(param.name.clone(), param.default.clone());
        }
        let mut reported: BTreeSet<String> = BTreeSet::new();
        for file in &given.files {
            self.assign_file(&tidy(&given.folder.join(file)), file, sink, &mut elsewhere, &mut reported);
        }
        for text in &given.set {
            self.assign_one(text, &given.folder, sink, &mut elsewhere, &mut reported);
        }
        for param in &self.declared {
            if self.values[&param.name].is_none() && !reported.contains(&param.name) {
                let message = format!("parameter `{}` has no value", param.name);
                let help = format!("give one with `--set {}=…`, or a `default:` here", param.name);
                sink.push(sink.error("E0308", param.at, message).help(help));
            }
        }
        elsewhere
    }

    fn assign_file(
        &mut self,
        path: &Path,
        named: &Path,
        sink: &Sink,
        elsewhere: &mut Diagnostics,
        reported: &mut BTreeSet<String>,
    ) {
        let source = match super::load::read_source(path, named) {
            Ok(source) => source,
            Err(diagnostic) => return elsewhere.push(*diagnostic),
        };
        let mut own = Sink::new(source);
        let tree = yaml::read(&mut own);
        let entries =
            tree.as_ref().and_then(|tree| mapping(tree, "a file of parameters", &mut own)).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("/"));
        for (name, value) in entries {
            let Some(param) = self.declared.iter().find(|param| param.name == name.value).cloned() else {
                own.found.extend(self.unknown(&own.source, name.at.span, &name.value, sink));
                continue;
            };
            match value_of(&param, value, folder).transpose() {
                None => {}
                Some(Ok(value)) => self.give(&name.value, value),
                Some(Err(refusal)) => {
                    own.push(refused(&param, &own.source, value.at.span, refusal, sink));
                    self.values.insert(name.value.clone(), None);
                    reported.insert(name.value.clone());
                }
            }
        }
        elsewhere.extend(own.found);
    }

    fn assign_one(
        &mut self,
        text: &str,
        folder: &Path,
        sink: &Sink,
        elsewhere: &mut Diagnostics,
        reported: &mut BTreeSet<String>,
    ) {
        let source = Source::new("--set", text);
        let Some((name, value)) = text.split_once('=') else {
            let whole = Span { start: 0, end: text.len() };
            let diagnostic = Diagnostic::error(
                "E0309",
                &source,
                whole,
                format!("`{}` is not of the form `name=value`", yaml::shortened(text)),
            );
            return elsewhere.push(diagnostic);
        };
        let name_span = Span { start: 0, end: name.len() };
        let Some(param) = self.declared.iter().find(|param| param.name == name).cloned() else {
            return elsewhere.extend(self.unknown(&source, name_span, name, sink));
        };
        match read_value(&param, &Scalar { text: value.to_owned(), quoted: false }, folder) {
            Ok(value) => self.give(name, value),
            Err(refusal) => {
                elsewhere.push(refused(
                    &param,
                    &source,
                    Span { start: name.len() + 1, end: text.len() },
                    refusal,
                    sink,
                ));
                self.values.insert(name.to_owned(), None);
                reported.insert(name.to_owned());
            }
        }
    }

    fn give(&mut self, name: &str, value: ParamValue) {
        if let ParamValue::Path(path) = &value {
            self.given_paths.push(path.clone());
        }
        self.values.insert(name.to_owned(), Some(value));
    }

    /// Reports a name that is not declared; one that is declared wrongly has been reported.
    fn unknown(&self, source: &Arc<Source>, span: Span, name: &str, sink: &Sink) -> Diagnostics {
        let mut found = Diagnostics::default();
        if self.values.contains_key(name) {
            return found;
        }
        let names = || self.declared.iter().map(|param| param.name.as_str());
        let message = format!("the workflow declares no parameter `{}`", yaml::shortened(name));
        let help = did_you_mean(name, names()).unwrap_or_else(|| format!("it declares {}", listed(names())));
        let diagnostic = Diagnostic::error("E0309", source, span, message).help(help);
        found.push(match self.declared.first() {
            Some(first) => diagnostic.elsewhere(&sink.source, first.at.span, "parameters are declared here"),
            None => diagnostic,
        });
        found
    }

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

fn refused(param: &Param, source: &Arc<Source>, span: Span, (message, help): Refusal, sink: &Sink) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0307", source, span, message).maybe_help(help);
    diagnostic.elsewhere(&sink.source, param.at.span, format!("`{}` is declared here: {}", param.name, param.takes()))
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
