//! Values that say nothing, for fields that are required and left out: an empty text, an empty list, no, 0.

use serde_json::{Map, Value};

use super::schema;

/// What stands for a content digest.
const DIGEST_PATTERN: &str = "^[0-9a-f]{64}$";

/// Adds to a value what its schema requires and it leaves out.
pub(crate) fn filled(schema: &Value, value: Value) -> Value {
    fill(schema, schema, value)
}

fn fill(root: &Value, schema: &Value, value: Value) -> Value {
    let schema = schema::flatten(root, schema);
    match value {
        Value::Object(fields) => {
            let nothing = Value::Bool(true);
            let of = |name: &str| schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&nothing);
            let mut all: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| {
                    let value = fill(root, of(&name), value);
                    (name, value)
                })
                .collect();
            for name in schema::required(&schema) {
                if !all.contains_key(name) {
                    all.insert(name.to_owned(), neutral(root, of(name)));
                }
            }
            Value::Object(all)
        }
        Value::Array(items) => {
            let every = schema.get("items").cloned().unwrap_or(Value::Bool(true));
            Value::Array(items.into_iter().map(|item| fill(root, &every, item)).collect())
        }
        plain => plain,
    }
}

fn neutral(root: &Value, schema: &Value) -> Value {
    let schema = schema::flatten(root, schema);
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(choices) = schema::choices(&schema) {
        return choices.first().map_or(Value::Null, |choice| (*choice).clone());
    }
    if let Some(branches) = schema::branches(&schema) {
        let takes_null = branches.iter().any(|branch| schema::takes(&schema::flatten(root, branch), "null"));
        return if takes_null {
            Value::Null
        } else {
            branches.first().map_or(Value::Null, |first| neutral(root, first))
        };
    }
    let types = schema::types(&schema);
    let is = |kind: &str| types.contains(&kind);
    match () {
        () if is("null") || types.is_empty() => Value::Null,
        () if is("object") => fill(root, &schema, Value::Object(Map::new())),
        () if is("array") => Value::Array(Vec::new()),
        () if is("boolean") => Value::Bool(false),
        () if is("string") => {
            let is_digest = schema.get("pattern").and_then(Value::as_str) == Some(DIGEST_PATTERN);
            Value::from(if is_digest { "0".repeat(64) } else { String::new() })
        }
        () => schema.get("minimum").cloned().unwrap_or_else(|| Value::from(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_says_nothing() {
        let schema = json!({
            "$defs": {
                "Box": {"type": "object", "required": ["x", "label"], "properties": {"x": {"type": "number"}, "label": {"type": "string"}}},
                "Digest": {"type": "string", "pattern": DIGEST_PATTERN},
            },
            "type": "object",
            "required": ["id", "list", "picture", "kind", "maybe", "step", "is_last", "box"],
            "properties": {
                "id": {"type": "string"}, "list": {"type": "array", "items": {"$ref": "#/$defs/Box"}}, "picture": {"$ref": "#/$defs/Digest"},
                "kind": {"oneOf": [{"const": "y+", "type": "string"}, {"const": "y-", "type": "string"}]},
                "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "step": {"type": "integer", "minimum": 1},
                "is_last": {"type": "boolean"}, "box": {"$ref": "#/$defs/Box"}, "free": {"type": "string"},
            },
        });
        let row = filled(&schema, json!({ "id": "a", "list": [{ "x": 2 }] }));
        let expected = json!({
            "id": "a", "list": [{"x": 2, "label": ""}], "picture": "0".repeat(64), "kind": "y+", "maybe": null, "step": 1,
            "is_last": false, "box": {"x": 0, "label": ""},
        });
        assert_eq!(row, expected);
    }
}
