//! `sentinel.lock`: what a workflow is made of, and what differs from it.

use std::fs;

use crate::plain::{PLAIN, plain};
use crate::project::Project;
use crate::simulation::growth;
use crate::texts::lines;

fn unlike(project: &Project, flow: &str) -> Vec<String> {
    project.session(flow).unlike_lock().unwrap()
}

fn refused(project: &Project, flow: &str) -> String {
    project.session(flow).unlike_lock().unwrap_err().to_string()
}

#[test]
fn what_differs_is_told_and_nothing_else() {
    let project = Project::new(&plain(12));
    assert!(refused(&project, PLAIN).contains("sentinel.lock` is not there"));
    let path = project.session(PLAIN).lock().unwrap();
    assert_eq!(path, project.path("sentinel.lock"));
    assert_eq!(unlike(&project, PLAIN), [""; 0]);
    assert_eq!(
        unlike(&project, &PLAIN.replace("batch: 4", "batch: 9")),
        [""; 0],
        "what cannot change a result is free"
    );
    assert_eq!(unlike(&project, &PLAIN.replace("most: 2", "most: 1")), ["`with.most` was 2 and is 1 (of `few`)"]);
    assert_eq!(unlike(&project, &format!("{PLAIN}seed: 3\n")), ["`seed` was 0 and is 3"]);
    let renamed = PLAIN.replace("bundle:", "parcel:");
    assert_eq!(unlike(&project, &renamed), ["stage `parcel` is new", "stage `bundle` is gone"]);
    project.write("texts.jsonl", &lines(plain(11)));
    project.lab.version("split", 2, Some("engine 2"));
    let told = unlike(&project, PLAIN);
    assert!(told[0].starts_with("`engine` was ") && told[0].ends_with("(of `words`)"), "{told:?}");
    assert!(told[1].starts_with("`version` was 1 and is 2"), "{told:?}");
    assert!(told[2].starts_with("`with.file` has other content: ") && told[2].ends_with("(of `lines`)"), "{told:?}");
    assert_eq!(told.len(), 3);
    project.session(PLAIN).lock().unwrap();
    assert_eq!(unlike(&project, PLAIN), [""; 0]);
}

#[test]
fn one_file_locks_many_workflows_and_is_hostile_until_read() {
    let project = Project::new(&plain(12));
    project.write("some.jsonl", &lines(plain(3)));
    project.session(PLAIN).lock().unwrap();
    let growth = growth(1, 1, 1);
    assert!(refused(&project, &growth).contains("says nothing of `growth`"));
    project.session(&growth).lock().unwrap();
    assert_eq!((unlike(&project, PLAIN).len(), unlike(&project, &growth).len()), (0, 0));
    let params = "params: {most: {type: int, default: 2}, where: {type: path, default: texts.jsonl}}\n";
    let with_params = format!(
        "{params}{}",
        PLAIN
            .replace("most: 2", "most: \"${{ params.most }}\"")
            .replace("file: texts.jsonl", "file: \"${{ params.where }}\"")
    );
    project.session(&with_params).lock().unwrap();
    assert_eq!(
        unlike(&project, &with_params.replace("default: 2", "default: 3")),
        ["parameter `most` was 2 and is 3", "`with.most` was 2 and is 3 (of `few`)"]
    );
    let text = fs::read_to_string(project.path("sentinel.lock")).unwrap();
    assert!(!text.contains(project.path("").to_str().unwrap()), "no path of this machine is in it");
    for (text, story) in [
        ("{", "is no lock file: EOF"),
        ("[]", "is no lock file: invalid"),
        (&text.replace("\"version\": 1,\n  \"key", "\"version\": 7,\n  \"key"), "its version is 7"),
        (&text.replace("\"key_schema\": 1", "\"key_schema\": 0"), "not comparable (0)"),
    ] {
        project.write("sentinel.lock", text);
        let told = refused(&project, PLAIN);
        assert!(told.contains(story), "{told}");
    }
    project.write("sentinel.lock", "");
    assert!(refused(&project, PLAIN).contains("is not there"), "an empty file marks a root");
}
