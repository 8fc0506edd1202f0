//! What continuous integration reads of a run: GitHub annotations, a Markdown summary, a JUnit file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use sentinel_core::diag::render;
use sentinel_core::report::markdown::markdown;
use sentinel_core::report::record::Counts;
use sentinel_core::reporter::{Event, Reporter};
use sentinel_core::run::{Outcome, RunError, TooMany, write_whole};
use sentinel_core::session::Finished;
use sentinel_core::workflow::{Workflow, node_of};

/// Notes what stages did, for the JUnit file of a run that fails as well.
#[derive(Default)]
pub(crate) struct Notes(Mutex<BTreeMap<String, Done>>);

struct Done {
    counts: Counts,
    wall_ms: u64,
}

impl Reporter for Notes {
    fn hear(&self, event: &Event<'_>) {
        if let Event::StageFinished { stage, counts, wall_ms, .. } = event {
            let done = Done { counts: (*counts).clone(), wall_ms: *wall_ms };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((*stage).to_owned(), done);
        }
    }
}

impl Notes {
    /// Returns a run as JUnit's suite: a case a stage. A stage the run did not come to is skipped.
    pub(crate) fn suite(&self, workflow: &Workflow, result: Result<&Finished, &RunError>) -> TestSuite {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut suite = TestSuite::new(workflow.name.as_str());
        let failed = result.err().map(|error| (stage(error), error.to_string()));
        for node in &workflow.nodes {
            suite.add_test_case(case(&node.id, notes.get(&node.id), &result, failed.as_ref()));
        }
        // What no stage is to blame for is a case of its own.
        if let Some((None, story)) = &failed {
            suite.add_test_case(TestCase::new("run", failure(story)));
        }
        suite
    }
}

/// Writes a JUnit file: a suite a run.
pub(crate) fn junit(suites: &[TestSuite], path: &Path) -> io::Result<()> {
    let mut report = Report::new("sentinel");
    report.add_test_suites(suites.iter().cloned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_whole(path, report.to_string().map_err(io::Error::other)?.as_bytes(), folder)
}

/// Writes a JUnit file of a workflow's tests.
pub(crate) fn tests_junit(name: &str, outcomes: &[Outcome], path: &Path) -> io::Result<()> {
    let mut suite = TestSuite::new(name);
    for Outcome { name, failure: story, .. } in outcomes {
        let status = story.as_ref().map_or_else(TestCaseStatus::success, |story| failure(story));
        suite.add_test_case(TestCase::new(name.as_str(), status));
    }
    junit(&[suite], path)
}

fn case(
    id: &str,
    done: Option<&Done>,
    result: &Result<&Finished, &RunError>,
    failed: Option<&(Option<String>, String)>,
) -> TestCase {
    let blamed = failed.filter(|(stage, _)| stage.as_deref() == Some(id));
    let status = match (blamed, done, result) {
        (Some((_, story)), _, _) => failure(story),
        (None, Some(_), _) | (None, None, Ok(_)) => TestCaseStatus::success(),
        (None, None, Err(_)) => TestCaseStatus::skipped(),
    };
    let mut case = TestCase::new(id, status);
    let counts = match (done, result) {
        (Some(done), _) => {
            case.set_time(Duration::from_millis(done.wall_ms));
            Some(&done.counts)
        }
        (None, Ok(finished)) => finished.record.stage(id).map(|stage| &stage.counts),
        (None, Err(_)) => None,
    };
    if let Some(counts) = counts {
        let aside: u64 = counts.quarantined.values().sum();
        case.set_system_out(format!(
            "{} units, {} from the store, {} computed, {aside} set aside",
            counts.units, counts.hits, counts.computed
        ));
    }
    case
}

fn failure(story: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(story);
    status
}

/// Returns the stage that is to blame, by the id of its node.
fn stage(error: &RunError) -> Option<String> {
    let id = match error {
        RunError::Stage { stage, .. } | RunError::Miss { stage, .. } | RunError::Quarantine(TooMany { stage, .. }) => {
            stage
        }
        RunError::Fault(unit) => &unit.stage,
        _ => return None,
    };
    Some(node_of(id).to_owned())
}

/// Returns a failure as a GitHub annotation.
pub(crate) fn annotation(error: &RunError) -> String {
    let title = stage(error).map_or_else(|| "run".to_owned(), |stage| format!("stage {stage}"));
    render::github_error(&title, &error.to_string())
}

/// Appends the Markdown summary of a run to a file, as GitHub's jobs do it.
pub(crate) fn summary(result: Result<&Finished, &RunError>, workflow: &Workflow, path: &Path) -> io::Result<()> {
    let text = match result {
        Ok(finished) => markdown(&finished.report),
        Err(error) => {
            let quoted: String = error.to_string().lines().map(|line| format!("    {line}\n")).collect();
            format!("## {}: failed\n\n{quoted}", workflow.name)
        }
    };
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}
