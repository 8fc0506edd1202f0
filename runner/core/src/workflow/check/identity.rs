//! A block without what equals a default or only says how the work is done, numbers in one spelling: the part of a configuration
//! that enters a key. A field added
//! later with a default that keeps the old behaviour thus leaves every old key as it was.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{escape, schema};
use crate::stage::mark;

/// Returns what a block that satisfies its schema says beyond the defaults. `configs` holds the schemas of plugin configs by pointer.
pub(super) fn identity(root: &Value, value: &Value, configs: &BTreeMap<String, Value>) -> Value {
    Strip { configs }.value(root, root, value, "")
}

/// Returns the default of the field at a path of names, if the schema gives one there; of alternatives, that of the one to which the
/// block belongs.
pub(crate) fn default_at(root: &Value, block: &Value, path: &[&str]) -> Option<Value> {
    let (last, above) = path.split_last()?;
    let own = schema::branches(root).and_then(|branches| branches.iter().find(|branch| fits(root, branch, block)));
    let mut around = schema::flatten(root, own.unwrap_or(root)).into_owned();
    for name in above {
        around = schema::flatten(root, around.get("properties")?.get(*name)?).into_owned();
    }
    let property = around.get("properties")?.get(*last)?;
    match property.get("default")? {
        Value::Number(number) => Some(canonical(&schema::flatten(root, property), number)),
        other => Some(other.clone()),
    }
}

struct Strip<'a> {
    configs: &'a BTreeMap<String, Value>,
}

impl Strip<'_> {
    fn value(&self, root: &Value, schema: &Value, value: &Value, pointer: &str) -> Value {
        if let Some(config) = self.configs.get(pointer).filter(|config| !std::ptr::eq(*config, root)) {
            return self.value(config, config, value, pointer);
        }
        let schema = schema::flatten(root, schema);
        if let Some(branches) = schema::branches(&schema) {
            let branch = branches.iter().find(|branch| fits(root, branch, value));
            return branch.map_or_else(|| value.clone(), |branch| self.value(root, branch, value, pointer));
        }
        match value {
            Value::Object(object) => Value::Object(self.object(root, &schema, object, pointer)),
            Value::Array(items) => {
                let prefix = schema.get("prefixItems").and_then(Value::as_array);
                let rest = schema.get("items").unwrap_or(&Value::Bool(true));
                let item = |(index, item): (usize, &Value)| {
                    let schema = prefix.and_then(|prefix| prefix.get(index)).unwrap_or(rest);
                    self.value(root, schema, item, &format!("{pointer}/{index}"))
                };
                Value::Array(items.iter().enumerate().map(item).collect())
            }
            Value::Number(number) => canonical(&schema, number),
            other => other.clone(),
        }
    }

    fn object(&self, root: &Value, schema: &Value, object: &Map<String, Value>, pointer: &str) -> Map<String, Value> {
        let mut stripped = Map::new();
        let further = schema::additional(schema);
        for (key, value) in object {
            let below = format!("{pointer}/{}", escape(key));
            let property = schema.get("properties").and_then(|properties| properties.get(key));
            let Some(property) = property.or(further.as_deref()) else {
                stripped.insert(key.clone(), value.clone());
                continue;
            };
            if property.get(mark::HOW).is_some() {
                continue;
            }
            let own = self.value(root, property, value, &below);
            let default = property.get("default").map(|default| self.value(root, property, default, &below));
            let empty_config = self.configs.contains_key(&below) && own == Value::Object(Map::new());
            if default.as_ref() != Some(&own) && !empty_config && !own.is_null() {
                stripped.insert(key.clone(), own);
            }
        }
        stripped
    }
}

/// Returns a number in one spelling: integers stay, what a `number` field takes is a float, at the precision of its format.
fn canonical(schema: &Value, number: &Number) -> Value {
    let Some(value) = number.as_f64().filter(|_| schema::types(schema).contains(&"number")) else {
        return Value::Number(number.clone());
    };
    let single = schema.get("format").and_then(Value::as_str) == Some("float");
    // The shortest decimal that reads back as the same single-precision number is how people write it.
    let value = if single { (value as f32).to_string().parse().unwrap_or(value) } else { value };
    Number::from_f64(value).map_or_else(|| Value::Number(number.clone()), Value::Number)
}

