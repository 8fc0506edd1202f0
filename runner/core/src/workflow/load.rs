//! The whole way from a file to a [`Workflow`], as a list of steps. All mistakes of the file come back together.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::assets::{self, AssetTable};
use super::cases::CaseReader;
use super::check::Checker;
use super::common::{self, COMMON_KEYS};
use super::fields::{Fields, Keys, word};
use super::matrix::{Combination, Matrix};
use super::nodes::{Draft, StageReader};
use super::params::{self, Given, Params};
use super::paths::{Roots, tidy};
use super::registry::Registry;
use super::yaml::{self, FILE_BYTES_MAX, Node, Sink, Spanned};
use super::{Common, ReportSpec, Skipped, Workflow};
use crate::diag::{Diagnostic, Diagnostics, Source, Span, advice};
use crate::graph;

/// The keys of a workflow.
pub const WORKFLOW_KEYS: &[&str] =
    &["version", "name", "seed", "params", "matrix", "models", "plugins", "defaults", "stages", "tests", "report"];
/// Keys of the language that this version refuses.
pub const NOT_YET_KEYS: &[&str] = &["secrets", "include", "extends"];
/// The version of the language.
pub const LANGUAGE_VERSION: u64 = 1;

/// What the command line adds to the file.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--set` and `--params`.
    pub given: Given,
    /// Whether files and folders that are not there are mistakes, too. A workflow can thus be checked where its data are not.
    pub needs_files: bool,
    /// Which combination of its `matrix:`.
    pub combination: Combination,
    /// `--root`: further folders that may be read; relative to the working directory.
    pub roots: Vec<PathBuf>,
}

/// Loads a workflow file. `path` may be relative to `settings.given.folder`, the working directory.
pub fn load(path: &Path, registry: &Registry<'_>, settings: &Settings) -> Result<Workflow, Diagnostics> {
    let absolute = tidy(&settings.given.folder.join(path));
    let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    match read_source(&absolute, path) {
        Ok(source) => load_text(source, &folder, registry, settings),
        Err(diagnostic) => Err(Diagnostics { list: vec![*diagnostic], omitted: 0 }),
    }
}

/// Loads a workflow from its text; paths in it are relative to `folder` (absolute).
pub fn load_text(
    source: Arc<Source>,
    folder: &Path,
    registry: &Registry<'_>,
    settings: &Settings,
) -> Result<Workflow, Diagnostics> {
    let mut sink = Sink::new(source);
    let (workflow, elsewhere) = resolve(&mut sink, folder, registry, settings);
    let mut found = sink.found;
    found.extend(elsewhere);
    if let Some(workflow) = workflow.as_ref().filter(|_| settings.needs_files) {
        found.extend(workflow.missing_paths());
    }
    let found = found.sorted();
    match workflow {
        Some(workflow) if !found.has_errors() => Ok(Workflow { warnings: found.list, ..workflow }),
        _ => Err(found),
    }
}

/// Reads the parameters a workflow declares, for `--help`.
pub fn declared_params(path: &Path, folder: &Path) -> Result<Vec<params::Param>, Diagnostics> {
    let absolute = tidy(&folder.join(path));
    let source =
        read_source(&absolute, path).map_err(|diagnostic| Diagnostics { list: vec![*diagnostic], omitted: 0 })?;
    let mut sink = Sink::new(source);
    let tree = yaml::read(&mut sink);
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let params = params::declare(tree.as_ref().and_then(|tree| tree.get("params")), folder, &mut sink);
    if sink.found.has_errors() { Err(sink.found.sorted()) } else { Ok(params.declared) }
}

/// Reads the name of a workflow, and the root it lives in. Of mistakes only those count that keep the name from being known.
pub fn name_of(path: &Path, registry: &Registry<'_>, settings: &Settings) -> Result<(String, Roots), Diagnostics> {
    let absolute = tidy(&settings.given.folder.join(path));
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let source =
        read_source(&absolute, path).map_err(|diagnostic| Diagnostics { list: vec![*diagnostic], omitted: 0 })?;
    let mut sink = Sink::new(source);
    let Some(mut tree) = yaml::read(&mut sink) else { return Err(sink.found.sorted()) };
    let (params, matrix, elsewhere) = parameters(&mut tree, folder, settings, &mut sink);
    if matrix.is_wrong {
        sink.found.extend(elsewhere);
        return Err(sink.found.sorted());
    }
    let keys = Keys { known: WORKFLOW_KEYS, not_yet: NOT_YET_KEYS };
    let Some(fields) = top(&tree, &keys, &mut sink) else { return Err(sink.found.sorted()) };
    let roots = roots(folder, &params, settings);
    let assets = assets::read(None, None, registry, folder, &roots, &mut sink);
    let before = sink.found.count();
    let mut checker = Checker { sink: &mut sink, assets: &assets, roots: &roots, folder };
    let name = name(&fields, &mut checker);
    let name = matrix.named(name, &params, &mut sink);
    let is_poisoned = fields.get("name").is_some_and(|tree| tree.value == Node::Poison);
    let is_wrong = is_poisoned || sink.found.count() > before;
    if is_wrong { Err(sink.found.sorted()) } else { Ok((name, roots)) }
}

