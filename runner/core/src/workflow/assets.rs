//! `models:` and `plugins:`: heavy things named once. A model's entry is checked against its kind's schema, a plugin's manifest
//! is read; nothing is opened or run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ResolvedAsset;
use super::check::{Checked, Checker, Owner};
use super::fields::{check_id, mapping, word};
use super::paths::Roots;
use super::registry::{AssetKind, Registry};
use super::yaml::{Node, Place, Sink, Spanned};
use crate::diag::{advice, listed};
use crate::stage::{Asset, Assets, mark};

/// The named assets of a workflow.
#[derive(Default)]
pub(super) struct AssetTable {
    entries: BTreeMap<String, Entry>,
    used: RefCell<BTreeSet<String>>,
}

struct Entry {
    at: Place,
    section: &'static str,
    /// `None`: that is wrong, and has been reported.
    kind: Option<String>,
    /// `None`: something about it is wrong and has been reported.
    usable: Option<Usable>,
}

struct Usable {
    asset: Arc<Asset>,
    checked: Checked,
    config_schema: Option<Value>,
}

/// Why a name cannot stand in a field.
pub(super) struct WrongName {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) defined: Option<Place>,
}

/// Returns the JSON Schema of an entry of `plugins:`.
pub(crate) fn plugin_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "path": { "type": "string", (mark::PATH): "file", "description": "The component, relative to the workflow." } },
        "required": ["path"],
        "additionalProperties": false,
    })
}

/// Reads `models:` and `plugins:`.
pub(super) fn read(
    models: Option<&Spanned<Node>>,
    plugins: Option<&Spanned<Node>>,
    registry: &Registry<'_>,
    folder: &Path,
    roots: &Roots,
    sink: &mut Sink,
) -> AssetTable {
    let nothing = AssetTable::default();
    let mut checker = Checker { sink, assets: &nothing, roots, folder };
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let models = models.and_then(|tree| mapping(tree, "`models`", checker.sink)).unwrap_or_default();
    for (name, tree) in models {
        let named = check_id(name, "a model", false, checker.sink);
        let kind = model_kind(&mut checker, registry, name, tree);
        let usable = kind.and_then(|(kind, chosen)| model(&mut checker, kind, chosen, name, tree)).filter(|_| named);
        let kind = kind.map(|(kind, _)| kind.name.to_owned());
        entries.insert(name.value.clone(), Entry { at: name.at, section: "models", kind, usable });
    }
    let plugins = plugins.and_then(|tree| mapping(tree, "`plugins`", checker.sink)).unwrap_or_default();
    for (name, tree) in plugins {
        let named = check_id(name, "a plugin", false, checker.sink);
        let usable = plugin(&mut checker, registry, name, tree).filter(|_| named);
        if let Some(first) = entries.get(&name.value) {
            let message = format!("`{}` already names a model", name.value);
            checker.sink.push(checker.sink.error("E0407", name.at, message).related(first.at.span, "the model"));
            continue;
        }
        let kind = usable.as_ref().map(|usable| usable.asset.kind.clone());
        entries.insert(name.value.clone(), Entry { at: name.at, section: "plugins", kind, usable });
    }
    AssetTable { entries, used: RefCell::default() }
}

/// Returns what kind a model is of, and where that is said.
fn model_kind<'r>(
    checker: &mut Checker<'_>,
    registry: &'r Registry<'_>,
    name: &Spanned<String>,
    tree: &Spanned<Node>,
) -> Option<(&'r AssetKind, Place)> {
    mapping(tree, &format!("model `{}`", name.value), checker.sink)?;
    let Some(kind) = tree.get("kind") else {
        let kinds = listed(registry.assets.iter().map(|kind| kind.name));
        let message = format!("model `{}` needs `kind`", name.value);
        checker.sink.push(checker.sink.error("E0202", name.at, message).help(format!("there are {kinds}")));
        return None;
    };
    let word = word(kind, "a kind", checker.sink)?;
    let Some(kind) = registry.asset(word.value) else {
        let help = advice(word.value, "there are", registry.assets.iter().map(|kind| kind.name));
        let message = format!("there is no model kind `{}`", super::yaml::shortened(word.value));
        checker.sink.push(checker.sink.error("E0402", word.at, message).help(help));
        return None;
    };
    Some((kind, word.at))
}

