//! `read`: the user's own data. SENTINEL's `image_data.jsonl` and plain folders of pictures become descriptions, published pair
//! sets become pairs. A record keeps its picture by digest; where the file was is remembered as a label only. A record whose
//! picture is not there is set aside, and read when the picture comes.

mod index;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use sentinel_core::artifact::{FileEntry, FileSet, Rows};
use sentinel_core::job::{Files, Job};
use sentinel_core::stage::{
    Fault, Shape, Slot, Stage, StageError, WholeInputs, WholeOutput, WholeStage, Work, to_rows,
};
use sentinel_domain::config::{DirPath, FilePath, ShelfPath};
use sentinel_domain::records::{Description, Memory, Pair};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::{Entry, Given, Parsed, config, none_of, wrong};
use index::{Found, Source, read_folder, read_images, read_pairs};

pub(crate) static ENTRY: Entry = Entry {
    name: "read",
    summary: "reads pictures from a list or a folder, or published preference pairs",
    schema: || schema_for!(Config),
    parse,
    shapes,
};

/// Annotations are read whole; COCO's largest file has half a gigabyte.
const ANNOTATIONS_BYTES_MAX: u64 = 2 << 30;

/// What `read` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// A list, one JSON object a line. Either this or `folder`.
    file: Option<FilePath>,
    /// A folder of PNG and JPEG pictures, those below it included; a picture's path in it is its id. Pictures in other formats are
    /// read, too, and set aside where they are looked at.
    folder: Option<DirPath>,
    /// What the list holds.
    format: Format,
    /// Where the list's pictures are, by file name or id, however deep; by default their paths are relative to the list.
    pictures: Option<ShelfPath>,
    /// Ground truth of the pictures in COCO instances format, for `evaluate`; it becomes the output `annotations`.
    annotations: Option<FilePath>,
    /// What is asked where a record asks nothing.
    question: String,
    /// Reads only so many records, from the start.
    #[schemars(range(min = 1))]
    limit: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        let question = "Describe this image.".to_owned();
        let (format, annotations, limit) = (Format::Images, None, None);
        Self { file: None, folder: None, format, pictures: None, annotations, question, limit }
    }
}

/// What a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// `{image_id, image_path, question}`, as in SENTINEL's `image_data.jsonl`; both names fall back to `image`.
    Images,
    /// Preference pairs as SENTINEL publishes and writes them: rows of `_data_pair.jsonl`, or a `.json` of lists by image id.
    Pairs,
}

fn parse(with: Value, _: &Given<'_>) -> Parsed {
    let Config { file, folder, format, pictures, annotations, question, limit } = config(with)?;
    let is_pairs = format == Format::Pairs;
    let contradictions = [
        (is_pairs && annotations.is_some(), "/annotations", "pairs have no ground truth"),
        (is_pairs && file.is_none() && folder.is_some(), "/folder", "pairs are read from a `file`"),
        (file.is_none() && folder.is_some() && pictures.is_some(), "/pictures", "`pictures` goes with `file`"),
        (file.is_some() && folder.is_some(), "/folder", "`read` takes `file` or `folder`, not both"),
    ];
    let told = contradictions.into_iter().filter(|(holds, ..)| *holds);
    none_of(told.flat_map(|(_, pointer, message)| wrong(pointer, message, None)).collect())?;
    let source = match (file, folder) {
        (Some(file), _) => Source::List { file: file.0, pictures: pictures.map(|pictures| pictures.0) },
        (None, Some(folder)) => Source::Folder(folder.0),
        (None, None) => return Err(wrong("", "`read` needs `file` or `folder`", None)),
    };
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let annotations = annotations.map(|annotations| annotations.0);
    Ok(Box::new(Read { source, format, annotations, question, limit }))
}

struct Read {
    source: Source,
    format: Format,
    annotations: Option<PathBuf>,
    question: String,
    limit: usize,
}

/// The kind of rows decides whether there can be annotations.
fn shape(format: Format, annotated: bool) -> Shape {
    let rows = match format {
        Format::Images => Slot::rows("descriptions", "descriptions"),
        Format::Pairs => Slot::rows("pairs", "pairs"),
    };
    let annotations = annotated.then_some(Slot::files("annotations", "annotations"));
    Shape::whole([], std::iter::once(rows).chain(annotations).collect::<Vec<_>>())
}

fn shapes(with: &Value) -> Vec<Shape> {
    let told = with.get("format").and_then(|format| Format::deserialize(format).ok());
    let possible = [(Format::Images, true), (Format::Images, false), (Format::Pairs, false)];
    let fits = |(format, annotated): &(Format, bool)| {
        let is_annotated = with.get("annotations").is_some() && *format == Format::Images;
        told.is_none_or(|told| told == *format) && (*annotated || !is_annotated)
    };
    possible.into_iter().filter(fits).map(|(format, annotated)| shape(format, annotated)).collect()
}

