//! Asked to stop twice, nothing is waited for; asked while a pause lasts, nothing is tried again.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sentinel_core::reporter::Reporter;
use sentinel_core::run::{Ending, RunError, Stop};
use sentinel_core::session::RunOptions;

use crate::kinds::{Mood, wait_until};
use crate::plain::{PLAIN, expected, plain};
use crate::project::{During, Project, work};
use crate::results::assert_same;

#[test]
fn asked_twice_a_run_ends_though_a_stage_goes_on() {
    for (kind, done) in [("split", 4), ("page", 2)] {
        let project = Project::new(&plain(12));
        let fine = if kind == "split" { 1 } else { 2 };
        let moods: Vec<Mood> = std::iter::repeat_n(Mood::Fine, fine).chain([Mood::Wait(2)]).collect();
        project.lab.mood(kind, &moods);
        // The stage waits until it is released, and that happens below: a run that waited for it would not come back.
        let error = project.failure(PLAIN);
        assert!(matches!(error, RunError::Aborted), "{error}");
        assert_eq!((error.to_string().as_str(), error.ending()), ("aborted", Ending::Interrupted));
        // A process would have ended with it; here, what is still at work holds the folder.
        project.lab.released.store(true, Ordering::Relaxed);
        let lock = File::open(project.path("runs/plain/.lock")).unwrap();
        wait_until(|| lock.try_lock().is_ok());
        lock.unlock().unwrap();
        project.lab.taken();
        let all = Project::new(&plain(12)).run(PLAIN)[kind];
        assert_eq!(project.run(PLAIN)[kind], all - done, "{kind}: what was done is done");
        assert_same(&project.results("plain"), &expected(&plain(12)));
    }
}

#[test]
fn asked_in_a_pause_a_run_does_not_try_again() {
    let project = Project::new(&plain(12));
    project.lab.mood("split", &[Mood::World]);
    let stop = Stop::default();
    let asked = stop.clone();
    let during: Arc<dyn Reporter> = During::first("Retry {", move || asked.ask());
    let session = project.session(&PLAIN.replace("exec: {batch: 4}", "retries: 100"));
    let error = session.run(&RunOptions::default(), &during, &stop).err().unwrap();
    assert!(matches!(error, RunError::Interrupted), "{error}");
    assert_eq!(project.lab.taken(), work([("lines", 1), ("split", 12)]));
}
