//! A bench for single stages: parse one through the registry, put rows in, take rows out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sentinel_core::artifact::{FileSet, Rows};
use sentinel_core::job::Job;
use sentinel_core::stage::{
    Asset, Assets, ConfigError, Fault, Input, Slot, Stage, StageError, Unit, WholeInputs, WholeOutput, Work, to_rows,
};
use sentinel_core::workflow::{Manifest, PluginManifests};
use sentinel_domain::fakes::{FakeDetector, FakeEngines, FakeVlm, WordExtractor};
use sentinel_domain::ports::Engines;
use serde::Serialize;
use serde_json::{Value, json};

/// Says of a plugin what the bundled one of its file name says.
pub(crate) struct Manifests;

impl PluginManifests for Manifests {
    fn manifest(&self, path: &Path) -> Result<Manifest, String> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let known = self.bundled().into_iter().find(|plugin| plugin.name == stem);
        known.ok_or_else(|| format!("`{stem}` is no plugin"))
    }

    fn bundled(&self) -> Vec<Manifest> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/bundled");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|plugin| plugin.unwrap().path()).collect();
        files.sort();
        let read = |plugin: &std::path::PathBuf| {
            let text = std::fs::read_to_string(plugin.join("plugin.toml")).unwrap();
            let told: Value = toml::from_str(&text).unwrap();
            let text = |key: &str| told[key].as_str().unwrap().to_owned();
            let (name, version, world, summary) = (text("name"), text("version"), text("world"), text("summary"));
            Manifest { name, version, world, summary, config_schema: told["config"].clone() }
        };
        files.iter().map(read).collect()
    }
}

/// The assets the stages below name.
fn assets() -> Assets {
    let asset = |name: &str, kind: &str, value: Value| {
        (name.to_owned(), Arc::new(Asset { name: name.to_owned(), kind: kind.to_owned(), value }))
    };
    [
        asset("base", "vlm", json!({ "path": "/models/base" })),
        asset("served", "vlm", json!({ "server": { "url": "http://127.0.0.1:1/v1", "model": "m" } })),
        asset("tuned", "vlm", json!({ "path": "/models/base", "adapter": "/models/adapter" })),
        asset(
            "yolo",
            "detector",
            json!({ "family": "yolo", "path": "/models/yolo.onnx", "labels": "/models/labels.txt" }),
        ),
        asset("detr", "detector", json!({ "family": "detr", "path": "/models/detr.onnx" })),
        asset("second", "detector", json!({ "family": "yolo", "path": "/models/second.onnx", "confidence": 0.5 })),
        asset("odd", "detector", json!({ "family": "yoloo", "path": "/models/odd.onnx" })),
        asset("objects", "plugin/extractor", json!({ "path": "/plugins/objects.wasm" })),
        asset("sieve", "plugin/filter", json!({ "path": "/plugins/sieve.wasm" })),
        asset("writer", "plugin/converter", json!({ "path": "/plugins/writer.wasm" })),
    ]
    .into()
}

/// Parses a stage through the registry.
pub(crate) fn parse(engines: FakeEngines, kind: &str, with: Value) -> Result<Box<dyn Stage>, Vec<ConfigError>> {
    let engines: Arc<dyn Engines> = Arc::new(engines);
    let registry = sentinel_stages::registry(&engines, &Manifests);
    registry.stage(kind).unwrap().parse(with, &assets())
}

/// Parses a stage that is right.
pub(crate) fn stage(engines: FakeEngines, kind: &str, with: Value) -> Box<dyn Stage> {
    parse(engines, kind, with).unwrap_or_else(|mistakes| panic!("{kind}: {mistakes:?}"))
}

/// Returns rows as a stage takes them.
pub(crate) fn rows<T: Serialize>(records: impl IntoIterator<Item = T>) -> Input {
    Input::Rows(Arc::new(to_rows(records)))
}

