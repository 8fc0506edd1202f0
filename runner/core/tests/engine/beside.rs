//! Two runs at once: never in one folder of results; on one store as many as there are.

use std::sync::{Arc, Barrier, Mutex};

use sentinel_core::cache::verify::Verified;
use sentinel_core::reporter::{Reporter, Silent};
use sentinel_core::run::{Ending, Stop};
use sentinel_core::session::RunOptions;

use crate::plain::{PLAIN, expected, plain};
use crate::project::{During, Project};
use crate::results::{assert_same, project as growing};
use crate::simulation::growth;

#[test]
fn a_second_run_in_one_folder_is_refused_and_breaks_nothing() {
    let project = Project::new(&plain(12));
    let (first, second) = (project.session(PLAIN), project.session(PLAIN));
    let refused = Arc::new(Mutex::new(None));
    let refusal = refused.clone();
    let during: Arc<dyn Reporter> = During::first("StageStarted { stage: \"few\"", move || {
        let silent: Arc<dyn Reporter> = Arc::new(Silent);
        *refusal.lock().unwrap() = second.run(&RunOptions::default(), &silent, &Stop::default()).err();
    });
    let finished = first.run(&RunOptions::default(), &during, &Stop::default());
    assert!(!finished.unwrap_or_else(|error| panic!("{error}")).nothing_to_do);
    let error = refused.lock().unwrap().take().unwrap();
    let folder = project.path("runs/plain");
    let story = format!("another run writes to `{}`; `--out` chooses another place", folder.display());
    assert_eq!((error.to_string(), error.ending()), (story, Ending::Failed));
    assert_same(&project.results("plain"), &expected(&plain(12)));
    assert!(project.finished(PLAIN).nothing_to_do);
}

#[test]
fn two_runs_share_a_store_and_give_the_same() {
    for (in_flight, batch) in [(64, 64), (1, 1), (3, 7)] {
        let ((one, simulated), (other, _)) = (growing(), growing());
        let start = Barrier::new(2);
        let run = |project: &Project, batch| {
            let silent: Arc<dyn Reporter> = Arc::new(Silent);
            let store = one.path("store");
            start.wait();
            let session = project.open_in(&growth(in_flight, batch, 2), &store);
            let session = session.unwrap_or_else(|error| panic!("{error}"));
            session.run(&RunOptions::default(), &silent, &Stop::default()).unwrap_or_else(|error| panic!("{error}"));
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run(&one, batch));
            scope.spawn(|| run(&other, batch + 2));
        });
        assert_same(&one.results("growth"), &simulated.results);
        assert_same(&other.results("growth"), &simulated.results);
        let session = one.session(&growth(64, 64, 1));
        assert!(session.plan(&RunOptions::default()).unwrap().is_all_cached());
        let Verified { entries_damaged, blobs_damaged, .. } = session.store().verify().unwrap();
        assert_eq!((entries_damaged, blobs_damaged), (0, 0));
    }
}
