//! Where a run cannot write, it says so by the place, breaks nothing, and goes on when the way is free.

use std::fs;

use sentinel_core::run::Ending;

use crate::plain::{PLAIN, expected, plain};
use crate::project::Project;
use crate::results::assert_same;

/// What stands in the way, and how the error begins; `{}` is the project's folder. With a `/` at its end it is a folder where a
/// file should be, else a file where a folder should be. Permissions would not do: who may do everything is not hindered by them.
const CASES: &[(&str, &str)] = &[
    ("runs", "cannot write `{}/runs/plain`: "),
    ("runs/plain", "cannot write `{}/runs/plain`: "),
    ("runs/plain/.lock/", "cannot write `{}/runs/plain`: "),
    ("runs/plain/.aside", "cannot write `{}/runs/plain/lines/texts.jsonl`: "),
    ("runs/plain/words", "cannot write `{}/runs/plain/words/words.jsonl`: "),
    ("runs/plain/words/words.jsonl/", "cannot write `{}/runs/plain/words/words.jsonl`: "),
    ("runs/plain/bundle", "cannot write `{}/runs/plain/bundle/bundle`: "),
    ("runs/plain/run.json/", "cannot write `{}/runs/plain/run.json`: "),
    ("runs/plain/report.html/", "cannot write `{}/runs/plain/report.html`: "),
    ("store", "the store `{}/store` cannot be used: "),
    ("store/v1", "the store `{}/store` cannot be used: "),
    ("store/v1/tmp", "the store `{}/store` cannot be used: "),
    ("store/v1/blobs", "the store `{}/store` cannot be used: "),
    ("store/v1/index.db/", "the index of the store `{}/store`"),
    ("store/v1/checkpoints", "stage `bundle`: `{}/store/v1/checkpoints`: "),
];

#[test]
fn what_stands_in_the_way_is_named() {
    for (place, story) in CASES {
        let project = Project::new(&plain(12));
        match place.strip_suffix('/') {
            Some(folder) => project.write(&format!("{folder}/theirs"), "theirs"),
            None => project.write(place, "theirs"),
        }
        let error = project.failure(PLAIN);
        let story = story.replace("{}", project.path("").to_str().unwrap().trim_end_matches('/'));
        assert!(error.to_string().starts_with(&story), "{place}: {error}");
        assert!(error.to_string().len() > story.len(), "{place}: {error}");
        assert_eq!(error.ending(), Ending::Failed, "{place}");
        let theirs = project.path(place);
        match place.ends_with('/') {
            true => {
                assert_eq!(fs::read_to_string(theirs.join("theirs")).unwrap(), "theirs", "{place}");
                fs::remove_dir_all(theirs).unwrap();
            }
            false => {
                assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs", "{place}");
                fs::remove_file(theirs).unwrap();
            }
        }
        project.run(PLAIN);
        assert_same(&project.results("plain"), &expected(&plain(12)));
    }
}
