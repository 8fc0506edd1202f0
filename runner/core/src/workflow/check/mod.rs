//! A block of the file against the JSON Schema of what receives it: types decided by the field, names and paths resolved,
//! every mistake reported at its place. The result is clean JSON, what keys are made of, and where everything stood.
//!
//! The keywords understood are those schemars writes and plugin authors commonly use (`type`, `properties`, `required`,
//! `additionalProperties`, `items`, `prefixItems`, `enum`, `const`, `default`, bounds, `anyOf`, `oneOf`, `allOf`, `$ref`);
//! others are left to the receiver. Unlike JSON Schema, an object with `properties` takes no further keys unless it says so.

pub(crate) mod identity;
pub(crate) mod neutral;
mod scalars;
mod schema;
mod union;

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::assets::AssetTable;
use super::paths::{PathError, Roots};
use super::yaml::{Node, Place, Sink, Spanned};
use super::{Mark, MarkKind};
use crate::diag::{advice, nearest};
use crate::stage::mark;

/// A block takes at most this many checks, so that no schema can exhaust the machine.
const CHECKS_MAX: usize = 200_000;

/// What a check needs besides the block.
pub(super) struct Checker<'a> {
    /// Takes what is wrong.
    pub(super) sink: &'a mut Sink,
    /// The entries of `models:` and `plugins:`.
    pub(super) assets: &'a AssetTable,
    /// What may be read.
    pub(super) roots: &'a Roots,
    /// Relative paths are relative to this folder.
    pub(super) folder: &'a Path,
}

/// Whose block it is, for messages.
pub(super) struct Owner {
    /// For example "stage kind `sample`".
    pub(super) text: String,
    /// Where it was chosen.
    pub(super) chosen: Option<Place>,
}

/// A block that satisfies its schema.
pub(super) struct Checked {
    /// As its receiver takes it.
    pub(super) value: Value,
    /// Without what equals a default.
    pub(super) identity: Value,
    /// Names and paths in it.
    pub(super) marks: Vec<Mark>,
}

/// Where the values of a block stand, by JSON pointer.
pub(super) type Places = BTreeMap<String, Place>;

impl Checker<'_> {
    /// Checks a block; where something was reported, what is right of it comes back. An absent block is an empty mapping at `header`.
    pub(super) fn check(
        &mut self,
        schema: &Value,
        tree: Option<&Spanned<Node>>,
        header: Place,
        owner: &Owner,
    ) -> (Result<Checked, Value>, Places) {
        let empty = Spanned { at: header, value: Node::Map(Vec::new()) };
        let tree = tree.filter(|tree| tree.value != Node::Null).unwrap_or(&empty);
        let mut walk = Walk::new(self, schema, owner);
        let value = walk.value(schema, tree, "", header);
        if walk.checks > CHECKS_MAX {
            walk.error("E0102", header, format!("checking this takes more than {CHECKS_MAX} steps"), None);
        }
        let (marks, configs, places, complete) = (walk.marks, walk.configs, walk.places, !walk.incomplete);
        let value = match value {
            Some(value) if complete => value,
            partial => return (Err(partial.unwrap_or_default()), places),
        };
        let identity = identity::identity(schema, &value, &configs);
        let marks = marks.into_iter().filter(|mark| identity.pointer(&mark.pointer).is_some()).collect();
        (Ok(Checked { value, identity, marks }), places)
    }
}

impl Checker<'_> {
    /// Returns a small value of the language itself, read by a schema; `None` if it is absent or was reported.
    pub(super) fn small<T: DeserializeOwned>(
        &mut self,
        schema: &Value,
        tree: Option<&Spanned<Node>>,
        header: Place,
        owner: &str,
    ) -> Option<T> {
        let tree = tree?;
        let owner = Owner { text: owner.to_owned(), chosen: None };
        let value = self.check(schema, Some(tree), header, &owner).0.ok()?.value;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.sink.push(self.sink.error("E0209", tree.at, error.to_string()));
                None
            }
        }
    }
}

/// One walk over a block.
struct Walk<'w, 'a> {
    checker: &'w mut Checker<'a>,
    root: &'w Value,
    owner: &'w Owner,
    marks: Vec<Mark>,
    /// Pointer of a plugin's `config` → its schema.
    configs: BTreeMap<String, Value>,
    places: Places,
    checks: usize,
    /// Whether something was left out because it is wrong.
    incomplete: bool,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn new(checker: &'w mut Checker<'a>, root: &'w Value, owner: &'w Owner) -> Self {
        Self {
            checker,
            root,
            owner,
            marks: Vec::new(),
            configs: BTreeMap::new(),
            places: BTreeMap::new(),
            checks: 0,
            incomplete: false,
        }
    }

