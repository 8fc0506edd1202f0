//! Made-up stages that really compute: they read, split, grow, keep, sum, pack and look things up. What they do wrong is asked of
//! their [`Lab`], so that no key can know of it.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use sentinel_core::artifact::{FileEntry, FileSet, Form, KindInfo, Rows};
use sentinel_core::digest::Digest;
use sentinel_core::job::{Files, Job};
use sentinel_core::report::{Cell, ReportIo, Widget};
use sentinel_core::run::Stop;
use sentinel_core::stage::{
    Assets, ConfigError, DROPPED, Fault, Input, Slot, SlotKind, Stage, StageError, StageKind, Unit, UnitOutput,
    UnitStage, WholeInputs, WholeOutput, WholeStage, Work, parse_rows, to_rows,
};
use sentinel_core::workflow::{AssetKind, Manifest, PluginManifests, Registry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::texts::{self, Soil, Text, Word, total};

static KINDS: &[KindInfo] = &[
    KindInfo { name: "bundle", form: Form::Files, summary: "files", schema: None, ends_loop: None },
    KindInfo { name: "dropped", form: Form::Rows, summary: "unwanted words", schema: None, ends_loop: None },
    KindInfo {
        name: "texts",
        form: Form::Rows,
        summary: "growing texts",
        schema: None,
        ends_loop: Some(|row| row.contains("\"end\":true")),
    },
    KindInfo { name: "totals", form: Form::Rows, summary: "sums", schema: None, ends_loop: None },
    KindInfo { name: "words", form: Form::Rows, summary: "words of texts", schema: None, ends_loop: None },
];

static ASSETS: &[AssetKind] =
    &[AssetKind { name: "shelf", summary: "a folder of files", schema: || schema_for!(ShelfEntry) }];

/// What a stage does wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing.
    Fine,
    /// The world fails it.
    World,
    Refuse,
    Panic,
    /// It asks the run so often to stop, and waits until it is cancelled; asked twice, until it is released.
    Wait(u8),
    /// All its units are at fault.
    Afraid,
    /// It answers too few units, or makes too few outputs.
    Few,
    /// It gives an output too many.
    Many,
    /// A row of it has a line break.
    LineBreak,
    /// Two of its records have one id.
    Twins,
    /// It names a file that it did not keep.
    Unkept,
    /// It names a file outside its folder.
    Escape,
    /// It gives files where rows were promised, or the reverse.
    Swapped,
    /// It gives other content than it should.
    Fickle,
}

/// What a project's stages have been asked for, and what they will do wrong. Packing counts its pages under `page`, those found
/// in checkpoints left out.
#[derive(Default)]
pub(crate) struct Lab {
    units: Mutex<BTreeMap<&'static str, u64>>,
    moods: Mutex<BTreeMap<&'static str, VecDeque<Mood>>>,
    versions: Mutex<BTreeMap<&'static str, (u32, Option<String>)>>,
    /// What [`Mood::Wait`] asks to stop.
    pub(crate) stop: Mutex<Stop>,
    pub(crate) released: AtomicBool,
    /// Memos computed.
    pub(crate) memos: AtomicU64,
    /// How often stages were asked what a report shows of them.
    pub(crate) shown: AtomicU64,
    /// Whether reports show nothing of them.
    pub(crate) quiet: AtomicBool,
    /// Most units in one batch.
    pub(crate) batch: AtomicU64,
}

impl Lab {
    /// Takes how many units each kind was asked to compute since the last call.
    pub(crate) fn taken(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.units.lock().unwrap())
    }

    /// Lets a kind do something wrong in its next works, one after the other.
    pub(crate) fn mood(&self, kind: &'static str, moods: &[Mood]) {
        self.moods.lock().unwrap().entry(kind).or_default().extend(moods);
    }

    /// Gives a kind another version and engine.
    pub(crate) fn version(&self, kind: &'static str, version: u32, engine: Option<&str>) {
        self.versions.lock().unwrap().insert(kind, (version, engine.map(str::to_owned)));
    }

    fn asked(&self, kind: &'static str, units: usize, job: &dyn Job) -> Result<Mood, StageError> {
        *self.units.lock().unwrap().entry(kind).or_default() += units as u64;
        self.batch.fetch_max(units as u64, Ordering::Relaxed);
        let mood = self.moods.lock().unwrap().get_mut(kind).and_then(VecDeque::pop_front).unwrap_or(Mood::Fine);
        match mood {
            Mood::World => Err(StageError::World("the server said 503".into(), None)),
            Mood::Refuse => Err(StageError::Refused("the engine knows no such words".into())),
            Mood::Panic => panic!("a made-up panic"),
            Mood::Wait(times) => {
                let stop = self.stop.lock().unwrap().clone();
                (0..times).for_each(|_| stop.ask());
                let is_over = || if times > 1 { self.released.load(Ordering::Relaxed) } else { job.cancelled() };
                wait_until(is_over);
                Err(StageError::Cancelled)
            }
            mood => Ok(mood),
        }
    }
}

