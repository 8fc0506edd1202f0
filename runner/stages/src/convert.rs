//! `convert`: writes pairs in another program's format, through a converter plugin or as the two files of the released SENTINEL
//! code. Pictures come along under `pictures/`, so that the data set can be moved and depends on no path.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::{FileEntry, FileSet};
use sentinel_core::digest::Digest;
use sentinel_core::job::Job;
use sentinel_core::stage::{
    Shape, Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work, parse_rows, to_rows,
};
use sentinel_domain::config::ConverterName;
use sentinel_domain::ports::{Engines, PluginSpec};
use sentinel_domain::records::{Description, Detection, FoundBox, Pair};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::{Entry, Given, Parsed, config, wrong};
use crate::models;
use crate::released::{ImageRow, PairRow};

pub(crate) static ENTRY: Entry = Entry {
    name: "convert",
    summary: "writes pairs in another program's format, by a plugin or as the released SENTINEL code does",
    schema: || schema_for!(Config),
    parse,
    shapes,
};

/// Where pictures stand in a data set.
const PICTURES: &str = "pictures";

/// What `convert` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The converter, an entry of `plugins:`. Either this or `format`.
    plugin: Option<ConverterName>,
    /// The plugin's own configuration; its manifest holds the schema.
    config: serde_json::Map<String, Value>,
    /// A format of this program's own.
    format: Option<Format>,
    /// What the files of `format` are named after: `<name>.jsonl` and `<name>_data_pair.jsonl`; by default `sentinel`.
    name: Option<String>,
    /// Whether pictures come along under `pictures/`; else their paths stay as the data wrote them.
    pictures: Pictures,
}

impl Default for Config {
    fn default() -> Self {
        Self { plugin: None, config: serde_json::Map::new(), format: None, name: None, pictures: Pictures::Copy }
    }
}

/// A format of this program's own.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// The two files of the released SENTINEL code. `needs.descriptions` gives the first, `needs.detections` its last columns.
    Sentinel,
}

/// What becomes of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Pictures {
    /// They come along.
    Copy,
    /// They stay where they are.
    Leave,
}

fn parse(with: Value, given: &Given<'_>) -> Parsed {
    let Config { plugin, config, format, name, pictures } = config(with)?;
    let writer = match (plugin, format) {
        (Some(_), None) if name.is_some() => return Err(wrong("/name", "`name` goes with `format`", None)),
        (Some(plugin), None) => {
            Writer::Plugin { plugin: models::plugin(&plugin.0, given)?, config: Value::Object(config).to_string() }
        }
        (None, Some(Format::Sentinel)) if !config.is_empty() => {
            return Err(wrong("/config", "`config` goes with `plugin`", None));
        }
        (None, Some(Format::Sentinel)) => {
            let name = name.unwrap_or_else(|| "sentinel".to_owned());
            if !is_safe(&name) || name.contains('/') {
                return Err(wrong("/name", format!("`{name:.80}` cannot be part of a file's name"), None));
            }
            Writer::Sentinel { name }
        }
        (None, None) => return Err(wrong("", "`convert` needs `plugin` or `format`", None)),
        (Some(_), Some(_)) => return Err(wrong("/format", "`convert` takes `plugin` or `format`, not both", None)),
    };
    Ok(Box::new(Convert { writer, pictures, engines: given.engines.clone() }))
}

/// What writes.
enum Writer {
    Plugin { plugin: PluginSpec, config: String },
    Sentinel { name: String },
}

struct Convert {
    writer: Writer,
    pictures: Pictures,
    engines: Arc<dyn Engines>,
}

fn shape(by_plugin: bool) -> Shape {
    let mut inputs = vec![Slot::rows("pairs", "pairs")];
    if !by_plugin {
        inputs.push(Slot::rows("descriptions", "descriptions").optional());
        inputs.push(Slot::rows("detections", "detections").optional());
    }
    Shape::whole(inputs, [Slot::files("dataset", "dataset")])
}

fn shapes(with: &Value) -> Vec<Shape> {
    let by_plugin = match (with.get("plugin"), with.get("format")) {
        (Some(_), None) => &[true][..],
        (None, Some(_)) => &[false],
        _ => &[true, false],
    };
    by_plugin.iter().map(|by_plugin| shape(*by_plugin)).collect()
}

impl Stage for Convert {
    fn inputs(&self) -> Vec<Slot> {
        shape(matches!(self.writer, Writer::Plugin { .. })).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(matches!(self.writer, Writer::Plugin { .. })).outputs
    }
    fn version(&self) -> u32 {
        1
    }
    fn engine(&self) -> Option<String> {
        matches!(self.writer, Writer::Plugin { .. }).then(|| self.engines.catalogue().plugin_engine.clone())
    }
    fn work(&self) -> Work<'_> {
        Work::Whole(self)
    }
}

