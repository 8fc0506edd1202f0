//! `run`: a workflow, computed as far as it is not in the store; with a `matrix:` every combination of it, one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use quick_junit::TestSuite;
use sentinel_core::report::{pilot, text, wording};
use sentinel_core::reporter::Reporter;
use sentinel_core::run::{RunError, Stop};
use sentinel_core::session::{Finished, RunOptions, Session};
use sentinel_core::workflow::Workflow;
use serde_json::json;

use super::{Desk, Told, ended, fail, load_all, session, shown};
use crate::args::{RunArgs, Shown};
use crate::ci::{self, Notes};
use crate::events::{All, Lines};
use crate::exit::Exit;
use crate::pace::peak_memory;
use crate::printer;
use crate::progress::Progress;

pub(super) fn run(desk: &Desk, args: &RunArgs, verbose: bool) -> Told {
    let workflows = load_all(desk, &args.workflow, args.selection.selection().as_ref(), args.ci)?;
    let is_matrix = workflows.len() > 1;
    let (mut suites, mut reports, mut exits) = (Vec::new(), Vec::new(), Vec::new());
    for workflow in workflows {
        if is_matrix && args.progress() != Shown::None {
            printer::say(&format!("\n{}", workflow.name));
        }
        let exit = match combination(desk, args, verbose, workflow, &mut suites) {
            Ok((exit, finished)) => {
                reports.push(finished.report);
                exit
            }
            Err(exit) => exit,
        };
        exits.push(exit);
        // One that fails does not keep the others from being run.
        if let Exit::Interrupted | Exit::Bug = exit {
            break;
        }
    }
    if is_matrix && args.progress() != Shown::None {
        printer::say(text::side_by_side(&reports).trim_end());
    }
    let failed = exits.iter().find(|exit| !matches!(exit, Exit::Done | Exit::Quarantined));
    Ok(*failed.unwrap_or(if exits.contains(&Exit::Quarantined) { &Exit::Quarantined } else { &Exit::Done }))
}

/// Runs one combination of a workflow.
fn combination(
    desk: &Desk,
    args: &RunArgs,
    verbose: bool,
    workflow: Workflow,
    suites: &mut Vec<TestSuite>,
) -> Result<(Exit, Finished), Exit> {
    let session = session(desk, &args.workflow, workflow)?;
    if args.locked {
        super::lock::check(&session)?;
    }
    let options = RunOptions {
        limit: args.limit,
        fail_on_miss: args.fail_on_miss,
        retry_quarantined: args.retry_quarantined,
        jobs: args.jobs,
    };
    if verbose {
        printer::say(session.plan(&options).map_err(|error| fail(&error))?.to_string().trim_end());
    }
    let (progress, notes) = (Arc::new(Progress::new(args.progress())), Arc::new(Notes::default()));
    let lines = (args.progress() == Shown::Json).then(|| Arc::new(Lines::new()));
    let mut listeners: Vec<Arc<dyn Reporter>> = vec![progress.clone(), notes.clone()];
    listeners.extend(lines.clone().map(|lines| lines as Arc<dyn Reporter>));
    let reporter: Arc<dyn Reporter> = Arc::new(All(listeners));
    let result = session.run(&options, &reporter, &Stop::default());
    progress.close();
    if let Some(lines) = lines {
        lines.line(last_event(session.workflow(), result.as_ref()));
    }
    let told = tell(&session, args, &result);
    suites.push(notes.suite(session.workflow(), result.as_ref()));
    for_ci(&session, args, suites, result.as_ref())?;
    Ok((told?, result.map_err(|error| ended(error.ending()))?))
}

/// Tells how a run ended.
fn tell(session: &Session, args: &RunArgs, result: &Result<Finished, RunError>) -> Told {
    let finished = result.as_ref().map_err(fail)?;
    if args.progress() != Shown::None {
        let places = [
            ("results", shown(&finished.folder)),
            ("report", shown(&finished.folder.join("report.html"))),
            ("store", shown(session.store().folder())),
        ];
        let past = || format!("the run of {} ago:\n", wording::past(finished.record.since()));
        let head = match finished.nothing_to_do {
            true => format!("{}\n\n{}", text::nothing_to_do(&finished.record), past()),
            false => "\n".to_owned(),
        };
        printer::say(&format!("{head}{}", text::text(&finished.report, &places).trim_end()));
        if let Some(estimate) = session.estimate(&finished.record) {
            let peak = peak_memory().filter(|_| !finished.nothing_to_do);
            printer::say(&format!("\n{}", pilot::lines(&estimate, peak).trim_end()));
        }
    }
    Ok(if finished.record.quarantined() > 0 { Exit::Quarantined } else { Exit::Done })
}

/// Writes what continuous integration reads.
fn for_ci(
    session: &Session,
    args: &RunArgs,
    suites: &[TestSuite],
    result: Result<&Finished, &RunError>,
) -> Result<(), Exit> {
    let workflow = session.workflow();
    let wrote = |what: &str, path: &PathBuf, wrote: std::io::Result<()>| {
        wrote.map_err(|error| {
            printer::say(&format!("error: the {what} `{}` cannot be written: {error}", path.display()));
            Exit::Failed
        })
    };
    if let (true, Err(error)) = (args.ci, result) {
        printer::data(&ci::annotation(error))?;
    }
    let of_github = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| args.ci).map(PathBuf::from);
    for path in args.summary.iter().chain(&of_github) {
        wrote("summary", path, ci::summary(result, workflow, path))?;
    }
    match &args.junit {
        Some(path) => wrote("JUnit file", path, ci::junit(suites, path)),
        None => Ok(()),
    }
}

fn last_event(workflow: &Workflow, result: Result<&Finished, &RunError>) -> serde_json::Value {
    match result {
        Ok(finished) => json!({
            "event": "finished", "workflow": workflow.name, "folder": finished.folder, "quarantined": finished.record.quarantined(),
            "nothing_to_do": finished.nothing_to_do, "peak_memory_bytes": peak_memory(),
        }),
        Err(error) => {
            let exit_code = ended(error.ending()) as i32;
            json!({ "event": "failed", "workflow": workflow.name, "error": error.to_string(), "exit_code": exit_code })
        }
    }
}
