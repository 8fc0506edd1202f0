//! Two runs compared: what they were made of, which records came in with what, and which results are other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::cache::kept::{Traced, decode_trace};
use crate::cache::store::Store;
use crate::digest::Digest;
use crate::last;
use crate::lock::Locked;
use crate::report::html;
use crate::report::record::{RunRecord, StageRecord};
use crate::report::wording::{counted, named};
use crate::run::{RunError, write_whole};
use crate::why::of_inputs;

/// Fewer digits of a digest name no run.
const DIGITS_MIN: usize = 4;
/// The folder of pages that compare runs.
const PAGES: &str = "compared";

/// How one run differs from an earlier one, a line a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What they were made of, and what came in.
    pub causes: Vec<String>,
    /// Outputs that are other, as `stage.output`; those of stages only one of them has are left out.
    pub results: Vec<String>,
    /// Outputs that are the same.
    pub same: usize,
}

/// Finds a run: by a workflow's name its last, by `NAME~1` the one before and so on, or by the first digits of its digest.
pub fn find(store: &Store, name: &str) -> Result<RunRecord, RunError> {
    let (workflow, back) = name.split_once('~').unwrap_or((name, "0"));
    let Ok(back) = back.parse::<u32>() else {
        return Err(RunError::Unknown(format!(
            "`{name}` names no run: after `~` stands how many runs before the last"
        )));
    };
    let mut runs = store.runs(Some(workflow), back.saturating_add(1))?;
    if runs.len() as u64 == u64::from(back) + 1 {
        return Ok(runs.remove(back as usize));
    }
    if !runs.is_empty() {
        let kept = counted(runs.len() as u64, "run");
        return Err(RunError::Unknown(format!("`{name}` names no run: {kept} of `{workflow}` came to an end")));
    }
    let all = store.runs(None, u32::MAX)?;
    let is_digest = name.len() >= DIGITS_MIN && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let fitting = all.iter().filter(|run| is_digest && run.digest.to_string().starts_with(&name.to_ascii_lowercase()));
    let digests: BTreeSet<Digest> = fitting.clone().map(|run| run.digest).collect();
    match (digests.len(), fitting.clone().next()) {
        (1, Some(run)) => Ok(run.clone()),
        (0, _) | (_, None) => {
            let names: BTreeSet<&str> = all.iter().map(|run| run.workflow.as_str()).collect();
            Err(crate::session::unknown(&format!("there is no run `{name}`"), name, names.into_iter()))
        }
        (more, _) => Err(RunError::Unknown(format!("`{name}` begins the digests of {more} runs; give more digits"))),
    }
}

/// Says how `now` differs from `was`.
pub fn diff(store: &Store, was: &RunRecord, now: &RunRecord) -> Result<Difference, RunError> {
    let (made, makes) = (Locked::of_run(was, store)?, Locked::of_run(now, store)?);
    let mut causes = made.differences(&makes, &|_, _| None, &|_| false);
    let earlier: BTreeMap<&str, &StageRecord> = was.stages.iter().map(|stage| (stage.id.as_str(), stage)).collect();
    let (mut results, mut same) = (Vec::new(), 0);
    for stage in &now.stages {
        let Some(before) = earlier.get(stage.id.as_str()) else { continue };
        if stage.fingerprint.is_some() && stage.fingerprint == before.fingerprint {
            let lines = of_units(store, before, stage)?;
            causes.extend(lines.into_iter().map(|line| format!("`{}`: {line}", stage.id)));
        }
        for output in &stage.outputs {
            let Some(other) = before.outputs.iter().find(|other| other.name == output.name) else { continue };
            if other.content == output.content {
                same += 1;
            } else {
                results.push(format!("{}.{}", stage.id, output.name));
            }
        }
    }
    Ok(Difference { causes, results, same })
}

/// Writes a page on which two runs can be compared; returns where it is: in `out`, in a folder for such pages.
pub fn page(store: &Store, was: &RunRecord, now: &RunRecord, out: &Path) -> Result<PathBuf, RunError> {
    let shown = |run: &RunRecord| match last::shown(store, run)? {
        Some(model) => Ok(model),
        None => Err(RunError::Unknown(format!(
            "the store no longer has what the report of `{}` {} was made from; run it again",
            run.workflow,
            run.digest.short()
        ))),
    };
    let (before, after) = (shown(was)?, shown(now)?);
    let causes = diff(store, was, now)?.causes;
    let page = html::versus(&before, &after, &causes, &last::pictures(store)?);
    let folder = out.join(PAGES);
    let path = folder.join(format!("{}-{}.html", was.digest.short(), now.digest.short()));
    let written = std::fs::create_dir_all(&folder).and_then(|()| write_whole(&path, page.as_bytes(), &folder));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(RunError::Output { path, source }),
    }
}

/// Says which units of a stage that is what it was are new, are gone, or came in with something else.
fn of_units(store: &Store, was: &StageRecord, now: &StageRecord) -> Result<Vec<String>, RunError> {
    let trace = |stage: &StageRecord| -> Result<Option<Vec<Traced>>, RunError> {
        let Some(trace) = stage.trace.filter(|_| was.trace != now.trace) else { return Ok(None) };
        Ok(store.blob(&trace)?.and_then(|bytes| decode_trace(&bytes)))
    };
    let (Some(before), Some(after)) = (trace(was)?, trace(now)?) else { return Ok(Vec::new()) };
    let keys = |units: &[Traced]| units.iter().map(|unit| unit.key).collect::<BTreeSet<Digest>>();
    let (keys_before, ids_after) =
        (keys(&before), after.iter().map(|unit| (&unit.id, unit.step)).collect::<BTreeSet<_>>());
    let slots: Vec<&str> = now.inputs.iter().map(|input| input.slot.as_str()).collect();
    let mut lines = of_inputs(after.iter().filter(|unit| !keys_before.contains(&unit.key)), &before, &slots);
    let gone = before.iter().filter(|unit| !ids_after.contains(&(&unit.id, unit.step)));
    let gone: BTreeSet<&str> = gone.map(|unit| &*unit.id).collect();
    if !gone.is_empty() {
        lines.push(format!("no longer asked for: {}", named(gone)));
    }
    Ok(lines)
}