    /// Returns the value of a node; `None` means that something was reported. `header` is the key it belongs to.
    fn value(&mut self, schema: &Value, node: &Spanned<Node>, pointer: &str, header: Place) -> Option<Value> {
        self.checks += 1;
        if self.checks > CHECKS_MAX || node.value == Node::Poison {
            self.incomplete = true;
            return None;
        }
        self.places.insert(pointer.to_owned(), node.at);
        let schema = schema::flatten(self.root, schema);
        if let Some(branches) = schema::branches(&schema) {
            return self.union(branches, node, pointer, header);
        }
        match &node.value {
            Node::Null => self.null(&schema, node, header),
            Node::Map(entries) if schema::takes(&schema, "object") => {
                self.object(&schema, node.at, entries, pointer, header)
            }
            Node::Seq(items) if schema::takes(&schema, "array") => self.array(&schema, node.at, items, pointer),
            Node::Scalar(_) | Node::Value(_) => self.scalar(&schema, node, pointer),
            _ => self.wrong_type(&schema, node),
        }
    }

    fn null(&mut self, schema: &Value, node: &Spanned<Node>, header: Place) -> Option<Value> {
        if schema::takes(schema, "null") {
            return Some(Value::Null);
        }
        // Nothing has no extent, so the key it belongs to is underlined.
        let at = if node.at.span.start == node.at.span.end { header } else { node.at };
        self.error("E0203", at, format!("expected {}, found nothing", schema::expected(self.root, schema)), None);
        None
    }

    fn wrong_type(&mut self, schema: &Value, node: &Spanned<Node>) -> Option<Value> {
        let message = format!("expected {}, found {}", schema::expected(self.root, schema), node.found());
        self.error("E0203", node.at, message, None);
        None
    }

