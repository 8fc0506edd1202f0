//! A project folder with a store, results and a lab, and what a run told of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sentinel_core::diag::{Source, render};
use sentinel_core::report::record::{Counts, RunRecord};
use sentinel_core::reporter::{Event, Reporter};
use sentinel_core::run::{RunError, Selection, Stop, narrow};
use sentinel_core::session::{Finished, RunOptions, Session};
use sentinel_core::workflow::{Settings, Workflow, load_text};

use crate::kinds::{Lab, registry};
use crate::texts::{Text, lines};

/// A project folder: workflows and texts at its top, `store`, `runs`.
pub(crate) struct Project {
    root: PathBuf,
    pub(crate) lab: Arc<Lab>,
    heard: Arc<Heard>,
    /// Removed with the project, if the project made it.
    _dir: Option<tempfile::TempDir>,
}

/// What runs told, a line an event.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Reporter for Heard {
    fn hear(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

/// Does something when a run first tells an event with this in it. The run waits for it.
pub(crate) struct During {
    at: &'static str,
    work: Mutex<Option<Work>>,
}

type Work = Box<dyn FnOnce() + Send>;

impl During {
    pub(crate) fn first(at: &'static str, work: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Arc::new(Self { at, work: Mutex::new(Some(Box::new(work))) })
    }
}

impl Reporter for During {
    fn hear(&self, event: &Event<'_>) {
        let is_now = format!("{event:?}").contains(self.at);
        let work = if is_now { self.work.lock().unwrap().take() } else { None };
        if let Some(work) = work {
            work();
        }
    }
}

impl Project {
    /// Makes a project with some texts.
    pub(crate) fn new(texts: &[Text]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = Self { _dir: None, ..Self::at(&dir.path().join("project")) };
        project.write("texts.jsonl", &lines(texts));
        Self { _dir: Some(dir), ..project }
    }

    /// Opens a project that is there.
    pub(crate) fn at(root: &Path) -> Self {
        fs::create_dir_all(root).unwrap();
        Self { root: root.canonicalize().unwrap(), lab: Arc::default(), heard: Arc::default(), _dir: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn open(&self, flow: &str) -> Result<Session, RunError> {
        self.open_in(flow, &self.path("store"))
    }

    pub(crate) fn open_in(&self, flow: &str, store: &Path) -> Result<Session, RunError> {
        Session::open(self.load(flow), &registry(&self.lab), store, &self.path("runs"))
    }

    pub(crate) fn load(&self, flow: &str) -> Workflow {
        let registry = registry(&self.lab);
        let loaded = load_text(Source::new("flow.yaml", flow), &self.root, &registry, &Settings::default());
        loaded.unwrap_or_else(|found| panic!("{}", render::human(&found, false)))
    }

    /// Opens a part of a workflow.
    pub(crate) fn part(&self, flow: &str, selection: &Selection) -> Result<Session, RunError> {
        let workflow = narrow(self.load(flow), selection)?;
        Session::open(workflow, &registry(&self.lab), &self.path("store"), &self.path("runs"))
    }

    pub(crate) fn try_part(&self, flow: &str, selection: &Selection) -> Result<Finished, RunError> {
        let heard: Arc<dyn Reporter> = self.heard.clone();
        self.part(flow, selection)?.run(&RunOptions::default(), &heard, &Stop::default())
    }

    pub(crate) fn session(&self, flow: &str) -> Session {
        self.open(flow).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_run(&self, flow: &str, options: &RunOptions) -> Result<Finished, RunError> {
        let heard: Arc<dyn Reporter> = self.heard.clone();
        let stop = Stop::default();
        *self.lab.stop.lock().unwrap() = stop.clone();
        self.open(flow)?.run(options, &heard, &stop)
    }

    /// Runs a workflow to its end; returns what was computed, by kind.
    pub(crate) fn run(&self, flow: &str) -> BTreeMap<&'static str, u64> {
        self.finished(flow);
        self.lab.taken()
    }

    pub(crate) fn finished(&self, flow: &str) -> Finished {
        self.try_run(flow, &RunOptions::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a workflow that fails; returns why.
    pub(crate) fn failure(&self, flow: &str) -> RunError {
        match self.try_run(flow, &RunOptions::default()) {
            Err(error) => error,
            Ok(_) => panic!("it did not fail"),
        }
    }

    /// Takes what was told since the last call, as far as it has this in it.
    pub(crate) fn told(&self, what: &str) -> Vec<String> {
        let told = std::mem::take(&mut *self.heard.0.lock().unwrap());
        told.into_iter().filter(|line| line.contains(what)).collect()
    }

    /// Returns every result of a workflow: path below its folder → content. The record and the report tell times, and are left out.
    pub(crate) fn results(&self, name: &str) -> BTreeMap<String, String> {
        let mut found = files_below(&self.path("runs").join(name));
        for other in ["run.json", "report.html", ".lock"] {
            found.remove(other);
        }
        found
    }
}

/// Returns the text of every file below a folder.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// Returns the counts of a stage of a run.
pub(crate) fn counts<'r>(record: &'r RunRecord, stage: &str) -> &'r Counts {
    &record.stage(stage).unwrap_or_else(|| panic!("no stage `{stage}`")).counts
}

/// What was computed, written shortly.
pub(crate) fn work<const N: usize>(kinds: [(&'static str, u64); N]) -> BTreeMap<&'static str, u64> {
    kinds.into()
}
