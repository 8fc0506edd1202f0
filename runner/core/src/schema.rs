//! JSON Schemas of whole files, assembled from the registry: what editors complete and check workflows with, and the schema of
//! every kind of record. Draft 7, the newest that YAML editors read well. The runner itself checks with the same parts, not with
//! the whole, so that its reports have places and advice.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::artifact::KindInfo;
use crate::reference;
use crate::stage::{StageKind, mark};
use crate::workflow::assets::plugin_schema;
use crate::workflow::cases::CASE_KEYS;
use crate::workflow::common::{self, COMMON_KEYS};
use crate::workflow::load::{LANGUAGE_VERSION, seed_schema};
use crate::workflow::nodes::LOOP_STEPS_MAX;
use crate::workflow::params::PARAM_TYPES;
use crate::workflow::registry::{AssetKind, Manifest, Registry};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
const ID_PATTERN: &str = "^[a-z][a-z0-9-]{0,63}$";
const REFERENCE_PATTERN: &str = "^[a-z][a-z0-9-]*(\\.[a-zA-Z0-9_-]+)?$";

/// Returns the schema of a workflow file.
pub fn workflow(registry: &Registry<'_>) -> Value {
    let mut definitions = Map::new();
    definitions.insert("expression".into(), json!({ "type": "string", "pattern": "^\\s*\\$\\{\\{.*\\}\\}\\s*$", "description": "An expression over parameters." }));
    definitions.insert("reference".into(), json!({ "type": "string", "pattern": REFERENCE_PATTERN, "description": "`stage` (its first output) or `stage.output`." }));
    definitions.insert("param".into(), param());
    let plugins = registry.plugins.bundled();
    for kind in &registry.stages {
        let mut with = embedded(&kind.schema().to_value(), &with_name(kind.name()));
        offer_configs(&mut with, &plugins);
        definitions.insert(with_name(kind.name()), with);
    }
    for kind in registry.assets {
        definitions.insert(model_name(kind.name), model(kind));
    }
    definitions.insert("native".into(), stage(&registry.stages, false));
    definitions.insert("stage".into(), stage(&registry.stages, true));
    definitions.insert("loop".into(), looped());
    json!({
        "$schema": DRAFT,
        "title": "A sentinel workflow",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "stages"],
        "properties": properties(registry),
        "$defs": definitions,
    })
}

/// Returns the schema of one row of a kind; `None` for kinds that are files.
pub fn record(kind: &KindInfo) -> Option<Value> {
    let mut schema = kind.schema?().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), json!(kind.name));
        object.entry("description").or_insert_with(|| json!(kind.summary));
    }
    Some(schema)
}

/// Returns the generated files of the folder `schemas`: relative path and text, sorted.
pub fn files(registry: &Registry<'_>) -> Vec<(String, String)> {
    let text = |schema: &Value| format!("{schema:#}\n");
    let records =
        registry.kinds.iter().filter_map(|kind| Some((format!("records/{}.json", kind.name), text(&record(kind)?))));
    let mut files: Vec<(String, String)> = records.collect();
    files.push(("workflow.json".to_owned(), text(&workflow(registry))));
    files.push(("LANGUAGE.md".to_owned(), reference::language(registry)));
    files.sort();
    files
}

