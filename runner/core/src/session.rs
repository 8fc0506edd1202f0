//! The door: a workflow with its store, and what can be done with the two. `run`, `plan` and `why` look at the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::cache::files::UserFiles;
use crate::cache::kept::{Artifact, encode_trace};
use crate::cache::store::{STORE_FOLDER, Store, StoreError};
use crate::diag::advice;
use crate::digest::Digest;
use crate::last;
use crate::lock::{self, Locked};
use crate::plan::Plan;
use crate::report::model::ReportModel;
use crate::report::pilot::{self, Estimate};
use crate::report::record::{
    Counts, InputRecord, OutputRecord, QUARANTINE_TOLD_MAX, RECORD_VERSION, RunRecord, StageRecord, When,
};
use crate::report::{collect, html};
use crate::reporter::{Event, Reporter, Silent};
use crate::run::again::{self, Again, Repeated, Repeats};
use crate::run::context::{Context, OnMiss};
use crate::run::error::lost;
use crate::run::node::{STATE, Told};
use crate::run::prepare::{PreparedNode, prepare, run_digest};
use crate::run::publish::{Published, Publisher, REPORT, is_whole};
use crate::run::schedule::{Results, execute};
use crate::run::{RunError, Stop};
use crate::stage::Work;
use crate::why;
use crate::workflow::paths::Roots;
use crate::workflow::{Need, NodeWork, Origin, Registry, Workflow};

/// A workflow with its store.
pub struct Session {
    workflow: Arc<Workflow>,
    prepared: Arc<Vec<PreparedNode>>,
    store: Arc<Store>,
    files: Arc<UserFiles>,
    /// Where this workflow's results appear.
    folder: PathBuf,
}

/// How a run is done; nothing of it can change a result but `limit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Lets only so many records out of stages that need none: a pilot, whose units the whole run reuses.
    pub limit: Option<u64>,
    /// Ends at the first unit that would have to be computed.
    pub fail_on_miss: bool,
    /// Tries units again that were set aside in earlier runs.
    pub retry_quarantined: bool,
    /// Stages that work at the same time at most; by default all that can.
    pub jobs: Option<NonZeroUsize>,
}

/// How what is kept is verified.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions {
    /// Units of each stage that are computed again at most.
    pub units: usize,
    /// Numbers that differ by so much of the greater one count as equal.
    pub tolerance: f64,
}

/// A run that came to its end.
pub struct Finished {
    /// What ran, and what came of it.
    pub record: RunRecord,
    /// What its report shows.
    pub report: ReportModel,
    /// Where its results are.
    pub folder: PathBuf,
    /// Whether everything was there already.
    pub nothing_to_do: bool,
}

/// Returns the store a workflow uses unless another is named.
pub fn default_store(roots: &Roots) -> PathBuf {
    roots.own().join(STORE_FOLDER)
}