impl Stage for Read {
    fn inputs(&self) -> Vec<Slot> {
        shape(self.format, self.annotations.is_some()).inputs
    }
    fn outputs(&self) -> Vec<Slot> {
        shape(self.format, self.annotations.is_some()).outputs
    }
    fn version(&self) -> u32 {
        2
    }
    fn listed_files(&self, files: &dyn Files) -> Result<Vec<PathBuf>, StageError> {
        let paths: Vec<PathBuf> = match self.format {
            Format::Images => self.images(files)?.into_iter().map(|found| found.path).collect(),
            Format::Pairs => self.pairs(files)?.into_iter().map(|found| found.path).collect(),
        };
        Ok(paths)
    }
    fn work(&self) -> Work<'_> {
        Work::Whole(self)
    }
}

impl WholeStage for Read {
    fn run(&self, _: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let (units, aside) = match self.format {
            Format::Images => self.descriptions(job)?,
            Format::Pairs => self.by_image(job)?,
        };
        let mut outputs = vec![WholeOutput::Sifted(units, aside)];
        if let Some(path) = &self.annotations {
            let json = job.read(path, ANNOTATIONS_BYTES_MAX)?;
            let entry = FileEntry { digest: job.put_blob(&json)?, bytes: json.len() as u64 };
            outputs.push(WholeOutput::Files(FileSet { files: [("annotations.json".to_owned(), entry)].into() }));
        }
        Ok(outputs)
    }
}

/// Records that could be read, and why others could not.
type Sifted = (Vec<(Arc<str>, Rows)>, Vec<(Arc<str>, Fault)>);

impl Read {
    fn images(&self, files: &dyn Files) -> Result<Vec<Found<String>>, StageError> {
        match &self.source {
            Source::List { file, pictures } => {
                read_images(files, file, pictures.as_deref(), &self.question, self.limit)
            }
            Source::Folder(folder) => read_folder(files, folder, &self.question, self.limit),
        }
    }

    fn pairs(&self, files: &dyn Files) -> Result<Vec<Found<crate::released::PublishedPair>>, StageError> {
        match &self.source {
            Source::List { file, pictures } => read_pairs(files, file, pictures.as_deref(), self.limit),
            Source::Folder(_) => Err(StageError::Bug("pairs out of a folder".to_owned())),
        }
    }

    fn descriptions(&self, job: &dyn Job) -> Result<Sifted, StageError> {
        let found = self.images(job)?;
        let total = found.len() as u64;
        let (mut units, mut aside) = (Vec::with_capacity(found.len()), Vec::new());
        for (done, found) in (1..).zip(found) {
            if job.cancelled() {
                return Err(StageError::Cancelled);
            }
            let picture = match index::picture(job, &found)? {
                Ok(picture) => picture,
                Err(fault) => {
                    aside.push((found.id.into(), fault));
                    continue;
                }
            };
            let Found { id, image_path, content: question, .. } = found;
            let (context, named, memory) = (Vec::new(), Vec::new(), Memory::default());
            let description =
                Description { id: id.clone(), picture, image_path, question, context, named, memory, end: None };
            units.push((id.into(), to_rows([description])));
            job.progress(done, total, "pictures", &[]);
        }
        Ok((units, aside))
    }

    /// A record one of whose pairs has no picture is set aside with all of them.
    fn by_image(&self, job: &dyn Job) -> Result<Sifted, StageError> {
        let mut units: Vec<(Arc<str>, Vec<Pair>)> = Vec::new();
        let mut places = BTreeMap::new();
        let mut aside: BTreeMap<Arc<str>, Fault> = BTreeMap::new();
        for found in self.pairs(job)? {
            if job.cancelled() {
                return Err(StageError::Cancelled);
            }
            let picture = match index::picture(job, &found)? {
                Ok(picture) => picture,
                Err(fault) => {
                    aside.entry(found.id.into()).or_insert(fault);
                    continue;
                }
            };
            let Found { id, image_path, place, content, .. } = found;
            let pair = content.pair(&id, image_path, picture, &self.question);
            let pair = pair.map_err(|reason| StageError::Refused(format!("{place}: {reason}")))?;
            let index = *places.entry(id.clone()).or_insert(units.len());
            match units.get_mut(index) {
                Some((_, pairs)) => pairs.push(pair),
                None => units.push((id.into(), vec![pair])),
            }
        }
        units.retain(|(id, _)| !aside.contains_key(id));
        let units = units.into_iter().map(|(id, pairs)| (id, to_rows(pairs))).collect();
        Ok((units, aside.into_iter().collect()))
    }
}
