//! When stages were at work, as the record of a run tells it.

use sentinel_core::last::LastRun;
use sentinel_core::report::record::{RunRecord, When};

use crate::plain::{PLAIN, plain};
use crate::project::Project;
use crate::results::project as growing;
use crate::simulation::growth;

fn when(record: &RunRecord, stage: &str) -> When {
    record.stage(stage).unwrap().when.unwrap_or_else(|| panic!("`{stage}` has no time"))
}

#[test]
fn a_stage_begins_after_what_it_needs_and_a_body_is_at_work_within_its_loop() {
    let project = Project::new(&plain(12));
    let record = project.finished(PLAIN).record;
    for stage in &record.stages {
        let own = when(&record, &stage.id);
        assert!(own.began_ms <= own.ended_ms && own.ended_ms <= record.wall_ms, "{stage:?}");
        for input in &stage.inputs {
            assert!(when(&record, &input.from.0).ended_ms <= own.began_ms, "{stage:?}");
        }
    }
    let (project, _) = growing();
    let record = project.finished(&growth(3, 7, 2)).record;
    let around = when(&record, "growth");
    for inner in record.stages.iter().filter(|stage| stage.id.starts_with("growth/")) {
        let own = when(&record, &inner.id);
        assert!(around.began_ms <= own.began_ms && own.ended_ms <= around.ended_ms, "{own:?} {around:?}");
    }
}

#[test]
fn a_record_from_before_times_were_told_is_read() {
    let project = Project::new(&plain(12));
    let record = project.finished(PLAIN).record;
    let mut old = serde_json::to_value(&record).unwrap();
    old["stages"].as_array_mut().unwrap().iter_mut().for_each(|stage| {
        stage.as_object_mut().unwrap().remove("when").unwrap();
    });
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    index.execute("UPDATE runs SET record = ?1", [old.to_string()]).unwrap();
    let last = LastRun::find(&project.path("store"), "plain", &project.path("runs")).unwrap();
    let mut timeless = record;
    timeless.stages.iter_mut().for_each(|stage| stage.when = None);
    assert_eq!(*last.record(), timeless);
    assert!(project.finished(PLAIN).nothing_to_do, "its results are taken");
}
