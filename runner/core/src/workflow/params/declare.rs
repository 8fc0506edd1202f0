//! `params:` as declarations: name, type, default, bounds, words, help.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::assign::value_of;
use super::{PARAM_KEYS, PARAM_TYPES, Param, ParamType, Params};
use crate::diag::{listed, nearest};
use crate::workflow::fields::{Fields, Keys, check_id, mapping, word};
use crate::workflow::scalar;
use crate::workflow::yaml::{Node, Sink, Spanned};

/// Reads `params:`. Defaults of type `path` are relative to `folder`.
pub fn declare(tree: Option<&Spanned<Node>>, folder: &Path, sink: &mut Sink) -> Params {
    let mut params = Params {
        declared: Vec::new(),
        values: BTreeMap::new(),
        used: RefCell::default(),
        claimed: BTreeSet::new(),
        given_paths: Vec::new(),
    };
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