fn properties(registry: &Registry<'_>) -> Value {
    let ids = json!({ "pattern": ID_PATTERN });
    let models: Vec<Value> = registry
        .assets
        .iter()
        .map(|kind| chosen("kind", kind.name, json!({ "$ref": format!("#/$defs/{}", model_name(kind.name)) })))
        .collect();
    let kinds: Vec<&str> = registry.assets.iter().map(|kind| kind.name).collect();
    let summaries: Vec<&str> = registry.assets.iter().map(|kind| kind.summary).collect();
    json!({
        "version": { "const": LANGUAGE_VERSION, "description": "The version of the language." },
        "name": leaf(json!({ "type": "string", "description": "Results appear in a folder of this name. By default the file's name." })),
        "seed": leaf(seed_schema()),
        "params": {
            "type": "object", "propertyNames": { "pattern": "^[a-z][a-z0-9_-]{0,63}$" }, "additionalProperties": { "$ref": "#/$defs/param" },
            "description": "Typed parameters, set by `--set name=value` and `--params file.yaml`, used as `\"${{ params.name }}\"`.",
        },
        "matrix": {
            "type": "object", "propertyNames": { "pattern": "^[a-z][a-z0-9_-]{0,63}$" },
            "additionalProperties": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": ["string", "number", "boolean"] } },
            "description": "Parameters with several values each: the workflow runs once for every combination, over one store. `--set` fixes one.",
        },
        "models": {
            "type": "object", "propertyNames": ids,
            "additionalProperties": {
                "type": "object", "required": ["kind"],
                "properties": { "kind": { "enum": kinds, "markdownEnumDescriptions": summaries, "description": "What it is." } },
                "allOf": models,
            },
            "description": "Heavy things, named once, opened late, shared by stages.",
        },
        "plugins": { "type": "object", "propertyNames": ids, "additionalProperties": embedded(&plugin_schema(), ""), "description": "Sandboxed WebAssembly components." },
        "defaults": { "type": "object", "additionalProperties": false, "properties": common_properties(), "description": "The common keys of every stage." },
        "stages": { "type": "object", "propertyNames": ids, "additionalProperties": { "$ref": "#/$defs/stage" }, "minProperties": 1, "description": "The nodes of the graph; edges exist only through `needs` and `over`." },
        "tests": {
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": false, "required": CASE_KEYS,
                "properties": {
                    "name": { "type": "string", "minLength": 1, "description": "What is tested, in words." },
                    "stage": { "type": "string", "description": "The stage; `loop/stage` in a loop's body." },
                    "given": { "type": "object", "additionalProperties": { "type": ["array", "object"] }, "description": "Input slot → records: a list of rows, or a list for each record by its id." },
                    "expect": { "type": "object", "minProperties": 1, "additionalProperties": { "type": ["array", "object"] }, "description": "Output → its rows in order, or `count`, or of files their contents by name. Fields that are not named may be anything." },
                },
            },
            "description": "What stages must make of given records; `sentinel test` runs them without any model.",
        },
        "report": {
            "type": "object", "additionalProperties": false,
            "properties": { "compare": { "type": "array", "minItems": 2, "items": { "type": "string", "pattern": ID_PATTERN }, "description": "Stages whose tables stand side by side." } },
            "description": "What the report shows beyond every stage's own part.",
        },
    })
}

/// Lets editors complete and explain the `config:` of a block that names a plugin by what the bundled ones of its world take. Anything
/// else is right, too: which plugin a name stands for is not seen here.
fn offer_configs(block: &mut Value, plugins: &[Manifest]) {
    let Some(properties) = block.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let Some(world) = properties.values().find_map(plugin_world).map(str::to_owned) else { return };
    let Some(config) = properties.get_mut("config").and_then(Value::as_object_mut) else { return };
    let mut offers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for plugin in plugins.iter().filter(|plugin| plugin.world == world) {
        let fields = embedded(&plugin.config_schema, "");
        for (name, field) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut field = field.clone();
            let told = field.get("description").and_then(Value::as_str).unwrap_or_default();
            field["description"] = json!(format!("`{}`: {told}", plugin.name));
            offers.entry(name.clone()).or_default().push(field);
        }
    }
    let or_anything = |(name, mut fields): (String, Vec<Value>)| {
        let description = fields[0]["description"].clone();
        fields.push(json!({}));
        (name, json!({ "description": description, "anyOf": fields }))
    };
    config.insert("properties".into(), offers.into_iter().map(or_anything).collect::<Map<_, _>>().into());
}

/// Returns the world of the plugins a field names, if it names any.
fn plugin_world(field: &Value) -> Option<&str> {
    let own = field.get(mark::ASSET).and_then(Value::as_str).and_then(|kind| kind.strip_prefix("plugin/"));
    own.or_else(|| field.get("anyOf")?.as_array()?.iter().find_map(plugin_world))
}

fn param() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["type"],
        "properties": {
            "type": { "enum": PARAM_TYPES, "description": "What values it takes." },
            "default": { "type": ["string", "number", "boolean"], "description": "Its value when none is given; without it, one must be." },
            "min": { "type": "number", "description": "Least value of an `int` or `number`." },
            "max": { "type": "number", "description": "Greatest value of an `int` or `number`." },
            "values": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string" }, "description": "The words of an `enum`." },
            "help": { "type": "string", "description": "What it is for; shown by `sentinel run FILE --help`." },
        },
    })
}