impl WholeStage for Convert {
    fn run(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let mut pairs: Vec<Pair> = inputs.list("pairs")?;
        let mut descriptions: Vec<Description> =
            if inputs.rows.contains_key("descriptions") { inputs.list("descriptions")? } else { Vec::new() };
        let mut dataset = Dataset { files: FileSet::default(), paths: BTreeMap::new(), job };
        if self.pictures == Pictures::Copy {
            for (id, picture, path) in pairs.iter_mut().map(|pair| (&pair.id, pair.picture, &mut pair.image_path)) {
                *path = dataset.picture(id, picture, path)?;
            }
            for (id, picture, path) in descriptions.iter_mut().map(|one| (&one.id, one.picture, &mut one.image_path)) {
                *path = dataset.picture(id, picture, path)?;
            }
        }
        match &self.writer {
            Writer::Plugin { plugin, config } => {
                let rows = to_rows(&pairs);
                let converter = self.engines.converter(plugin)?;
                for (path, content) in converter.convert(config, &mut rows.iter().map(AsRef::as_ref))? {
                    dataset.add(&path, &content)?;
                }
            }
            Writer::Sentinel { name } => {
                let rows = to_rows(pairs.iter().map(PairRow::from));
                dataset.add(&format!("{name}_data_pair.jsonl"), lines(&rows).as_bytes())?;
                if inputs.rows.contains_key("descriptions") {
                    let rows = image_rows(&descriptions, inputs, job)?;
                    dataset.add(&format!("{name}.jsonl"), lines(&rows).as_bytes())?;
                }
            }
        }
        Ok(vec![WholeOutput::Files(dataset.files)])
    }
}

fn lines(rows: &[Box<str>]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Returns the rows of `<name>.jsonl`.
fn image_rows(descriptions: &[Description], inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<Box<str>>, StageError> {
    let mut boxes: BTreeMap<Arc<str>, Vec<FoundBox>> = BTreeMap::new();
    for (id, rows) in inputs.rows.get("detections").into_iter().flat_map(|units| units.iter()) {
        // Every step asked the detectors again, and one with a closed vocabulary answered the same.
        let closed =
            parse_rows::<Detection>("detections", rows)?.into_iter().find(|detection| detection.vocabulary.is_some());
        boxes.insert(id.clone(), closed.map(|detection| detection.boxes).unwrap_or_default());
    }
    let row = |description: &Description| {
        let found = boxes.get(description.id.as_str()).map_or(&[][..], Vec::as_slice);
        let size = if found.is_empty() { (1.0, 1.0) } else { size(&job.blob(description.picture)?, &description.id)? };
        Ok(to_rows([ImageRow::of(description, found, size)]))
    };
    descriptions.iter().map(row).collect::<Result<Vec<_>, _>>().map(|rows| rows.into_iter().flatten().collect())
}

/// Returns width and height of an encoded picture.
fn size(picture: &[u8], id: &str) -> Result<(f32, f32), StageError> {
    let size = imagesize::blob_size(picture)
        .map_err(|error| StageError::Refused(format!("the picture of `{id}`: {error}")))?;
    Ok((size.width as f32, size.height as f32))
}

/// A data set under construction.
struct Dataset<'a> {
    files: FileSet,
    /// Where each picture stands.
    paths: BTreeMap<Digest, String>,
    job: &'a dyn Job,
}

impl Dataset<'_> {
    /// Adds a picture, unless it is there, and returns its path in the data set.
    fn picture(&mut self, id: &str, picture: Digest, path: &str) -> Result<String, StageError> {
        if let Some(path) = self.paths.get(&picture) {
            return Ok(path.clone());
        }
        let bytes = self.job.blob(picture)?;
        let ending = ending(&bytes, path);
        let plain =
            |letter: char| if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_') { letter } else { '_' };
        let name: String = Path::new(id).with_extension("").to_string_lossy().chars().map(plain).collect();
        let mut path = format!("{PICTURES}/{name}.{ending}");
        if self.files.files.contains_key(&path) {
            path = format!("{PICTURES}/{name}-{}.{ending}", picture.short());
        }
        let digest = self.job.put_blob(&bytes)?;
        self.files.files.insert(path.clone(), FileEntry { digest, bytes: bytes.len() as u64 });
        self.paths.insert(picture, path.clone());
        Ok(path)
    }

    /// Adds a file a converter wrote.
    fn add(&mut self, path: &str, content: &[u8]) -> Result<(), StageError> {
        if !is_safe(path) || self.files.files.contains_key(path) {
            return Err(StageError::Refused(format!(
                "the converter writes `{path:.200}`, which leads outside, or is there already"
            )));
        }
        let digest = self.job.put_blob(content)?;
        self.files.files.insert(path.to_owned(), FileEntry { digest, bytes: content.len() as u64 });
        Ok(())
    }
}

/// Whether a path of a data set stays in it, and means the same everywhere.
fn is_safe(path: &str) -> bool {
    let odd = |letter: char| letter.is_control() || matches!(letter, '\\' | ':');
    !path.is_empty()
        && !path.contains(odd)
        && !path.ends_with('/')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Returns the file ending that goes with a picture's first bytes.
fn ending<'a>(bytes: &[u8], path: &'a str) -> &'a str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        _ => Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or("bin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_data_set() {
        for (path, safe) in [
            ("a.json", true),
            ("a/b.json", true),
            ("/a", false),
            ("../a", false),
            ("a/../b", false),
            ("", false),
            ("a\\b", false),
            ("c:a", false),
            ("a/", false),
            ("./a", false),
        ] {
            assert_eq!(is_safe(path), safe, "{path}");
        }
    }
}