fn resolve(
    sink: &mut Sink,
    folder: &Path,
    registry: &Registry<'_>,
    settings: &Settings,
) -> (Option<Workflow>, Diagnostics) {
    let Some(mut tree) = yaml::read(sink) else { return (None, Diagnostics::default()) };
    let (params, matrix, elsewhere) = parameters(&mut tree, folder, settings, sink);
    let keys = Keys { known: WORKFLOW_KEYS, not_yet: NOT_YET_KEYS };
    let Some(fields) = top(&tree, &keys, sink) else { return (None, elsewhere) };
    let roots = roots(folder, &params, settings);
    version(&fields, sink);
    let assets = assets::read(fields.get("models"), fields.get("plugins"), registry, folder, &roots, sink);
    let mut checker = Checker { sink, assets: &assets, roots: &roots, folder };
    let name = name(&fields, &mut checker);
    let name = matrix.named(name, &params, checker.sink);
    let seed_at = fields.key_place("seed").unwrap_or(fields.start());
    let seed = checker.small(&seed_schema(), fields.get("seed"), seed_at, "`seed`").unwrap_or(0);
    let report = report(&fields, &mut checker);
    let defaults = defaults(&fields, &mut checker);
    let mut reader = StageReader { registry, checker, usable: assets.usable(), defaults, count: 0 };
    let stages = fields.require("stages", reader.checker.sink);
    let drafts = stages.map(|tree| reader.stages(tree, false)).unwrap_or_default();
    if let Some(stages) = stages.filter(|tree| drafts.is_empty() && tree.value != Node::Poison) {
        sink.push(sink.error("E0202", stages.at, "a workflow needs at least one stage"));
    }
    let ids: Vec<String> = drafts.iter().map(|draft| draft.id.value.clone()).collect();
    let all: Vec<String> = drafts.iter().flat_map(Draft::ids).collect();
    let checked = graph::check(drafts, registry, sink);
    compare(&report, &ids, &checked.skipped, sink);
    let checker = Checker { sink, assets: &assets, roots: &roots, folder };
    let mut reader = CaseReader { registry, checker, nodes: &checked.nodes, ids: &all };
    let cases = fields.get("tests").map(|tree| reader.read(tree)).unwrap_or_default();
    if !sink.found.has_errors() && !elsewhere.has_errors() {
        unused(&params, &assets, sink);
    }
    let workflow = Workflow {
        source: sink.source.clone(),
        name,
        seed,
        params: params.values(),
        open_axes: matrix.open,
        assets: assets.resolved(),
        nodes: checked.nodes,
        report: ReportSpec { compare: kept(report, &checked.skipped) },
        skipped: checked.skipped,
        cases,
        folder: folder.to_owned(),
        roots,
        kept_only: BTreeSet::new(),
        left_alone: BTreeSet::new(),
        warnings: Vec::new(),
    };
    (Some(workflow), elsewhere)
}

/// Gives parameters their values and replaces every expression outside `params:` and `matrix:`.
fn parameters(
    tree: &mut Spanned<Node>,
    folder: &Path,
    settings: &Settings,
    sink: &mut Sink,
) -> (Params, Matrix, Diagnostics) {
    let mut params = params::declare(tree.get("params"), folder, sink);
    let elsewhere = params.assign(&settings.given, sink);
    let matrix = Matrix::apply(tree.get("matrix"), &settings.combination, folder, &mut params, sink);
    params.require(sink);
    if let Node::Map(entries) = &mut tree.value {
        for (_, value) in entries.iter_mut().filter(|(key, _)| key.value != "params" && key.value != "matrix") {
            params.evaluate(value, sink);
        }
    }
    (params, matrix, elsewhere)
}

fn top<'t>(tree: &'t Spanned<Node>, keys: &Keys, sink: &mut Sink) -> Option<Fields<'t>> {
    if !matches!(tree.value, Node::Map(_) | Node::Poison) {
        sink.push(sink.error("E0105", tree.at, format!("a workflow is a mapping, and this is {}", tree.found())));
        return None;
    }
    Fields::of(tree, "a workflow", keys, sink)
}

fn roots(folder: &Path, params: &Params, settings: &Settings) -> Roots {
    let mut roots = Roots::of(folder);
    for root in &settings.roots {
        roots.allow(&settings.given.folder.join(root));
    }
    for path in &params.given_paths {
        roots.allow(path);
    }
    roots
}

fn version(fields: &Fields<'_>, sink: &mut Sink) {
    let Some(tree) = fields.require("version", sink) else { return };
    let Some(text) = word(tree, "a version", sink) else { return };
    if text.value != LANGUAGE_VERSION.to_string() {
        let message = format!("version {} of the language is not known", tree.found());
        sink.push(sink.error("E0207", tree.at, message).help(format!("write `version: {LANGUAGE_VERSION}`")));
    }
}