/// Returns a unit.
pub(crate) fn unit(id: &str, step: u32, inputs: impl IntoIterator<Item = (&'static str, Input)>) -> Unit {
    Unit { id: id.into(), step, inputs: inputs.into_iter().collect() }
}

/// Shows a unit to a stage as the runner does: only the slots it has, only the fields it may see.
fn shown(unit: &Unit, slots: &[Slot]) -> Unit {
    let seen = |slot: &Slot| {
        let input = unit.inputs.get(slot.name)?;
        let input = match (input, slot.view) {
            (Input::Rows(rows), Some(fields)) => {
                Input::Rows(Arc::new(rows.iter().map(|row| viewed(row, fields)).collect()))
            }
            (other, _) => other.clone(),
        };
        Some((slot.name, input))
    };
    Unit { id: unit.id.clone(), step: unit.step, inputs: slots.iter().filter_map(seen).collect() }
}

fn viewed(row: &str, fields: &[&str]) -> Box<str> {
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
    object.retain(|name, _| fields.contains(&name.as_str()));
    Value::Object(object).to_string().into()
}

/// Runs a stage on units, each shown to it as the runner would.
pub(crate) fn run_units(
    stage: &dyn Stage,
    units: &[Unit],
    job: &dyn Job,
) -> Result<Vec<Result<Vec<Rows>, Fault>>, StageError> {
    let slots = stage.inputs();
    let units: Vec<Unit> = units.iter().map(|unit| shown(unit, &slots)).collect();
    let Work::Units(work) = stage.work() else { panic!("a unit-wise stage was expected") };
    let answers = work.run(&units, job)?;
    assert_eq!(answers.len(), units.len());
    assert!(answers.iter().flatten().all(|lists| lists.len() == stage.outputs().len()));
    Ok(answers)
}

/// Runs a stage on one unit, and returns its first output.
pub(crate) fn run_one(stage: &dyn Stage, unit: &Unit, job: &dyn Job) -> Rows {
    run_units(stage, std::slice::from_ref(unit), job).unwrap().remove(0).unwrap().remove(0)
}

/// Runs a whole stage.
pub(crate) fn run_whole(
    stage: &dyn Stage,
    inputs: &WholeInputs,
    job: &dyn Job,
) -> Result<Vec<WholeOutput>, StageError> {
    let Work::Whole(work) = stage.work() else { panic!("a whole stage was expected") };
    let outputs = work.run(inputs, job)?;
    assert_eq!(outputs.len(), stage.outputs().len());
    Ok(outputs)
}

/// Returns inputs of a whole stage: slot → units, each with its records.
pub(crate) fn whole<T: Serialize>(
    slots: impl IntoIterator<Item = (&'static str, Vec<(String, Vec<T>)>)>,
) -> WholeInputs {
    let units = |units: Vec<(String, Vec<T>)>| {
        units.into_iter().map(|(id, records)| (id.into(), Arc::new(to_rows(records)))).collect()
    };
    let rows = slots.into_iter().map(|(slot, list)| (slot, Arc::new(units(list)))).collect();
    WholeInputs { rows, files: BTreeMap::new() }
}

/// Returns the units of an output.
pub(crate) fn units_of(output: &WholeOutput) -> &[(Arc<str>, Rows)] {
    match output {
        WholeOutput::Rows(units) | WholeOutput::Sifted(units, _) => units,
        WholeOutput::Files(files) => panic!("rows were expected, not {files:?}"),
    }
}

/// Returns what an output set aside: id, reason, story.
pub(crate) fn aside_of(output: &WholeOutput) -> Vec<(&str, &str, &str)> {
    let WholeOutput::Sifted(_, aside) = output else { return Vec::new() };
    aside.iter().map(|(id, fault)| (&**id, fault.reason.as_str(), fault.detail.as_str())).collect()
}

/// Returns the files of an output.
pub(crate) fn files_of(output: &WholeOutput) -> &FileSet {
    match output {
        WholeOutput::Files(files) => files,
        WholeOutput::Rows(units) | WholeOutput::Sifted(units, _) => panic!("files were expected, not {units:?}"),
    }
}

/// Returns engines for a world of words: the model says what its script says, a picture shows the words it is made of, and two
/// detectors see them; `detr` is blind for what its picture spells in capitals.
pub(crate) fn word_engines(
    says: impl Fn(&sentinel_domain::ports::Prompt<'_>) -> Vec<String> + Send + Sync + 'static,
) -> FakeEngines {
    const WORDS: [&str; 8] = ["cat", "dog", "cup", "fork", "kite", "tv", "bed", "bus"];
    let vocabulary = || Some(WORDS.map(str::to_owned).to_vec());
    let words = |picture: &[u8]| String::from_utf8_lossy(picture).split(' ').map(str::to_owned).collect::<Vec<_>>();
    let yolo = FakeDetector {
        vocabulary: vocabulary(),
        finds: Box::new(move |picture| words(picture).iter().map(|word| word.to_lowercase()).collect()),
    };
    let plain = move |picture: &[u8]| words(picture).into_iter().filter(|word| word.to_lowercase() == *word).collect();
    let detr = FakeDetector { vocabulary: vocabulary(), finds: Box::new(plain) };
    let known = WORDS.iter().map(|word| ((*word).to_owned(), (*word).to_owned())).collect();
    FakeEngines {
        vlm: Some(Arc::new(FakeVlm(Box::new(says)))),
        detectors: BTreeMap::from([
            ("yolo".to_owned(), Arc::new(yolo) as Arc<dyn sentinel_domain::ports::Detector>),
            ("detr".to_owned(), Arc::new(detr)),
        ]),
        extractor: Some(Arc::new(WordExtractor(known))),
        ..FakeEngines::default()
    }
}