/// Waits until something has come about that another thread does.
pub(crate) fn wait_until(is_over: impl Fn() -> bool) {
    while !is_over() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Returns the registry of a lab.
pub(crate) fn registry(lab: &Arc<Lab>) -> Registry<'static> {
    let kind = |entry: &'static Entry| Box::new(Kind { entry, lab: lab.clone() }) as Box<dyn StageKind>;
    Registry { stages: TABLE.iter().map(kind).collect(), assets: ASSETS, kinds: KINDS, plugins: &NoPlugins }
}

struct NoPlugins;

impl PluginManifests for NoPlugins {
    fn manifest(&self, path: &Path) -> Result<Manifest, String> {
        Err(format!("`{}` is no plugin", path.display()))
    }
    fn bundled(&self) -> Vec<Manifest> {
        Vec::new()
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShelfEntry {
    #[schemars(extend("x-sentinel-path" = "dir"))]
    path: String,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reading {
    #[schemars(extend("x-sentinel-path" = "file"))]
    file: PathBuf,
    /// Where attached files are.
    #[schemars(extend("x-sentinel-path" = "shelf"))]
    shelf: Option<PathBuf>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Splitting {
    /// Whether unwanted words stay.
    #[serde(default)]
    all: bool,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Growing {
    /// The random stream.
    stream: Option<String>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Picking {
    most: usize,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Summing {}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Packing {}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Looking {}

#[derive(Clone)]
enum What {
    Lines(Reading),
    Split(Splitting),
    Grow(Growing),
    Pick(Picking),
    Sum,
    Pack,
    Look,
}

struct Entry {
    name: &'static str,
    schema: fn() -> Schema,
    parse: fn(Value) -> serde_json::Result<What>,
}

static TABLE: &[Entry] = &[
    Entry { name: "grow", schema: || schema_for!(Growing), parse: |with| serde_json::from_value(with).map(What::Grow) },
    Entry {
        name: "lines",
        schema: || schema_for!(Reading),
        parse: |with| serde_json::from_value(with).map(What::Lines),
    },
    Entry {
        name: "look",
        schema: || schema_for!(Looking),
        parse: |with| serde_json::from_value(with).map(|Looking {}| What::Look),
    },
    Entry {
        name: "pack",
        schema: || schema_for!(Packing),
        parse: |with| serde_json::from_value(with).map(|Packing {}| What::Pack),
    },
    Entry { name: "pick", schema: || schema_for!(Picking), parse: |with| serde_json::from_value(with).map(What::Pick) },
    Entry {
        name: "split",
        schema: || schema_for!(Splitting),
        parse: |with| serde_json::from_value(with).map(What::Split),
    },
    Entry {
        name: "sum",
        schema: || schema_for!(Summing),
        parse: |with| serde_json::from_value(with).map(|Summing {}| What::Sum),
    },
];

struct Kind {
    entry: &'static Entry,
    lab: Arc<Lab>,
}

impl StageKind for Kind {
    fn name(&self) -> &'static str {
        self.entry.name
    }
    fn summary(&self) -> &'static str {
        "a made-up stage"
    }
    fn schema(&self) -> Schema {
        (self.entry.schema)()
    }
    fn parse(&self, with: Value, _: &Assets) -> Result<Box<dyn Stage>, Vec<ConfigError>> {
        let what = (self.entry.parse)(with).unwrap();
        let (version, engine) = self.lab.versions.lock().unwrap().get(self.entry.name).cloned().unwrap_or((1, None));
        Ok(Box::new(Made { name: self.entry.name, what, lab: self.lab.clone(), version, engine }))
    }
}

struct Made {
    name: &'static str,
    what: What,
    lab: Arc<Lab>,
    version: u32,
    engine: Option<String>,
}

/// What looking up gives.
#[derive(Serialize)]
struct Found {
    word: String,
    letters: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Digest>,
}

/// What stages see of a text.
const TEXT: &[&str] = &["id", "text", "goal", "grown", "fear", "vanish"];
const ANY: Slot = Slot { name: "records", kind: SlotKind::AnyRows, form: Form::Rows, optional: false, view: None };
const SAME: Slot = Slot { kind: SlotKind::SameAs("records"), ..ANY };

impl Stage for Made {
    fn inputs(&self) -> Vec<Slot> {
        match &self.what {
            What::Lines(_) => Vec::new(),
            What::Split(_) => vec![Slot::rows("texts", "texts").view(&["text", "grown", "fear"])],
            What::Grow(_) => vec![
                Slot::rows("texts", "texts").view(TEXT),
                Slot::rows("words", "words").optional(),
                Slot::rows("hints", "words").optional(),
                Slot::files("stock", "bundle").optional(),
            ],
            What::Pick(_) => vec![ANY],
            What::Sum => vec![Slot::rows("words", "words"), Slot::rows("remarks", "texts").view(&[]).optional()],
            What::Pack => vec![Slot::rows("words", "words").view(&["word"]), Slot::files("extra", "bundle").optional()],
            What::Look => vec![
                Slot::rows("words", "words").view(&["word"]),
                Slot::files("stock", "bundle").optional(),
                Slot::rows("texts", "texts").view(&["attached"]).optional(),
            ],
        }
    }

    fn outputs(&self) -> Vec<Slot> {
        match &self.what {
            What::Lines(_) | What::Grow(_) => vec![Slot::rows("texts", "texts")],
            What::Split(_) => vec![Slot::rows("words", "words"), Slot::rows(DROPPED, "dropped")],
            What::Pick(_) => vec![SAME],
            What::Sum => vec![Slot::rows("totals", "totals")],
            What::Pack => vec![Slot::files("bundle", "bundle")],
            What::Look => vec![Slot::rows("words", "words")],
        }
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn draws(&self) -> bool {
        matches!(self.what, What::Grow(_))
    }

    fn stream(&self) -> Option<&str> {
        match &self.what {
            What::Grow(growing) => growing.stream.as_deref(),
            _ => None,
        }
    }

    fn engine(&self) -> Option<String> {
        self.engine.clone()
    }

    fn uses_device(&self) -> bool {
        matches!(self.what, What::Grow(_) | What::Look)
    }

    fn listed_files(&self, files: &dyn Files) -> Result<Vec<PathBuf>, StageError> {
        let What::Lines(Reading { file, shelf: Some(shelf) }) = &self.what else { return Ok(Vec::new()) };
        let texts = read_texts(&files.read(file, 1 << 20)?)?;
        Ok(texts.into_iter().filter_map(|text| Some(shelf.join(text.attached?))).collect())
    }

    fn work(&self) -> Work<'_> {
        match self.what {
            What::Lines(_) | What::Sum | What::Pack => Work::Whole(self),
            _ => Work::Units(self),
        }
    }

    /// Shows what the stage took and gave, and what it sees of the files it took.
    fn widgets(&self, io: &dyn ReportIo) -> Result<Vec<Widget>, StageError> {
        if self.lab.quiet.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        self.lab.shown.fetch_add(1, Ordering::Relaxed);
        let mut rows = Vec::new();
        for slot in self.inputs().iter().chain(&self.outputs()) {
            if slot.form == Form::Rows {
                for unit in io.rows(slot.name)? {
                    let texts = [slot.name.into(), unit.id.to_string(), unit.step.to_string(), unit.rows.concat()];
                    rows.push(texts.into_iter().map(Cell::Text).collect());
                }
            } else if let Some(files) = io.files(slot.name)? {
                for (name, file) in &files.files {
                    let content = String::from_utf8_lossy(&io.blob(file.digest)?).into_owned();
                    rows.push([slot.name.into(), name.clone(), content].into_iter().map(Cell::Text).collect());
                }
            }
        }
        let columns = vec!["slot".into(), "of".into(), "step".into(), "what".into()];
        Ok(vec![Widget::Table { title: self.name.into(), columns, rows }])
    }
}

impl UnitStage for Made {
    fn run(&self, units: &[Unit], job: &dyn Job) -> Result<Vec<Result<UnitOutput, Fault>>, StageError> {
        let mood = self.lab.asked(self.name, units.len(), job)?;
        let threads = job.exec().threads.unwrap_or(1) as usize;
        let share = units.len().div_ceil(threads);
        let mut answers = std::thread::scope(|scope| {
            let work = |units: &[Unit]| units.iter().map(|unit| self.one(unit, job)).collect::<Result<Vec<_>, _>>();
            let workers: Vec<_> = units.chunks(share).map(|units| scope.spawn(move || work(units))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Result<Vec<_>, _>>()
        })?
        .concat();
        match (mood, answers.first_mut()) {
            (Mood::Few, _) => drop(answers.pop()),
            (Mood::Afraid, _) => {
                let fault = Fault { reason: "afraid".into(), detail: "for once".into() };
                answers.fill(Err(fault));
            }
            (Mood::Many, Some(Ok(outputs))) => outputs.push(Rows::new()),
            (Mood::LineBreak, Some(Ok(outputs))) => outputs[0].push("{\"word\":\n\"torn\"}".into()),
            (Mood::Fickle, Some(Ok(outputs))) => {
                outputs[0][0] = outputs[0][0].replace("{\"word\":\"", "{\"word\":\"un").into();
            }
            _ => {}
        }
        Ok(answers)
    }
}

impl Made {
    fn one(&self, unit: &Unit, job: &dyn Job) -> Result<Result<UnitOutput, Fault>, StageError> {
        let outputs = match &self.what {
            What::Split(Splitting { all, .. }) => {
                let text: Text = unit.one("texts")?;
                let Some((words, dropped)) = texts::split(&text) else {
                    let detail = format!("`{}` is afraid", text.text);
                    return Ok(Err(Fault { reason: "afraid".into(), detail }));
                };
                vec![to_rows(words), if *all { Rows::new() } else { to_rows(dropped) }]
            }
            What::Grow(growing) => {
                let text: Text = unit.one("texts")?;
                let words =
                    |slot| if unit.inputs.contains_key(slot) { unit.list::<Word>(slot) } else { Ok(Vec::new()) };
                let (kept, hints) = (words("words")?, words("hints")?);
                let stock = unit.files("stock").map_or(0, |stock| stock.files.values().map(|file| file.bytes).sum());
                let stream = growing.stream.as_deref().unwrap_or("grow");
                let soil = Soil { seed: job.seed(), stream, step: unit.step, kept: &kept, hints: &hints, stock };
                vec![to_rows(texts::grow(&text, &soil))]
            }
            What::Pick(Picking { most }) => {
                let Some(Input::Rows(rows)) = unit.inputs.get("records") else { unreachable!("it has one slot") };
                vec![rows.iter().take(*most).cloned().collect()]
            }
            What::Look => self.look(unit, job)?,
            _ => unreachable!("it works on everything at once"),
        };
        Ok(Ok(outputs))
    }

    /// Looks every word up, once for all; tells the page it stands on, and what is attached to its text.
    fn look(&self, unit: &Unit, job: &dyn Job) -> Result<UnitOutput, StageError> {
        let mut found = Vec::new();
        for word in unit.list::<Value>("words")? {
            let word = word["word"].as_str().unwrap_or_default().to_owned();
            let letters = job.memo(Digest::of(word.as_bytes()), &mut || {
                self.lab.memos.fetch_add(1, Ordering::Relaxed);
                Ok(word.chars().count().to_string().into_bytes())
            })?;
            let letters: usize = String::from_utf8_lossy(&letters).parse().unwrap();
            let kept = job.put_blob(format!("the word {word}").as_bytes())?;
            found.push(Found { word, letters, page: Some(kept) });
        }
        if let Some(stock) = unit.files("stock") {
            let folder = job.materialise(stock)?;
            let count = std::fs::read_to_string(folder.join("count.txt")).unwrap();
            found.push(Found { word: "stock".into(), letters: count.trim().parse().unwrap(), page: None });
        }
        if unit.inputs.contains_key("texts")
            && let Some(attached) = unit.one::<Text>("texts")?.attached
        {
            let content = job.blob(attached.parse().unwrap())?;
            found.push(Found { word: String::from_utf8_lossy(&content).into(), letters: content.len(), page: None });
        }
        Ok(vec![to_rows(found)])
    }
}

fn read_texts(bytes: &[u8]) -> Result<Vec<Text>, StageError> {
    let wrong = |error: serde_json::Error| StageError::Refused(error.to_string());
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).map_err(wrong)).collect()
}

impl WholeStage for Made {
    fn run(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<Vec<WholeOutput>, StageError> {
        let mood = self.lab.asked(self.name, 1, job)?;
        let mut outputs = vec![match &self.what {
            What::Lines(reading) => lines(reading, job)?,
            What::Sum => {
                let units = inputs.rows["words"].iter().map(|(id, rows)| {
                    let words: Vec<Word> = parse_rows("words", rows)?;
                    Ok((id.clone(), to_rows([total(id, &words)])))
                });
                WholeOutput::Rows(units.collect::<Result<_, StageError>>()?)
            }
            _ => WholeOutput::Files(self.pack(inputs, job)?),
        }];
        match (mood, outputs.first_mut()) {
            (Mood::Few, _) => drop(outputs.pop()),
            (Mood::Many, Some(first)) => {
                let again = first.clone();
                outputs.push(again);
            }
            (Mood::Twins, Some(WholeOutput::Rows(units) | WholeOutput::Sifted(units, _))) => {
                units[1].0 = units[0].0.clone();
            }
            (Mood::LineBreak, Some(WholeOutput::Rows(units) | WholeOutput::Sifted(units, _))) => {
                units[0].1.push("{\n}".into());
            }
            (Mood::Fickle, Some(WholeOutput::Rows(units) | WholeOutput::Sifted(units, _))) => {
                units[0].1[0] = units[0].1[0].replacen(':', ":1", 1).replace(":1\"", ":\"un").into();
            }
            (Mood::Fickle, Some(WholeOutput::Files(files))) => {
                let (digest, bytes) = (job.put_blob(b"other")?, 5);
                files.files.insert("count.txt".into(), FileEntry { digest, bytes });
            }
            (Mood::Unkept, Some(WholeOutput::Files(files))) => {
                files.files.insert("unkept".into(), FileEntry { digest: Digest::of(b"never kept"), bytes: 10 });
            }
            (Mood::Escape, Some(WholeOutput::Files(files))) => {
                let (digest, bytes) = (job.put_blob(b"out")?, 3);
                files.files.insert("../../escaped".into(), FileEntry { digest, bytes });
            }
            (Mood::Swapped, Some(first)) => {
                *first = match first {
                    WholeOutput::Rows(_) | WholeOutput::Sifted(..) => WholeOutput::Files(FileSet::default()),
                    WholeOutput::Files(_) => WholeOutput::Rows(Vec::new()),
                }
            }
            _ => {}
        }
        Ok(outputs)
    }
}

fn lines(reading: &Reading, job: &dyn Job) -> Result<WholeOutput, StageError> {
    let (mut units, mut aside) = (Vec::new(), Vec::new());
    for mut text in read_texts(&job.read(&reading.file, 1 << 26)?)? {
        if let (Some(shelf), Some(attached)) = (&reading.shelf, &text.attached) {
            match job.find(&shelf.join(attached))? {
                Ok(digest) => text.attached = Some(digest.to_string()),
                Err(absent) => {
                    let fault = Fault { reason: "missing".into(), detail: format!("`{attached}`: {absent}") };
                    aside.push((text.id.as_str().into(), fault));
                    continue;
                }
            }
        }
        units.push((text.id.as_str().into(), to_rows([text])));
    }
    Ok(WholeOutput::Sifted(units, aside))
}

impl Made {
    /// Writes page after page, each kept as a checkpoint; a mood can come between two pages.
    fn pack(&self, inputs: &WholeInputs, job: &dyn Job) -> Result<FileSet, StageError> {
        let words: Vec<Value> = inputs.list("words")?;
        let word = |value: &Value| Word { word: value["word"].as_str().unwrap_or_default().into(), letters: 0 };
        let words: Vec<Word> = words.iter().map(word).collect();
        let (checkpoints, folder) = (job.checkpoint_dir()?, job.scratch_dir()?);
        let place = checkpoints.display().to_string();
        let world = |error: std::io::Error| StageError::World(format!("`{place}`: {error}"), Some(error.into()));
        for (number, (name, text)) in texts::pages(words.iter()).into_iter().enumerate() {
            let checkpoint = checkpoints.join(number.to_string());
            if !checkpoint.exists() {
                self.lab.asked("page", 1, job)?;
                let aside = checkpoint.with_extension("new");
                std::fs::write(&aside, &text).and_then(|()| std::fs::rename(&aside, &checkpoint)).map_err(world)?;
            }
            let place = folder.join(name);
            std::fs::create_dir_all(place.parent().unwrap()).map_err(world)?;
            std::fs::copy(checkpoint, place).map_err(world)?;
        }
        if let Some(extra) = inputs.files.get("extra") {
            let total: u64 = extra.files.values().map(|file| file.bytes).sum();
            std::fs::write(folder.join("extra.txt"), total.to_string()).unwrap();
        }
        job.put_dir(&folder)
    }
}