    fn array(&mut self, schema: &Value, at: Place, items: &[Spanned<Node>], pointer: &str) -> Option<Value> {
        let count = items.len() as u64;
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        if let Some(least) = bound("minItems").filter(|least| count < *least) {
            self.error("E0205", at, format!("a list of {count}, and it takes at least {least}"), None);
        }
        if let Some(most) = bound("maxItems").filter(|most| count > *most) {
            self.error("E0205", at, format!("a list of {count}, and it takes at most {most}"), None);
        }
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let anything = Value::Bool(true);
        let rest = schema.get("items").unwrap_or(&anything);
        let mut values: Vec<Value> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let schema = prefix.and_then(|prefix| prefix.get(index)).unwrap_or(rest);
            let Some(value) = self.value(schema, item, &format!("{pointer}/{index}"), item.at) else {
                self.incomplete = true;
                continue;
            };
            values.push(value);
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true))
            && let Some(index) = (1..values.len()).find(|index| values[..*index].contains(&values[*index]))
        {
            let place = items.get(index).map_or(at, |item| item.at);
            self.error("E0205", place, "stands in the list twice".to_owned(), None);
        }
        Some(Value::Array(values))
    }

    fn object(
        &mut self,
        schema: &Value,
        at: Place,
        entries: &[(Spanned<String>, Spanned<Node>)],
        pointer: &str,
        header: Place,
    ) -> Option<Value> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let open = schema::additional(schema);
        let plugin = self.plugin_config(properties, entries);
        let mut object = Map::new();
        for (key, node) in entries {
            let below = format!("{pointer}/{}", escape(&key.value));
            let value = match (properties.get(&key.value), &open) {
                (Some(_), _) if key.value == "config" && plugin.is_some() => {
                    self.config(plugin.as_ref(), node, &below, key.at)
                }
                (Some(property), _) => self.value(property, node, &below, key.at),
                (None, Some(schema)) => self.value(schema, node, &below, key.at),
                (None, None) => {
                    self.unknown_key(key, properties);
                    None
                }
            };
            match value {
                Some(Value::Null) if !schema::requires(schema, &key.value) => {}
                Some(value) => drop(object.insert(key.value.clone(), value)),
                None => self.incomplete = true,
            }
        }
        if plugin.is_some() && !entries.iter().any(|(key, _)| key.value == "config") {
            let empty = Spanned { at: header, value: Node::Map(Vec::new()) };
            self.config(plugin.as_ref(), &empty, &format!("{pointer}/config"), header);
        }
        for name in schema::required(schema) {
            if !entries.iter().any(|(key, _)| key.value == name) {
                let at =
                    if pointer.is_empty() || entries.is_empty() { header } else { Place { alias: at.alias, ..header } };
                let near = nearest(
                    name,
                    entries.iter().map(|(key, _)| key.value.as_str()).filter(|key| !properties.contains_key(*key)),
                );
                self.error(
                    "E0202",
                    at,
                    format!("{} needs `{name}`", self.place_name(pointer)),
                    near.map(|key| format!("is `{key}` meant to be `{name}`?")),
                );
            }
        }
        Some(Value::Object(object))
    }

    fn unknown_key(&mut self, key: &Spanned<String>, properties: &Map<String, Value>) {
        let message = format!("unknown key `{}` for {}", super::yaml::shortened(&key.value), self.owner.text);
        let advice = advice(&key.value, "it takes", properties.keys().map(String::as_str));
        self.error("E0201", key.at, message, Some(advice));
    }

    /// Returns the config schema of the plugin a block names, if it is such a block: one with `config` beside a plugin's name.
    /// `Some(None)` if the plugin is unknown or unreadable, which is reported elsewhere.
    fn plugin_config(
        &self,
        properties: &Map<String, Value>,
        entries: &[(Spanned<String>, Spanned<Node>)],
    ) -> Option<Option<Value>> {
        properties.get("config")?;
        let names_plugin = |schema: &Value| {
            schema.get(mark::ASSET).and_then(Value::as_str).is_some_and(|kind| kind.starts_with("plugin/"))
        };
        let (slot, _) = properties
            .iter()
            .find(|(_, schema)| schema::alternatives(self.root, schema).into_iter().any(names_plugin))?;
        let (_, name) = entries.iter().find(|(key, _)| key.value == *slot)?;
        match &name.value {
            Node::Scalar(scalar) => Some(self.checker.assets.config_schema(&scalar.text).cloned()),
            _ => Some(None),
        }
    }

    fn config(
        &mut self,
        plugin: Option<&Option<Value>>,
        node: &Spanned<Node>,
        pointer: &str,
        header: Place,
    ) -> Option<Value> {
        let Some(Some(schema)) = plugin else {
            return schema::plain(node);
        };
        let owner = Owner { text: "this plugin's `config`".to_owned(), chosen: None };
        let empty = Spanned { at: node.at, value: Node::Map(Vec::new()) };
        let node = if node.value == Node::Null { &empty } else { node };
        let mut walk = Walk::new(self.checker, schema, &owner);
        walk.checks = self.checks;
        let value = walk.value(schema, node, pointer, header);
        // A plugin reads no files and opens no models: marks in its schema mean nothing.
        let (places, incomplete, checks) = (walk.places, walk.incomplete, walk.checks);
        self.checks = checks;
        self.places.extend(places);
        self.incomplete |= incomplete;
        self.configs.insert(pointer.to_owned(), schema.clone());
        value
    }

    /// Returns the absolute path that stands in a marked field.
    fn path(&mut self, what: &str, text: &str, node: &Spanned<Node>, pointer: &str) -> Option<Value> {
        match self.checker.roots.admit(self.checker.folder, text) {
            Ok(path) => {
                let what = match what {
                    "dir" => MarkKind::Dir,
                    "shelf" => MarkKind::Shelf,
                    _ => MarkKind::File,
                };
                self.marks.push(Mark { pointer: pointer.to_owned(), what, span: node.at.span });
                Some(Value::String(path.to_string_lossy().into_owned()))
            }
            Err(error) => {
                let advice = match &error {
                    PathError::Outside { root, .. } | PathError::Escape { root, .. } => Some(format!(
                        "`{}` is the root, because {}; allow another folder with `--root`, or give the path on the command line",
                        root.display(),
                        self.checker.roots.because()
                    )),
                    _ => None,
                };
                self.error("E0405", node.at, error.to_string(), advice);
                None
            }
        }
    }

    /// Returns the name of an asset that stands in a marked field.
    fn asset(&mut self, kind: &str, name: &str, node: &Spanned<Node>, pointer: &str) -> Option<Value> {
        let advise = !self.checker.sink.found.is_full();
        match self.checker.assets.named(name, kind, advise) {
            Ok(()) => {
                self.marks.push(Mark { pointer: pointer.to_owned(), what: MarkKind::Asset, span: node.at.span });
                Some(Value::String(name.to_owned()))
            }
            Err(None) => None,
            Err(Some(wrong)) => {
                let mut diagnostic = self.checker.sink.error(wrong.code, node.at, wrong.message).maybe_help(wrong.help);
                if let Some(at) = wrong.defined {
                    diagnostic = diagnostic.related(at.span, "defined here");
                }
                self.checker.sink.push(diagnostic);
                None
            }
        }
    }

    fn place_name(&self, pointer: &str) -> String {
        match pointer {
            "" => self.owner.text.clone(),
            below => format!("`{}`", below.trim_start_matches('/').replace('/', ".")),
        }
    }

    fn error(&mut self, code: &'static str, at: Place, message: String, help: Option<String>) {
        self.incomplete = true;
        let mut diagnostic = self.checker.sink.error(code, at, message).maybe_help(help);
        if let Some(chosen) =
            self.owner.chosen.filter(|_| matches!(code, "E0201" | "E0202")).filter(|chosen| chosen.span != at.span)
        {
            diagnostic = diagnostic.related(chosen.span, "chosen here");
        }
        self.checker.sink.push(diagnostic);
    }
}

/// Escapes a key for a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns where a JSON pointer stands: itself, or the nearest above it.
pub(super) fn place_of(places: &Places, pointer: &str) -> Option<Place> {
    let mut pointer = pointer;
    loop {
        if let Some(place) = places.get(pointer) {
            return Some(*place);
        }
        pointer = &pointer[..pointer.rfind('/')?];
    }
}
