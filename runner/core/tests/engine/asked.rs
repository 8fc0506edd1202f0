//! The rows of a run, asked for by name.

use std::path::Path;
use std::sync::Arc;

use sentinel_core::artifact::Rows;
use sentinel_core::last::{Content, LastRun};

use crate::plain::{PLAIN, expected, plain};
use crate::project::Project;
use crate::results::project as growing;
use crate::simulation::growth;
use crate::texts::lines;

fn last(project: &Project, workflow: &str) -> Result<LastRun, String> {
    let found = LastRun::find(&project.path("store"), workflow, Path::new("runs"));
    found.map_err(|error| error.to_string())
}

fn read(last: &LastRun, output: &str) -> Result<Vec<Arc<Rows>>, String> {
    match last.content(output).map_err(|error| error.to_string())? {
        Content::Units(units) => Ok(units.iter().map(|unit| unit.unwrap().rows).collect()),
        Content::Text(text) => Err(text),
    }
}

fn text(units: &[Arc<Rows>]) -> String {
    units.iter().flat_map(|unit| unit.iter()).map(|row| format!("{row}\n")).collect()
}

#[test]
fn rows_are_those_of_the_results() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    std::fs::remove_file(project.path("texts.jsonl")).unwrap();
    let last = last(&project, "plain").unwrap();
    let expected = expected(&plain(12));
    for (output, file) in [
        ("lines", "lines/texts.jsonl"),
        ("words", "words/words.jsonl"),
        ("words.words", "words/words.jsonl"),
        ("words.dropped", "words/dropped.jsonl"),
        ("few.records", "few/records.jsonl"),
        ("totals", "totals/totals.jsonl"),
    ] {
        let units = read(&last, output).unwrap();
        assert_eq!(units.len(), 12, "{output}: a unit a record");
        assert_eq!(text(&units), expected[file], "{output}");
    }
}

#[test]
fn rows_of_a_body_come_step_by_step() {
    let (project, expected) = growing();
    let flow = growth(3, 7, 2);
    project.run(&flow);
    let last = last(&project, "growth").unwrap();
    let units = read(&last, "growth/words").unwrap();
    let Content::Units(told) = last.content("growth/words").unwrap() else { panic!("rows were expected") };
    let told: Vec<(String, u32)> =
        told.iter().map(|unit| unit.unwrap()).map(|unit| (unit.id.to_string(), unit.step)).collect();
    let simulated: Vec<_> = expected.words.iter().map(|(id, step, _)| (id.clone(), *step)).collect();
    assert_eq!(told, simulated);
    let simulated: Vec<String> = expected.words.iter().map(|(_, _, words)| lines(words)).collect();
    assert_eq!(units.iter().map(|unit| text(std::slice::from_ref(unit))).collect::<Vec<_>>(), simulated);
}

#[test]
fn what_is_not_there_has_a_neighbour() {
    let project = Project::new(&plain(12));
    assert!(last(&project, "plain").err().unwrap().starts_with("`plain` has not run yet: there is no store at `"));
    project.run(PLAIN);
    assert_eq!(last(&project, "plan").err().unwrap(), "`plan` has not run yet");
    let last = last(&project, "plain").unwrap();
    let files =
        "`count.txt`, `letters/f.txt`, `letters/o.txt` and 1 more; `bundle.bundle/count.txt` prints one of them";
    let text = &expected(&plain(12))["bundle/bundle/letters/f.txt"];
    for (output, story) in [
        ("wrods", "the last run has no stage `wrods`; did you mean `words`?"),
        ("something", "the last run has no stage `something`; there are `lines`, `words`, `few`, `totals`, `bundle`"),
        (
            "growth/words",
            "the last run has no stage `growth/words`; there are `lines`, `words`, `few`, `totals`, `bundle`",
        ),
        ("", "the last run has no stage ``; there are `lines`, `words`, `few`, `totals`, `bundle`"),
        ("words.droped", "`words` has no output `droped`; did you mean `dropped`?"),
        ("words.totals", "`words` has no output `totals`; there are `words`, `dropped`"),
        ("words.", "`words` has no output ``; there are `words`, `dropped`"),
        ("bundle", &format!("`bundle.bundle` is 4 files in `runs/plain/bundle/bundle`: {files}")),
        ("bundle.bundle/letters/f.txt", text),
        ("bundle.bundle/letter/f.txt", "`bundle.bundle` has no file `letter/f.txt`; did you mean `letters/f.txt`?"),
        ("words.words/f.txt", "`words.words` is records, and holds no files"),
    ] {
        assert_eq!(read(&last, output).unwrap_err(), story);
    }
}