fn model(kind: &AssetKind) -> Value {
    let name = model_name(kind.name);
    let mut schema = embedded(&(kind.schema)().to_value(), &name);
    let variants: Vec<String> = ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .filter_map(|variant| variant.get("$ref")?.as_str()?.rsplit('/').next())
        .map(|variant| format!("/$defs/{variant}/properties"))
        .collect();
    for place in variants.iter().map(String::as_str).chain(["/properties"]) {
        if let Some(properties) = schema.pointer_mut(place).and_then(Value::as_object_mut) {
            properties.insert("kind".into(), json!({ "const": kind.name }));
        }
    }
    schema
}

fn stage(kinds: &[Box<dyn StageKind + '_>], may_loop: bool) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let summaries: Vec<&str> = kinds.iter().map(|kind| kind.summary()).collect();
    let with = |kind: &dyn StageKind| {
        let mut then = json!({ "properties": { "with": { "$ref": format!("#/$defs/{}", with_name(kind.name())) } } });
        if kind.schema().get("required").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty()) {
            then["required"] = json!(["with"]);
        }
        chosen("kind", kind.name(), then)
    };
    let references = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/reference" }, "description": "Input slot → `stage` or `stage.output`." });
    let mut properties = json!({
        "kind": { "enum": names, "markdownEnumDescriptions": summaries, "description": "The native stage." },
        "needs": references,
        "with": { "type": "object", "description": "The stage's own settings: whatever can change results." },
        "if": leaf(json!({ "type": "boolean", "description": "Whether it runs; what hangs on a skipped stage is skipped, too." })),
    });
    if let (Some(properties), Value::Object(common)) = (properties.as_object_mut(), common_properties()) {
        properties.extend(common);
        if may_loop {
            properties.insert("loop".into(), json!({ "$ref": "#/$defs/loop" }));
        }
    }
    let mut stage = json!({ "type": "object", "additionalProperties": false, "properties": properties, "allOf": kinds.iter().map(|kind| with(kind.as_ref())).collect::<Vec<_>>() });
    stage[if may_loop { "oneOf" } else { "anyOf" }] = if may_loop {
        json!([{ "required": ["kind"] }, { "required": ["loop"] }])
    } else {
        json!([{ "required": ["kind"] }])
    };
    stage
}

fn looped() -> Value {
    let references = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/reference" }, "description": "What the loop offers outside, over all steps; `loop.final` is each record's last state." });
    json!({
        "type": "object", "additionalProperties": false, "required": ["over", "max_steps", "stages", "carry", "collect"],
        "description": "One node outside, a graph of stages inside, repeated for each record until it ends.",
        "properties": {
            "over": { "$ref": "#/$defs/reference", "description": "The records that go through the loop; in its body they are `loop.state`." },
            "max_steps": leaf(json!({ "type": "integer", "minimum": 1, "maximum": LOOP_STEPS_MAX, "description": "A record that gets here is cut." })),
            "stages": { "type": "object", "propertyNames": { "pattern": ID_PATTERN }, "additionalProperties": { "$ref": "#/$defs/native" }, "minProperties": 1, "description": "The body: stages that work record by record." },
            "carry": { "$ref": "#/$defs/reference", "description": "The body's output that is the next step's `loop.state`." },
            "collect": references,
        },
    })
}

fn common_properties() -> Value {
    COMMON_KEYS.iter().map(|key| ((*key).to_owned(), embedded(&common::schema(key), ""))).collect::<Map<_, _>>().into()
}

fn chosen(key: &str, word: &str, then: Value) -> Value {
    json!({ "if": { "properties": { (key): { "const": word } }, "required": [key] }, "then": then })
}

fn with_name(kind: &str) -> String {
    format!("with-{kind}")
}

fn model_name(kind: &str) -> String {
    format!("model-{kind}")
}