/// Returns the JSON Schema of `seed:`.
pub(crate) fn seed_schema() -> Value {
    json!({ "type": "integer", "format": "uint64", "minimum": 0, "default": 0, "description": "Every random stream is keyed by it." })
}

/// Returns `name:`, by default the file's stem; results appear in a folder of this name.
fn name(fields: &Fields<'_>, checker: &mut Checker<'_>) -> String {
    const NAME_CHARS_MAX: usize = 64;
    let usable = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
    let Some(tree) = fields.get("name") else {
        let stem =
            checker.sink.source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let stem: String =
            stem.chars().take(NAME_CHARS_MAX).map(|letter| if usable(letter) { letter } else { '-' }).collect();
        return if stem.trim_matches('.').is_empty() { "workflow".to_owned() } else { stem };
    };
    let at = fields.key_place("name").unwrap_or(tree.at);
    let Some(name) = checker.small::<String>(&json!({ "type": "string" }), Some(tree), at, "`name`") else {
        return "workflow".to_owned();
    };
    let fits =
        !name.starts_with('.') && name.chars().all(usable) && (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if !fits {
        let message = format!("`{}` cannot name a run", yaml::shortened(&name));
        let help = format!(
            "use letters, digits, `.`, `_` and `-`, at most {NAME_CHARS_MAX}; results appear in a folder of this name"
        );
        checker.sink.push(checker.sink.error("E0206", tree.at, message).help(help));
    }
    name
}

fn defaults(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Common {
    let keys = Keys { known: COMMON_KEYS, not_yet: &[] };
    let defaults = fields.get("defaults").and_then(|tree| Fields::of(tree, "`defaults`", &keys, checker.sink));
    defaults.map(|defaults| common::read(&defaults, &Common::default(), checker)).unwrap_or_default()
}

/// Returns the names `report.compare` gives, with their places.
fn report(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Vec<Spanned<String>> {
    let keys = Keys { known: &["compare"], not_yet: &[] };
    let Some(report) = fields.get("report").and_then(|tree| Fields::of(tree, "`report`", &keys, checker.sink)) else {
        return Vec::new();
    };
    let Some(tree) = report.get("compare") else { return Vec::new() };
    match &tree.value {
        Node::Seq(items) if items.len() >= 2 => {
            let name = |item: &Spanned<Node>| {
                word(item, "a stage", checker.sink).map(|name| Spanned { at: name.at, value: name.value.to_owned() })
            };
            items.iter().filter_map(name).collect()
        }
        Node::Poison => Vec::new(),
        _ => {
            checker.sink.push(checker.sink.error(
                "E0511",
                tree.at,
                format!("`compare` takes a list of two or more stages, found {}", tree.found()),
            ));
            Vec::new()
        }
    }
}

fn compare(names: &[Spanned<String>], ids: &[String], skipped: &[Skipped], sink: &mut Sink) {
    for name in names {
        if !ids.contains(&name.value) {
            let help = advice(&name.value, "there are", ids.iter().map(String::as_str));
            sink.push(
                sink.error("E0501", name.at, format!("there is no stage `{}`", yaml::shortened(&name.value)))
                    .help(help),
            );
        } else if let Some(skipped) = skipped.iter().find(|skipped| skipped.id == name.value) {
            let message = format!("`{}` will not run: {}", name.value, skipped.because);
            sink.push(Diagnostic::warning("W0602", &sink.source, name.at.span, message));
        }
    }
}

fn kept(names: Vec<Spanned<String>>, skipped: &[Skipped]) -> Vec<String> {
    let runs = |name: &Spanned<String>| !skipped.iter().any(|skipped| skipped.id == name.value);
    names.into_iter().filter(runs).map(|name| name.value).collect()
}

/// Warns of what nothing names; only where everything else is right, for a mistake elsewhere may be the reason.
fn unused(params: &Params, assets: &AssetTable, sink: &mut Sink) {
    let params = params.unused().map(|param| ("parameter", param.name.clone(), param.at));
    let assets = assets.unused().into_iter().map(|(name, at)| ("entry", name.to_owned(), at));
    for (what, name, at) in params.chain(assets).collect::<Vec<_>>() {
        let diagnostic = Diagnostic::warning("W0601", &sink.source, at.span, format!("{what} `{name}` is never used"));
        sink.push(diagnostic);
    }
}

/// Reads a text file within the limit.
pub(super) fn read_source(path: &Path, named: &Path) -> Result<Arc<Source>, Box<Diagnostic>> {
    let refuse =
        |code, message: String| Box::new(Diagnostic::error(code, &Source::new(named, ""), Span::at(0), message));
    let cannot = |error: std::io::Error| refuse("E0110", format!("cannot read `{}`: {error}", named.display()));
    let file = std::fs::File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(refuse("E0110", format!("`{}` is a folder", named.display())));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(refuse("E0102", format!("`{}` has more than {FILE_BYTES_MAX} bytes", named.display())));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(named, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(refuse(
                "E0110",
                format!("`{}` is not UTF-8 text: byte {at} is 0x{:02x}", named.display(), error.as_bytes()[at]),
            ))
        }
    }
}