impl Session {
    /// Opens a workflow's store and makes every stage's fingerprint, for which it reads the files they depend on. `out` is the
    /// folder in which every workflow has a folder of its own.
    pub fn open(workflow: Workflow, registry: &Registry<'_>, store: &Path, out: &Path) -> Result<Self, RunError> {
        let store = Arc::new(Store::open(store)?);
        let files = Arc::new(UserFiles::new(workflow.roots.clone(), store.clone()));
        let ends = registry.kinds.iter().filter_map(|kind| Some((kind.name, kind.ends_loop?)));
        let ends: BTreeMap<_, _> = ends.collect();
        let prepared = prepare(&workflow, &ends, &files).map_err(|(stage, error)| RunError::Stage { stage, error })?;
        let folder = out.join(&workflow.name);
        Ok(Self { workflow: Arc::new(workflow), prepared: Arc::new(prepared), store, files, folder })
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the workflow.
    pub fn workflow(&self) -> &Workflow {
        &self.workflow
    }

    /// Returns where results appear.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the workflow. Blocks until it is done, failed or stopped; SIGINT, SIGTERM and SIGHUP ask it to stop.
    pub fn run(&self, options: &RunOptions, reporter: &Arc<dyn Reporter>, stop: &Stop) -> Result<Finished, RunError> {
        let began = Instant::now();
        let digest = run_digest(&self.workflow, &self.prepared, options.limit);
        if let Some(finished) = self.nothing_to_do(&digest, options)? {
            reporter.hear(&Event::NothingToDo { run: &finished.record });
            return Ok(finished);
        }
        self.store.work()?;
        let publisher = Arc::new(Publisher::open(&self.folder)?);
        publisher.forget_set_aside();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        reporter.hear(&Event::Started { stages: self.workflow.nodes.iter().map(|node| node.id.as_str()).collect() });
        let on_miss = if options.fail_on_miss { OnMiss::Fail } else { OnMiss::Compute };
        let context = self.context(options, on_miss, reporter.clone(), stop.clone());
        let done = self.healing(&context, || {
            let results = execute(&context, &self.prepared, Some(publisher.clone()))?;
            let record = self.record(digest, (started, began), results)?;
            let report = collect::collect(&self.workflow, &record, &self.store, &self.files)?;
            Ok((record, report))
        });
        let (mut record, report) = done.map_err(|error| listed(&publisher, error))?;
        record.wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = ReportModel { run: record.clone(), ..report };
        publisher.finish(&record, &self.html(&report), &self.workflow.left_alone)?;
        self.store.keep_run(&record, &serde_json::to_string(&report).expect("a report is JSON"))?;
        Ok(Finished { record, report, folder: self.folder.clone(), nothing_to_do: false })
    }

    /// Does something with what is kept; does it again if some of that turned out damaged. It is removed by then, so that the next
    /// look misses it, and it is computed anew. The same loss twice is no damage.
    fn healing<T>(&self, context: &Context, work: impl Fn() -> Result<T, RunError>) -> Result<T, RunError> {
        let mut known = BTreeSet::new();
        loop {
            let result = work();
            context.pass_warnings();
            let loss = result.as_ref().err().and_then(lost).filter(|_| !context.stop.is_asked());
            if !loss.is_some_and(|loss| known.insert(loss)) {
                return result;
            }
            context.failed.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the record of a run of the same, after which nothing is left to compute.
    fn done_before(&self, digest: &Digest, options: &RunOptions) -> Result<Option<RunRecord>, StoreError> {
        let record = self.store.run_of(&self.workflow.name, digest)?;
        Ok(record.filter(|record| !options.retry_quarantined || record.quarantined() == 0))
    }

    /// Answers from one digest if everything is there and whole.
    fn nothing_to_do(&self, digest: &Digest, options: &RunOptions) -> Result<Option<Finished>, RunError> {
        let Some(record) = self.done_before(digest, options)? else { return Ok(None) };
        if !is_whole(&self.folder, &record, &self.files) {
            tracing::debug!(folder = %self.folder.display(), "results are no longer whole, and put there again");
            return Ok(None);
        }
        self.files.remember();
        let Some(report) = self.store.report(&self.workflow.name, digest)? else { return Ok(None) };
        let report = serde_json::from_str(&report).map_err(|error| {
            tracing::debug!(%error, "the report is of another version, and made again");
        });
        let Ok(report) = report else { return Ok(None) };
        Ok(Some(Finished { record, report, folder: self.folder.clone(), nothing_to_do: true }))
    }

    /// Says what a run would compute; computes nothing.
    pub fn plan(&self, options: &RunOptions) -> Result<Plan, RunError> {
        let digest = run_digest(&self.workflow, &self.prepared, options.limit);
        if let Some(record) = self.done_before(&digest, options)? {
            return Ok(Plan::of_done(&self.workflow, &record));
        }
        let context = self.context(options, OnMiss::Tell, Arc::new(Silent), Stop::default());
        self.healing(&context, || {
            let results = execute(&context, &self.prepared, None)?;
            Plan::of(&self.workflow, &self.prepared, &self.store, results)
        })
    }

    /// Says why a stage, or one record of it, would have to be computed; a line a reason.
    pub fn why(&self, stage: &str, record: Option<&str>) -> Result<Vec<String>, RunError> {
        let context = self.context(&RunOptions::default(), OnMiss::Tell, Arc::new(Silent), Stop::default());
        self.healing(&context, || {
            let results = execute(&context, &self.prepared, None)?;
            why::why(&self.workflow, &self.prepared, &self.store, results, stage, record)
        })
    }

    /// Writes down what the workflow is made of; returns where.
    pub fn lock(&self) -> Result<PathBuf, RunError> {
        lock::write(&self.workflow, Locked::of(&self.workflow, &self.prepared))
    }

    /// Says how the workflow differs from what is written down.
    pub fn unlike_lock(&self) -> Result<Vec<String>, RunError> {
        lock::check(&self.workflow, &Locked::of(&self.workflow, &self.prepared))
    }

    /// Computes some of what is kept again and compares: of the named stages, or else of all but those that work on everything at
    /// once on the device, as training does.
    pub fn verify(
        &self,
        stages: &[String],
        options: &VerifyOptions,
        reporter: &Arc<dyn Reporter>,
        stop: &Stop,
    ) -> Result<Repeats, RunError> {
        let told = execute(
            &self.context(&RunOptions::default(), OnMiss::Tell, Arc::new(Silent), stop.clone()),
            &self.prepared,
            None,
        )?;
        let told: Vec<&Told> =
            told.iter().flat_map(|(told, _)| told).filter(|told| told.fingerprint.is_some()).collect();
        if let Some(stage) = stages.iter().find(|stage| told.iter().all(|told| told.id != **stage)) {
            let names = told.iter().map(|told| told.id.as_str());
            return Err(unknown(&format!("there is no stage `{stage}` that computes"), stage, names));
        }
        let (mut repeats, mut keys) = (Repeats::new(), BTreeSet::new());
        for told in told {
            let stage = &self.workflow.stage(&told.id).expect("what has a fingerprint is a stage").stage;
            let is_long = matches!(stage.work(), Work::Whole(_)) && stage.uses_device();
            let is_asked = if stages.is_empty() { !is_long } else { stages.contains(&told.id) };
            if is_asked {
                let missed: BTreeSet<usize> = told.tally.missed.iter().copied().collect();
                let kept = told.tally.trace.iter().enumerate().filter(|(place, _)| !missed.contains(place));
                let kept: Vec<Digest> = kept.map(|(_, unit)| unit.key).collect();
                keys.extend(again::sample(kept.iter(), options.units));
                repeats.insert(told.id.clone(), Repeated { kept: kept.len() as u64, ..Repeated::default() });
            }
        }
        let again =
            Again { keys, tolerance: options.tolerance, here: Store::this_platform(), compared: Mutex::default() };
        let bare = self.bare_context(&RunOptions::default(), OnMiss::Tell, reporter.clone(), stop.clone());
        let context = Arc::new(Context { again: Some(again), ..bare });
        execute(&context, &self.prepared, None)?;
        let compared =
            context.again.as_ref().map(|again| std::mem::take(&mut *again.compared.lock().expect("no holder panics")));
        for compared in compared.unwrap_or_default() {
            let repeated = repeats.entry(compared.stage.clone()).or_default();
            repeated.again += 1;
            if compared.difference.is_some() {
                repeated.differing.push(compared);
            }
        }
        Ok(repeats)
    }

    /// Says what the whole would take, by the record of a pilot; `None` of a run that was none.
    pub fn estimate(&self, run: &RunRecord) -> Option<Estimate> {
        let is_whole =
            |id: &str| self.workflow.stage(id).is_none_or(|found| matches!(found.stage.work(), Work::Whole(_)));
        pilot::estimate(run, &is_whole)
    }

    /// Makes the report of the last run anew; returns where it is.
    pub fn report(&self) -> Result<PathBuf, RunError> {
        let record = last::record(&self.store, &self.workflow.name)?;
        let model = collect::collect(&self.workflow, &record, &self.store, &self.files)?;
        Publisher::open(&self.folder)?.text(REPORT, &self.html(&model))?;
        Ok(self.folder.join(REPORT))
    }

    fn html(&self, model: &ReportModel) -> String {
        html::html(model, &|digest| self.files.content(&digest).ok())
    }

    fn context(&self, options: &RunOptions, on_miss: OnMiss, reporter: Arc<dyn Reporter>, stop: Stop) -> Arc<Context> {
        Arc::new(self.bare_context(options, on_miss, reporter, stop))
    }

    fn bare_context(&self, options: &RunOptions, on_miss: OnMiss, reporter: Arc<dyn Reporter>, stop: Stop) -> Context {
        let (workflow, store, files) = (self.workflow.clone(), self.store.clone(), self.files.clone());
        Context {
            retry_quarantined: options.retry_quarantined,
            limit: options.limit,
            jobs: options.jobs.map_or(usize::MAX, NonZeroUsize::get),
            ..Context::new(workflow, store, files, reporter, stop, on_miss)
        }
    }

    /// Makes the record of a run that began at a time, of both clocks; how long it took is filled in at its very end.
    fn record(
        &self,
        digest: Digest,
        (started, began): (u64, Instant),
        results: Results,
    ) -> Result<RunRecord, RunError> {
        let mut flowed: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for told in results.iter().flat_map(|(told, _)| told) {
            for (port, artifact) in &told.outputs {
                let size = artifact.as_ref().map_or((0, 0), Artifact::size);
                flowed.insert((told.id.clone(), port.name.clone()), size);
            }
            if let Some(states) = &told.states {
                flowed.insert((told.id.clone(), STATE.into()), states.size());
            }
        }
        let needs = needs_by_id(&self.workflow);
        let (mut stages, mut quarantine) = (Vec::new(), Vec::new());
        for (told, published) in results {
            // Only the node itself is published; its body's stages are in the store.
            let mut published = Some(published);
            for mut told in told {
                let room = QUARANTINE_TOLD_MAX.saturating_sub(quarantine.len());
                // In a loop, units come in the order in which records happen to be under way.
                told.tally.trace.sort_by(|a, b| (&a.id, a.step).cmp(&(&b.id, b.step)));
                told.tally.quarantined.sort_by(|a, b| (&a.record, a.step).cmp(&(&b.record, b.step)));
                quarantine.extend(told.tally.quarantined.drain(..).take(room));
                let inputs = inputs(&needs[&told.id], &told.id, &flowed);
                stages.push(self.stage_record(told, inputs, published.take().unwrap_or_default(), began)?);
            }
        }
        Ok(RunRecord {
            version: RECORD_VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            workflow: self.workflow.name.clone(),
            seed: self.workflow.seed,
            params: self.workflow.told_params(),
            digest,
            started,
            wall_ms: 0,
            stages,
            skipped: self.workflow.skipped.iter().map(|one| (one.id.clone(), one.because.clone())).collect(),
            quarantine,
        })
    }

    fn stage_record(
        &self,
        told: Told,
        inputs: Vec<InputRecord>,
        mut published: Published,
        began: Instant,
    ) -> Result<StageRecord, StoreError> {
        let mut outputs = Vec::new();
        for (port, artifact) in told.outputs {
            let Some(artifact) = artifact else { continue };
            let (records, rows) = artifact.size();
            outputs.push(OutputRecord {
                files: published.remove(&port.name).unwrap_or_default(),
                name: port.name,
                kind: port.kind.into(),
                form: port.form,
                records,
                rows,
                content: artifact.digest(),
                listing: self.store.put_blob(&artifact.encode())?,
            });
        }
        let states = told.states.map(|states| self.store.put_blob(&states.encode())).transpose()?;
        let trace = told.fingerprint.map(|_| self.store.put_blob(&encode_trace(&told.tally.trace))).transpose()?;
        let counts: Counts = told.tally.counts;
        let since = |at: Instant| u64::try_from((at - began).as_millis()).unwrap_or(u64::MAX);
        let when = told.tally.when.map(|(first, last)| When { began_ms: since(first), ended_ms: since(last) });
        Ok(StageRecord {
            id: told.id,
            kind: told.kind,
            fingerprint: told.fingerprint,
            inputs,
            outputs,
            counts,
            wall_ms: told.tally.wall_ms,
            when,
            trace,
            states,
        })
    }
}

/// Writes down what was set aside, if a run fails because that is too much.
fn listed(publisher: &Publisher, error: RunError) -> RunError {
    match error {
        RunError::Quarantine(mut too_many) => match publisher.set_aside(&too_many.told) {
            Ok(list) => {
                too_many.list = Some(list);
                RunError::Quarantine(too_many)
            }
            Err(error) => error,
        },
        error => error,
    }
}

fn inputs(needs: &[&Need], id: &str, flowed: &BTreeMap<(String, String), (u64, u64)>) -> Vec<InputRecord> {
    let needs = needs.iter().filter(|need| !need.slot.is_empty());
    needs
        .map(|need| {
            let from = maker(&need.from, id);
            let (records, rows) = flowed.get(&from).copied().unwrap_or_default();
            InputRecord { slot: need.slot.clone(), from, records, rows }
        })
        .collect()
}

/// Returns the needs of every node and body stage, by its full id.
pub(crate) fn needs_by_id(workflow: &Workflow) -> BTreeMap<String, Vec<&Need>> {
    let mut needs = BTreeMap::new();
    for node in &workflow.nodes {
        needs.insert(node.id.clone(), node.needs.iter().collect());
        if let NodeWork::Loop(inner) = &node.work {
            for member in &inner.body {
                needs.insert(format!("{}/{}", node.id, member.id), member.needs.iter().collect());
            }
        }
    }
    needs
}

/// Returns the full id and the output from which the stage `id` reads.
pub(crate) fn maker(from: &Origin, id: &str) -> (String, String) {
    match (from, id.split_once('/')) {
        (Origin::Sibling { node, output }, Some((around, _))) => (format!("{around}/{node}"), output.clone()),
        (Origin::LoopState, Some((around, _))) => (around.to_owned(), STATE.to_owned()),
        (Origin::Sibling { node, output } | Origin::Outside { node, output }, _) => (node.clone(), output.clone()),
        (Origin::LoopState, None) => unreachable!("only a loop's body reads its state"),
    }
}

/// Says that a name is not known, with the nearest that is.
pub(crate) fn unknown<'n>(story: &str, name: &str, names: impl Iterator<Item = &'n str>) -> RunError {
    let names: Vec<&str> = names.collect();
    RunError::Unknown(format!("{story}; {}", advice(name, "there are", names.into_iter())))
}