fn model(
    checker: &mut Checker<'_>,
    kind: &AssetKind,
    chosen: Place,
    name: &Spanned<String>,
    tree: &Spanned<Node>,
) -> Option<Usable> {
    let Node::Map(entries) = &tree.value else { return None };
    let own = entries.iter().filter(|(key, _)| key.value != "kind").cloned().collect();
    let own = Spanned { at: tree.at, value: Node::Map(own) };
    let owner = Owner { text: format!("model kind `{}`", kind.name), chosen: Some(chosen) };
    let checked = checker.check((kind.schema)().as_value(), Some(&own), name.at, &owner).0.ok()?;
    Some(Usable { asset: asset(name, kind.name.to_owned(), &checked), checked, config_schema: None })
}

fn plugin(
    checker: &mut Checker<'_>,
    registry: &Registry<'_>,
    name: &Spanned<String>,
    tree: &Spanned<Node>,
) -> Option<Usable> {
    mapping(tree, &format!("plugin `{}`", name.value), checker.sink)?;
    let owner = Owner { text: format!("plugin `{}`", name.value), chosen: None };
    let checked = checker.check(&plugin_schema(), Some(tree), name.at, &owner).0.ok()?;
    let path = checked.value.get("path").and_then(Value::as_str)?;
    match registry.plugins.manifest(Path::new(path)) {
        Ok(manifest) => {
            let asset = asset(name, format!("plugin/{}", manifest.world), &checked);
            Some(Usable { asset, checked, config_schema: Some(manifest.config_schema) })
        }
        Err(message) => {
            let at = tree.get("path").map_or(name.at, |path| path.at);
            checker.sink.push(checker.sink.error("E0406", at, message));
            None
        }
    }
}

fn asset(name: &Spanned<String>, kind: String, checked: &Checked) -> Arc<Asset> {
    Arc::new(Asset { name: name.value.clone(), kind, value: checked.value.clone() })
}

impl AssetTable {
    /// Whether a name stands for an asset of a kind; counts it as used. `Err(None)`: it does, but is wrong in a reported way.
    /// Advice costs time, so it is given on request.
    pub(super) fn named(&self, name: &str, kind: &str, advise: bool) -> Result<(), Option<WrongName>> {
        self.used.borrow_mut().insert(name.to_owned());
        let section = if kind.starts_with("plugin/") { "plugins" } else { "models" };
        // What may be of the kind is offered, too: it is mended first, and then it is there.
        let right = |entry: &Entry| entry.section == section && entry.kind.as_deref().is_none_or(|known| known == kind);
        let fitting = self.entries.iter().filter(|(_, entry)| advise && right(entry)).map(|(name, _)| name.as_str());
        let offer = || fitting.clone().next().map(|_| advice(name, "there are", fitting.clone()));
        match self.entries.get(name) {
            None => Err(Some(WrongName {
                code: "E0403",
                message: format!("nothing in `{section}` is called `{}`", super::yaml::shortened(name)),
                help: offer().or_else(|| {
                    Some(match kind.strip_prefix("plugin/") {
                        Some(world) => format!("add a plugin of world `{world}` to `{section}`"),
                        None => format!("add a `{kind}` to `{section}`"),
                    })
                }),
                defined: None,
            })),
            Some(Entry { kind: Some(other), at, .. }) if other != kind => Err(Some(WrongName {
                code: "E0404",
                message: format!("expected the name of a `{kind}`, but `{name}` is a `{other}`"),
                help: offer(),
                defined: Some(*at),
            })),
            Some(Entry { usable: None, .. }) => Err(None),
            Some(_) => Ok(()),
        }
    }

    /// Returns the schema of a plugin's config, if the name stands for a usable plugin.
    pub(super) fn config_schema(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)?.usable.as_ref()?.config_schema.as_ref()
    }

    /// Returns the usable assets as stages see them.
    pub(super) fn usable(&self) -> Assets {
        let usable = |(name, entry): (&String, &Entry)| Some((name.clone(), entry.usable.as_ref()?.asset.clone()));
        self.entries.iter().filter_map(usable).collect()
    }

    /// Returns name and place of the assets that nothing named.
    pub(super) fn unused(&self) -> Vec<(&str, Place)> {
        let used = self.used.borrow();
        self.entries
            .iter()
            .filter(|(name, _)| !used.contains(*name))
            .map(|(name, entry)| (name.as_str(), entry.at))
            .collect()
    }

    /// Returns the assets of a workflow without errors.
    pub(super) fn resolved(self) -> BTreeMap<String, ResolvedAsset> {
        let resolve = |(name, entry): (String, Entry)| {
            let Usable { asset, checked, .. } = entry.usable?;
            Some((name, ResolvedAsset { asset, identity: checked.identity, marks: checked.marks, span: entry.at.span }))
        };
        self.entries.into_iter().filter_map(resolve).collect()
    }
}
