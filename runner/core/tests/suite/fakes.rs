//! A registry of made-up kinds that between them use every feature of slots and configurations, and a project folder with
//! everything a path can lead to.

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, schema_for};
use sentinel_core::artifact::{Form, KindInfo};
use sentinel_core::job::Job;
use sentinel_core::stage::{
    Assets, ConfigError, Fault, Shape, Slot, SlotKind, Stage, StageError, StageKind, Unit, UnitOutput, UnitStage,
    WholeInputs, WholeOutput, WholeStage, Work, mark,
};
use sentinel_core::workflow::{AssetKind, Manifest, PluginManifests, Registry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The artifact kinds.
static KINDS: &[KindInfo] = &[
    KindInfo { name: "bundle", form: Form::Files, summary: "files", schema: None, ends_loop: None },
    KindInfo { name: "marks", form: Form::Rows, summary: "marks on words", schema: None, ends_loop: None },
    KindInfo {
        name: "texts",
        form: Form::Rows,
        summary: "growing texts",
        schema: None,
        ends_loop: Some(|row| row.contains("\"end\"")),
    },
    KindInfo { name: "words", form: Form::Rows, summary: "words of texts", schema: None, ends_loop: None },
];

static ASSETS: &[AssetKind] = &[
    AssetKind { name: "engine", summary: "does heavy work", schema: || schema_for!(EngineEntry) },
    AssetKind { name: "table", summary: "a list of words", schema: || schema_for!(TableEntry) },
];

/// Returns the registry.
pub(crate) fn registry() -> Registry<'static> {
    let stages = kinds().into_iter().map(|kind| Box::new(kind) as Box<dyn StageKind>).collect();
    Registry { stages, assets: ASSETS, kinds: KINDS, plugins: &Manifests }
}

fn kinds() -> Vec<Kind> {
    vec![
        kind::<Grow>(
            "grow",
            false,
            &[Slot::rows("texts", "texts"), Slot::rows("words", "words").optional()],
            &[Slot::rows("texts", "texts")],
        ),
        kind::<Marking>("mark", false, &[Slot::rows("words", "words")], &[Slot::rows("marks", "marks")]),
        kind::<Pack>(
            "pack",
            true,
            &[Slot::rows("words", "words"), Slot::files("extra", "bundle").optional()],
            &[Slot::files("bundle", "bundle")],
        ),
        kind::<Picking>(
            "pick",
            false,
            &[ANY],
            &[Slot {
                name: "records",
                kind: SlotKind::SameAs("records"),
                form: Form::Rows,
                optional: false,
                view: None,
            }],
        ),
        kind::<Shapes>("shapes", true, &[], &[Slot::rows("words", "words")]),
        kind::<Reading>("source", true, &[], &[Slot::rows("texts", "texts"), Slot::files("bundle", "bundle")]),
        kind::<Split>("split", false, &[Slot::rows("texts", "texts")], &[Slot::rows("words", "words")]),
    ]
}

const ANY: Slot = Slot { name: "records", kind: SlotKind::AnyRows, form: Form::Rows, optional: false, view: None };

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EngineEntry {
    /// Where it is.
    #[schemars(extend("x-sentinel-path" = "dir"))]
    path: String,
    /// How hot it runs.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 2.0))]
    heat: f32,
}

