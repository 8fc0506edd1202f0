//! The language told to people, out of the schemas it is checked with: one stage kind for a terminal, all of it as a page.

use serde_json::{Map, Value, json};

use crate::artifact::Form;
use crate::schema;
use crate::stage::{Shape, Slot, SlotKind, StageKind, mark};
use crate::workflow::Registry;

const INTRODUCTION: &str = "\
# The language

Every key of a workflow, every stage kind and every bundled plugin, out of the schemas they are checked with; `sentinel list KIND`
prints one of the kinds.
[`workflows/README.md`](../workflows/README.md) explains how they go together.
";

/// Writes the page of the whole language.
pub fn language(registry: &Registry<'_>) -> String {
    let workflow = schema::workflow(registry);
    let definition = |name: &str| &workflow["$defs"][name];
    let mut text = INTRODUCTION.to_owned();
    text += &page("The file", &options(&workflow, &workflow));
    text += &page("A stage", &options(definition("native"), &workflow));
    text += &page("A loop", &options(definition("loop"), &workflow));
    text += &page("A parameter", &options(definition("param"), &workflow));
    text += &page("A test", &options(&workflow["properties"]["tests"]["items"], &workflow));
    for kind in registry.assets {
        let block = (kind.schema)().to_value();
        let title = format!("`models:` of kind `{}`", kind.name);
        text += &format!("\n## {title}\n{}\n", capital(kind.summary));
        text += &blocks(&block).map(|(title, lines)| table(title.as_deref(), &lines)).collect::<String>();
    }
    for kind in &registry.stages {
        let shapes = kind.shapes(&json!({}));
        let block = kind.schema().to_value();
        text += &format!("\n## Stage `{}`\n{}\n", kind.name(), capital(kind.summary()));
        text += &table(Some("needs"), &slots(&shapes, |shape| &shape.inputs));
        text += &table(Some("gives"), &slots(&shapes, |shape| &shape.outputs));
        let named = |title: Option<String>| title.map_or_else(|| "with".to_owned(), |title| format!("with: {title}"));
        text += &blocks(&block).map(|(title, lines)| table(Some(&named(title)), &lines)).collect::<String>();
    }
    for plugin in registry.plugins.bundled() {
        text += &format!("\n## Bundled {} `{}`\n{}\n", plugin.world, plugin.name, capital(&plugin.summary));
        text += &table(Some("config"), &options(&plugin.config_schema, &plugin.config_schema));
    }
    text
}

fn page(title: &str, lines: &[(String, String)]) -> String {
    format!("\n## {title}\n{}", table(None, lines))
}

fn table(title: Option<&str>, lines: &[(String, String)]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let row = |(name, told): &(String, String)| format!("| `{name}` | {} |\n", told.replace('|', "\\|"));
    format!("\n| {} | |\n|---|---|\n{}", title.unwrap_or("key"), lines.iter().map(row).collect::<String>())
}

fn capital(summary: &str) -> String {
    let mut letters = summary.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Tells everything a workflow's author has to know of a kind.
pub fn stage(kind: &dyn StageKind) -> String {
    let shapes = kind.shapes(&json!({}));
    let mut text = format!("{}: {}\n", kind.name(), kind.summary());
    text += &section("needs", &slots(&shapes, |shape| &shape.inputs));
    text += &section("gives", &slots(&shapes, |shape| &shape.outputs));
    let block = kind.schema().to_value();
    for (title, lines) in blocks(&block) {
        text += &section(&title.map_or_else(|| "with".to_owned(), |title| format!("with: {title}")), &lines);
    }
    text
}

/// Returns the fields of a block, and those of each of its variants under what the variant is.
fn blocks(block: &Value) -> impl Iterator<Item = (Option<String>, Vec<(String, String)>)> {
    let variants = ["oneOf", "anyOf"].into_iter().filter_map(|name| block.get(name)?.as_array()).flatten();
    let variants = variants.map(|variant| match variant.get("$ref").and_then(Value::as_str) {
        Some(place) => block.pointer(place.trim_start_matches('#')).unwrap_or(variant),
        None => variant,
    });
    let variants = variants.map(|variant| (Some(description(variant)), options(variant, block)));
    std::iter::once((None, options(block, block))).chain(variants)
}

fn section(title: &str, lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: String = lines.iter().map(|(name, told)| format!("  {name:<width$}  {told}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{title}\n{lines}") }
}

/// Returns every slot of some shapes, in order of appearance; what not every shape has may be left out.
fn slots(shapes: &[Shape], of: impl Fn(&Shape) -> &Vec<Slot>) -> Vec<(String, String)> {
    let mut slots: Vec<&Slot> = Vec::new();
    for slot in shapes.iter().flat_map(&of) {
        if !slots.iter().any(|known| known.name == slot.name) {
            slots.push(slot);
        }
    }
    let always = |slot: &Slot| shapes.iter().all(|shape| of(shape).iter().any(|one| one.name == slot.name));
    let told = |slot: &Slot| {
        let kind = match slot.kind {
            SlotKind::Is(kind) => kind.to_owned(),
            SlotKind::AnyRows => "records of any kind".to_owned(),
            SlotKind::SameAs(input) => format!("records as in `{input}`"),
        };
        let form = if slot.form == Form::Files { ", files" } else { "" };
        let optional = if slot.optional || !always(slot) { ", optional" } else { "" };
        (slot.name.to_owned(), format!("{kind}{form}{optional}"))
    };
    slots.into_iter().map(told).collect()
}

/// Returns what may stand in a block: what it is for, what it takes, and its default.
fn options(block: &Value, root: &Value) -> Vec<(String, String)> {
    let none = Map::new();
    let properties = block.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = |name: &str| block["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    let told = |(name, option): (&String, &Value)| {
        let default = match option.get("default") {
            _ if required(name) => "; required".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(Value::String(word)) => format!("; by default {word}"),
            Some(default) => format!("; by default {}", schema::short(default)),
        };
        let told = format!("{} ({}{default})", description(option), takes(option, root).join(" | "));
        (name.clone(), told.trim_start().to_owned())
    };
    properties.iter().map(told).collect()
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// Returns what a value may be: words as they are, everything else by its type.
fn takes(schema: &Value, root: &Value) -> Vec<String> {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    // Any small value may be an expression.
    if text("$ref").is_some_and(|place| place.ends_with("/expression")) {
        return Vec::new();
    }
    if let Some(place) = text("$ref").and_then(|place| root.pointer(place.strip_prefix('#')?)) {
        return takes(place, root);
    }
    if let Some(asset) = text(mark::ASSET) {
        return vec![format!("name of a {asset}")];
    }
    if text(mark::PATH).is_some() {
        return vec!["path".to_owned()];
    }
    if let Some(word) = schema.get("const") {
        return vec![word.as_str().map_or_else(|| word.to_string(), str::to_owned)];
    }
    let list = |name: &str| schema.get(name).and_then(Value::as_array);
    if let Some(any) = list("oneOf").or_else(|| list("anyOf")) {
        let mut all: Vec<String> = any.iter().flat_map(|one| takes(one, root)).collect();
        all.dedup();
        return all;
    }
    let plain = |word: &str| {
        if word == "object" {
            "block"
        } else if word == "array" {
            "list"
        } else {
            word
        }
        .to_owned()
    };
    let words = list("enum").or_else(|| list("type")).into_iter().flatten().filter_map(Value::as_str);
    words.chain(text("type")).filter(|word| *word != "null").map(plain).collect()
}