/// Whether a clean value belongs to a branch.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = schema::flatten(root, schema);
    if let Some(branches) = schema::branches(&schema) {
        return branches.iter().any(|branch| fits(root, branch, value));
    }
    if let Some(choices) = schema::choices(&schema) {
        return choices.contains(&value);
    }
    match value {
        Value::Null => schema::takes(&schema, "null"),
        Value::Bool(_) => schema::takes(&schema, "boolean"),
        Value::Number(number) if !number.is_f64() => {
            schema::takes(&schema, "integer") || schema::takes(&schema, "number")
        }
        Value::Number(_) => schema::takes(&schema, "number"),
        Value::String(_) => schema::takes(&schema, "string"),
        Value::Array(_) => schema::takes(&schema, "array"),
        Value::Object(object) => {
            let property = |key: &str| schema.get("properties").and_then(|properties| properties.get(key));
            schema::takes(&schema, "object")
                && schema::required(&schema).all(|key| object.contains_key(key))
                && object.iter().all(|(key, value)| {
                    property(key).map_or(schema::additional(&schema).is_some(), |schema| fits(root, schema, value))
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Checks what of a block enters keys.
    fn check(properties: &Value, block: &Value, expected: &Value) {
        let schema = json!({ "type": "object", "properties": properties });
        assert_eq!(identity(&schema, block, &BTreeMap::new()), *expected, "{block}");
    }

    #[test]
    fn a_default_is_found_by_its_path() {
        let schema = json!({
            "properties": {
                "t": { "$ref": "#/$defs/share", "default": 0.7_f32 },
                "layout": { "$ref": "#/$defs/layout" },
            },
            "$defs": {
                "share": { "type": "number", "format": "float" },
                "layout": { "properties": { "rows": { "type": "integer", "default": 16 }, "columns": {} } },
            },
        });
        assert_eq!(default_at(&schema, &json!({}), &["t"]), Some(json!(0.7)));
        assert_eq!(default_at(&schema, &json!({}), &["layout", "rows"]), Some(json!(16)));
        for path in [&[][..], &["layout"], &["layout", "columns"], &["t", "x"], &["none"]] {
            assert_eq!(default_at(&schema, &json!({}), path), None, "{path:?}");
        }
        let branch = |loss, beta| {
            json!({ "type": "object", "required": ["loss"], "properties": {
                "loss": { "const": loss }, "beta": { "type": "number", "default": beta },
            } })
        };
        let either = json!({ "oneOf": [branch("one", 0.1), branch("two", 0.2)] });
        assert_eq!(default_at(&either, &json!({ "loss": "two" }), &["beta"]), Some(json!(0.2)));
    }

    #[test]
    fn how_the_work_is_done_enters_no_key() {
        let server = json!({ "url": { "type": "string", (mark::HOW): true }, "model": { "type": "string" } });
        check(&server, &json!({ "url": "http://a", "model": "m" }), &json!({ "model": "m" }));
    }

    #[test]
    fn defaults_leave_no_trace() {
        let single = json!({ "t": { "type": "number", "format": "float", "default": 0.7_f32 } });
        check(&single, &json!({ "t": 0.7 }), &json!({}));
        check(&single, &json!({ "t": 0.8 }), &json!({ "t": 0.8 }));
        let double = json!({ "t": { "type": "number", "format": "double", "default": 1.0 } });
        check(&double, &json!({ "t": 1 }), &json!({}));
        check(&double, &json!({ "t": 2 }), &json!({ "t": 2.0 }));
        let nested = json!({ "layout": {
            "type": "object", "default": { "rows": 16, "columns": 32 },
            "properties": { "rows": { "type": "integer", "default": 16 }, "columns": { "type": "integer", "default": 32 } },
        } });
        check(&nested, &json!({ "layout": { "rows": 16 } }), &json!({}));
        check(&nested, &json!({ "layout": { "rows": 8 } }), &json!({ "layout": { "rows": 8 } }));
        let optional = json!({ "layout": { "default": null, "anyOf": [
            { "type": "object", "properties": { "rows": { "type": "integer", "default": 16 } } }, { "type": "null" },
        ] } });
        check(&optional, &json!({ "layout": { "rows": 16 } }), &json!({ "layout": {} }));
        check(&optional, &json!({}), &json!({}));
    }
}