fn one() -> f32 {
    1.0
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableEntry {
    #[schemars(extend("x-sentinel-path" = "file"))]
    path: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reading {
    /// How many.
    #[schemars(range(min = 1, max = 1000))]
    count: u32,
    /// Where from.
    #[schemars(extend("x-sentinel-path" = "file"))]
    file: Option<String>,
    /// How.
    #[serde(default)]
    mode: Mode,
    /// A remark.
    #[serde(default)]
    note: String,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// One after the other.
    #[default]
    InOrder,
    /// In any order.
    Shuffled,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Split {
    /// What does it.
    #[schemars(extend("x-sentinel-asset" = "engine"))]
    engine: String,
    #[serde(default = "temperature")]
    temperature: f32,
    /// Further ones.
    #[serde(default)]
    #[schemars(length(max = 2))]
    also: Vec<TableName>,
    #[serde(default)]
    greedy: bool,
}

fn temperature() -> f32 {
    0.7
}

#[derive(Serialize, Deserialize)]
struct TableName(String);

impl JsonSchema for TableName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TableName".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", (mark::ASSET): "table" })
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Marking {
    #[schemars(extend("x-sentinel-asset" = "plugin/marker"))]
    plugin: String,
    #[serde(default)]
    config: Value,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Picking {
    #[schemars(extend("x-sentinel-asset" = "plugin/picker"))]
    plugin: String,
    #[serde(default)]
    config: Value,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grow {}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pack {
    #[serde(default)]
    layout: Option<Layout>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Layout {
    rows: u16,
    columns: u16,
}

impl Default for Layout {
    fn default() -> Self {
        Self { rows: 16, columns: 32 }
    }
}

/// Every shape a configuration can have.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shapes {
    #[serde(default)]
    shape: Option<Figure>,
    #[serde(default)]
    either: Option<Either>,
    #[serde(default)]
    range: Option<(f64, f64)>,
    #[serde(default)]
    weights: std::collections::BTreeMap<String, f64>,
    #[serde(default)]
    tiny: Option<i8>,
    #[serde(default)]
    big: Option<u64>,
    #[serde(default)]
    any: Value,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Figure {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    Count(u32),
    Words(Vec<String>),
    Named { name: String },
}

struct Kind {
    name: &'static str,
    whole: bool,
    inputs: &'static [Slot],
    outputs: &'static [Slot],
    schema: fn() -> Schema,
    /// Reads a `with:` block into its config and writes it again, defaults and all.
    canonical: fn(Value) -> Result<Value, String>,
}

fn kind<C: JsonSchema + Serialize + for<'d> Deserialize<'d>>(
    name: &'static str,
    whole: bool,
    inputs: &[Slot],
    outputs: &[Slot],
) -> Kind {
    let canonical =
        |with| serde_json::from_value::<C>(with).and_then(serde_json::to_value).map_err(|error| error.to_string());
    let (inputs, outputs) = (inputs.to_vec().leak(), outputs.to_vec().leak());
    Kind { name, whole, inputs, outputs, schema: || schema_for!(C), canonical }
}

impl StageKind for Kind {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        "a made-up stage"
    }
    fn schema(&self) -> Schema {
        (self.schema)()
    }
    fn parse(&self, with: Value, _assets: &Assets) -> Result<Box<dyn Stage>, Vec<ConfigError>> {
        if with.get("note").and_then(Value::as_str) == Some("refuse me") {
            return Err(vec![ConfigError {
                pointer: "/note".to_owned(),
                message: "this note is refused".to_owned(),
                hint: Some("write another".to_owned()),
            }]);
        }
        // What passes the check parses: anything else is a hole in the check.
        (self.canonical)(with.clone())
            .unwrap_or_else(|error| panic!("`{}` passed the check but not serde: {error}: {with}", self.name));
        Ok(Box::new(Made { inputs: self.inputs, outputs: self.outputs, whole: self.whole }))
    }
    fn shapes(&self, _with: &Value) -> Vec<Shape> {
        vec![Shape { inputs: self.inputs.to_vec(), outputs: self.outputs.to_vec(), is_whole: self.whole }]
    }
}

/// Returns what a stage kind makes of a `with:` block, defaults and all.
pub(crate) fn canonical(kind: &str, with: &Value) -> Result<Value, String> {
    (kinds().iter().find(|entry| entry.name == kind).unwrap().canonical)(with.clone())
}

struct Made {
    inputs: &'static [Slot],
    outputs: &'static [Slot],
    whole: bool,
}

impl Stage for Made {
    fn inputs(&self) -> Vec<Slot> {
        self.inputs.to_vec()
    }
    fn outputs(&self) -> Vec<Slot> {
        self.outputs.to_vec()
    }
    fn version(&self) -> u32 {
        1
    }
    fn work(&self) -> Work<'_> {
        if self.whole { Work::Whole(self) } else { Work::Units(self) }
    }
}

impl UnitStage for Made {
    fn run(&self, _: &[Unit], _: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        Err(StageError::Bug("made-up stages are never run".to_owned()))
    }
}

impl WholeStage for Made {
    fn run(&self, _: &WholeInputs, _: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        Err(StageError::Bug("made-up stages are never run".to_owned()))
    }
}

struct Manifests;

impl PluginManifests for Manifests {
    fn manifest(&self, path: &Path) -> Result<Manifest, String> {
        let world = match path.file_name().and_then(|name| name.to_str()) {
            Some("marker.wasm") => "marker",
            Some("picker.wasm") => "picker",
            Some("hungry.wasm") => "picker-hungry",
            Some("broken.wasm") => return Err("`broken.wasm` is not a component".to_owned()),
            _ => return Err(format!("`{}` does not exist", path.file_name().unwrap_or_default().to_string_lossy())),
        };
        let config_schema = match world {
            "picker" => {
                json!({ "type": "object", "properties": { "most": { "type": "integer", "minimum": 1, "default": 4 }, "order": { "enum": ["first", "last"] } } })
            }
            "picker-hungry" => {
                json!({ "type": "object", "properties": { "most": { "type": "integer" } }, "required": ["most"] })
            }
            _ => json!({ "type": "object", "additionalProperties": false }),
        };
        let world = world.split('-').next().unwrap_or_default().to_owned();
        Ok(Manifest {
            name: "made-up".to_owned(),
            version: "1.0.0".to_owned(),
            world,
            summary: String::new(),
            config_schema,
        })
    }
    fn bundled(&self) -> Vec<Manifest> {
        Vec::new()
    }
}

/// A project folder: `project/{.git, flows, data, engines, plugins}`, links out of it, and `outside`.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in
            ["project/.git", "project/flows", "project/data", "project/engines/small", "project/plugins", "outside"]
        {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("outside/words.txt"), "a\n").unwrap();
        std::os::unix::fs::symlink("../../outside", dir.path().join("project/flows/leak")).unwrap();
        std::os::unix::fs::symlink("../../outside/later.txt", dir.path().join("project/flows/dangling")).unwrap();
        std::os::unix::fs::symlink("../data", dir.path().join("project/flows/inner")).unwrap();
        Self { dir }
    }

    /// The working directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("project")
    }

    pub(crate) fn flows(&self) -> PathBuf {
        self.root().join("flows")
    }
}