/// Returns a schema as part of the whole: references lead to its own definitions below `#/$defs/<name>`, objects take no further
/// keys unless they say so, and every typed scalar may be an expression.
fn embedded(schema: &Value, name: &str) -> Value {
    match schema {
        Value::Object(object) => {
            let mut own = Map::new();
            for (key, value) in object {
                let value = match (key.as_str(), value) {
                    ("$schema" | "title" | "format", _) => continue,
                    ("$ref", Value::String(target)) => {
                        json!(target.replace("#/$defs/", &format!("#/$defs/{name}/$defs/")))
                    }
                    ("properties" | "$defs", Value::Object(below)) => below
                        .iter()
                        .map(|(key, value)| (key.clone(), embedded(value, name)))
                        .collect::<Map<_, _>>()
                        .into(),
                    ("oneOf", Value::Array(words)) if words.iter().all(is_word) => value.clone(),
                    ("default", _) => short(value),
                    ("enum" | "const" | "required" | "examples", _) => value.clone(),
                    _ => embedded(value, name),
                };
                own.insert(key.clone(), value);
            }
            if own.contains_key("properties") && !own.contains_key("additionalProperties") {
                own.insert("additionalProperties".into(), json!(false));
            }
            leaf(Value::Object(own))
        }
        Value::Array(items) => items.iter().map(|item| embedded(item, name)).collect(),
        other => other.clone(),
    }
}

/// Lets a typed scalar be an expression, too. Texts take one anyway, unless they have a pattern; a `const` tells variants apart and is written out.
fn leaf(schema: Value) -> Value {
    let Value::Object(mut object) = schema else { return schema };
    if let Some(Value::Array(words)) = object.get_mut("oneOf")
        && words.iter().all(is_word)
    {
        words.push(json!({ "$ref": "#/$defs/expression" }));
        return Value::Object(object);
    }
    let typed = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
    let needs_it = match object.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(typed) && !kinds.contains(&json!("string")),
        Some(kind) => typed(kind),
        None => false,
    } || object.contains_key("enum")
        || object.contains_key("pattern");
    if !needs_it {
        return Value::Object(object);
    }
    let mut outside = Map::new();
    for key in ["description", "default"] {
        outside.extend(object.remove(key).map(|value| (key.to_owned(), value)));
    }
    outside.insert("anyOf".into(), json!([object, { "$ref": "#/$defs/expression" }]));
    Value::Object(outside)
}

/// Whether a branch is a word or a few, as the documented variants of an enum are.
fn is_word(branch: &Value) -> bool {
    branch.get("const").is_some() || branch.get("enum").is_some()
}

/// Returns a default with single-precision numbers as people write them: `0.7`, not `0.699999988079071`.
pub fn short(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let single = number.as_f64().filter(|_| number.is_f64()).filter(|value| f64::from(*value as f32) == *value);
            let short = single.and_then(|value| (value as f32).to_string().parse::<f64>().ok());
            short.map_or_else(|| value.clone(), Value::from)
        }
        Value::Array(items) => items.iter().map(short).collect(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), short(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_scalars_take_expressions_and_keep_their_documentation() {
        let schema = json!({ "type": "object", "properties": {
            "n": { "type": "integer", "description": "Candidates.", "default": 10 },
            "heat": { "type": "number", "format": "float", "default": 0.7_f32 },
            "mode": { "oneOf": [{ "enum": ["a", "b"] }, { "const": "c", "description": "The third." }] },
            "name": { "type": "string" },
            "layout": { "$ref": "#/$defs/Layout" },
        }, "$defs": { "Layout": { "type": "object", "properties": {} } } });
        let embedded = embedded(&schema, "with-x");
        let n = &embedded["properties"]["n"];
        assert_eq!((&n["description"], &n["default"]), (&json!("Candidates."), &json!(10)));
        assert_eq!(n["anyOf"], json!([{ "type": "integer" }, { "$ref": "#/$defs/expression" }]));
        assert_eq!(embedded["properties"]["heat"]["default"], json!(0.7));
        assert_eq!(embedded["properties"]["mode"]["oneOf"][2], json!({ "$ref": "#/$defs/expression" }));
        assert_eq!(embedded["properties"]["name"], json!({ "type": "string" }));
        assert_eq!(embedded["properties"]["layout"]["$ref"], "#/$defs/with-x/$defs/Layout");
        assert_eq!(embedded["additionalProperties"], json!(false));
    }
}
