//! What the runner itself costs a record and stage: three stages that pass their rows on, over many records; computed, found in the
//! store, and with nothing to do. The stages are those of the engine's tests.
//! `cargo bench -p sentinel-core --bench overhead` prints it.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a measurement may panic")]

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/engine/kinds.rs"]
mod kinds;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/engine/project.rs"]
mod project;
#[path = "../tests/engine/texts.rs"]
mod texts;

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::project::Project;

const RECORDS: usize = 10_000;
const STAGES: usize = 3;

const FLOW: &str = "\
version: 1
name: overhead
stages:
  lines: {kind: lines, with: {file: texts.jsonl}}
  first: {kind: pick, needs: {records: lines}, with: {most: 3}}
  second: {kind: pick, needs: {records: first}, with: {most: 2}}
  third: {kind: pick, needs: {records: second}, with: {most: 1}}
";

fn main() {
    let project = Project::new(&texts::texts(RECORDS));
    // What a stage shows of its rows is its own business.
    project.lab.quiet.store(true, Ordering::Relaxed);
    measure(&project, "computed", RECORDS * STAGES);
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    measure(&project, "found", 0);
    measure(&project, "nothing to do", 0);
}

/// Runs the workflow, which must compute so many units, and prints how long it took.
fn measure(project: &Project, how: &str, computed: usize) {
    project.lab.taken();
    let began = Instant::now();
    let record = project.finished(FLOW).record;
    let wall = began.elapsed();
    assert_eq!(project.lab.taken().get("pick").copied().unwrap_or_default(), computed as u64);
    let each = wall.as_secs_f64() * 1e6 / (RECORDS * STAGES) as f64;
    let stages: Vec<String> = record.stages.iter().map(|stage| format!("{} {} ms", stage.id, stage.wall_ms)).collect();
    println!("{how}: {:.0} ms, {each:.1} µs a record and stage ({})", wall.as_secs_f64() * 1e3, stages.join(", "));
}
