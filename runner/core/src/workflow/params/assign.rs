//! The values parameters get: from defaults, from `--params` files, from `--set`, each checked against its declaration.

use std::path::Path;
use std::sync::Arc;

use super::{Given, Param, ParamType, ParamValue, Params};
use crate::diag::{Diagnostic, Diagnostics, Source, Span, advice, did_you_mean, listed};
use crate::workflow::expr;
use crate::workflow::fields::mapping;
use crate::workflow::load::read_source;
use crate::workflow::paths::tidy;
use crate::workflow::scalar;
use crate::workflow::yaml::{self, Node, Scalar, Sink, Spanned};

/// The second half of a message, and advice.
type Refusal = (String, Option<String>);

impl Params {
    /// Gives every parameter its default, or what the command line says. Mistakes are returned with their own sources.
    pub fn assign(&mut self, given: &Given, sink: &Sink) -> Diagnostics {
        let mut elsewhere = Diagnostics::default();
        for param in &self.declared {
            self.values.insert(param.name.clone(), param.default.clone());
        }
        for file in &given.files {
            self.assign_file(&tidy(&given.folder.join(file)), file, sink, &mut elsewhere);
        }
        for text in &given.set {
            self.assign_one(text, &given.folder, sink, &mut elsewhere);
        }
        elsewhere
    }

    /// Reports parameters that have no value.
    pub fn require(&self, sink: &mut Sink) {
        for param in &self.declared {
            if self.value(&param.name).is_none() && !self.claimed.contains(&param.name) {
                let message = format!("parameter `{}` has no value", param.name);
                let help = format!("give one with `--set {}=…`, or a `default:` here", param.name);
                sink.push(sink.error("E0308", param.at, message).help(help));
            }
        }
    }

    fn assign_file(&mut self, path: &Path, named: &Path, sink: &Sink, elsewhere: &mut Diagnostics) {
        let source = match read_source(path, named) {
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
                    self.claim(&name.value);
                }
            }
        }
        elsewhere.extend(own.found);
    }

    fn assign_one(&mut self, text: &str, folder: &Path, sink: &Sink, elsewhere: &mut Diagnostics) {
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
                self.claim(name);
            }
        }
    }

    fn give(&mut self, name: &str, value: ParamValue) {
        if let ParamValue::Path(path) = &value {
            self.given_paths.push(path.clone());
        }
        self.claim(name);
        self.put(name, value);
    }

    /// Reports a name that is not declared; one that is declared wrongly has been reported.
    fn unknown(&self, source: &Arc<Source>, span: Span, name: &str, sink: &Sink) -> Diagnostics {
        let mut found = Diagnostics::default();
        if self.values.contains_key(name) {
            return found;
        }
        let names = self.declared.iter().map(|param| param.name.as_str());
        let message = format!("the workflow declares no parameter `{}`", yaml::shortened(name));
        let help = advice(name, "it declares", names);
        let diagnostic = Diagnostic::error("E0309", source, span, message).help(help);
        found.push(match self.declared.first() {
            Some(first) => diagnostic.elsewhere(&sink.source, first.at.span, "parameters are declared here"),
            None => diagnostic,
        });
        found
    }
}

/// Returns the value of a parameter from a file; `None` if nothing stands there or what stands there has been reported.
pub(in crate::workflow) fn value_of(
    param: &Param,
    tree: &Spanned<Node>,
    folder: &Path,
) -> Result<Option<ParamValue>, Refusal> {
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
}

fn refused(param: &Param, source: &Arc<Source>, span: Span, (message, help): Refusal, sink: &Sink) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0307", source, span, message).maybe_help(help);
    diagnostic.elsewhere(&sink.source, param.at.span, format!("`{}` is declared here: {}", param.name, param.takes()))
}
