//! Reading a JSON Schema: references, alternatives, what a schema takes, and how to say that in words.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::diag::listed;
use crate::stage::mark;
use crate::workflow::scalar;
use crate::workflow::yaml::{Node, Spanned};

/// References in a row are followed this far.
const REFERENCES_MAX: usize = 32;

/// Returns a schema with its reference followed and `allOf` joined.
pub(super) fn flatten<'s>(root: &'s Value, schema: &'s Value) -> Cow<'s, Value> {
    let schema = follow(root, schema);
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else {
        return Cow::Borrowed(schema);
    };
    let mut joined = schema.as_object().cloned().unwrap_or_default();
    joined.remove("allOf");
    for part in parts {
        // Parts of parts are rare enough to be left to the receiver.
        if let Some(part) = follow(root, part).as_object() {
            join(&mut joined, part);
        }
    }
    Cow::Owned(Value::Object(joined))
}

fn follow<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn join(into: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (key, value) in part {
        match (into.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(more)) if key == "properties" => there.extend(more.clone()),
            (Some(Value::Array(there)), Value::Array(more)) if key == "required" => there.extend(more.clone()),
            (Some(_), _) => {}
            (None, _) => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

/// Returns the branches of `anyOf` or `oneOf`.
pub(super) fn branches(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

/// Returns the schema itself or its branches, references followed.
pub(super) fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let schema = follow(root, schema);
    match branches(schema) {
        Some(branches) => branches.iter().map(|branch| follow(root, branch)).collect(),
        None => vec![schema],
    }
}

/// Returns the types a schema names; none means any.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ if schema.get("items").is_some() || schema.get("prefixItems").is_some() => vec!["array"],
        _ => Vec::new(),
    }
}

/// Whether a schema takes a type.
pub(super) fn takes(schema: &Value, kind: &str) -> bool {
    if choices(schema).is_some() || *schema == Value::Bool(false) {
        return choices(schema).is_some_and(|choices| kind == "null" && choices.contains(&&Value::Null));
    }
    let types = types(schema);
    types.is_empty() || types.contains(&kind)
}

/// Returns the values a schema lists with `enum` or `const`.
pub(super) fn choices(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("enum").and_then(Value::as_array), schema.get("const")) {
        (Some(several), _) => Some(several.iter().collect()),
        (None, Some(only)) => Some(vec![only]),
        (None, None) => None,
    }
}

/// Returns the schema of further keys, or `None` where there may be none.
pub(super) fn additional(schema: &Value) -> Option<Cow<'_, Value>> {
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(further) => Some(Cow::Borrowed(further)),
        None if schema.get("properties").is_some() => None,
        None => Some(Cow::Owned(Value::Bool(true))),
    }
}

/// Returns the required keys.
pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a key is required.
pub(super) fn requires(schema: &Value, key: &str) -> bool {
    required(schema).any(|name| name == key)
}

/// Returns what a schema takes, in words with an article.
pub(super) fn expected(root: &Value, schema: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for schema in alternatives(root, schema) {
        let found = expected_alone(schema);
        if !found.is_empty() && !words.contains(&found) {
            words.push(found);
        }
    }
    if words.is_empty() { "another value".to_owned() } else { words.join(" or ") }
}

fn expected_alone(schema: &Value) -> String {
    if let Some(choices) = choices(schema) {
        let words: Vec<String> =
            choices.iter().filter(|choice| !choice.is_null()).map(|choice| plain_text(choice)).collect();
        return match words.as_slice() {
            [only] => format!("`{only}`"),
            _ => format!("one of {}", listed(words.iter().map(String::as_str))),
        };
    }
    if let Some(kind) = schema.get(mark::ASSET).and_then(Value::as_str) {
        return format!("the name of a `{kind}`");
    }
    if schema.get(mark::PATH).is_some() {
        return "a path".to_owned();
    }
    let words: Vec<&str> = types(schema).into_iter().filter_map(type_words).collect();
    words.join(" or ")
}

fn type_words(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "string" => "a text",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a mapping",
        _ => return None,
    })
}

/// Returns a JSON scalar as it would be written.
pub(super) fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a node as JSON by the core schema of YAML, for fields that take anything; `None` if something in it was reported.
pub(super) fn plain(node: &Spanned<Node>) -> Option<Value> {
    Some(match &node.value {
        Node::Null => Value::Null,
        Node::Scalar(scalar) if scalar.quoted => Value::String(scalar.text.clone()),
        Node::Scalar(scalar) => plain_scalar(&scalar.text),
        Node::Value(value) => value.to_json(),
        Node::Seq(items) => Value::Array(items.iter().map(plain).collect::<Option<_>>()?),
        Node::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| Some((key.value.clone(), plain(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        Node::Poison => return None,
    })
}

fn plain_scalar(text: &str) -> Value {
    if let Some(int) =
        scalar::int(text).ok().and_then(|int| i64::try_from(int).ok()).filter(|_| !text.contains(['.', 'e', 'E']))
    {
        return Value::from(int);
    }
    if let Ok(number) = scalar::number(text) {
        return Value::from(number);
    }
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}
