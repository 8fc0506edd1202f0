//! The rows of a run, asked for by name.

use std::sync::Arc;

use sentinel_core::artifact::Rows;
use sentinel_core::report::record::RunRecord;
use sentinel_core::session::{Session, rows};

use crate::plain::{PLAIN, expected, plain};
use crate::project::Project;
use crate::results::project as growing;
use crate::simulation::growth;
use crate::texts::lines;

fn read(session: &Session, record: &RunRecord, output: &str) -> Result<Vec<Arc<Rows>>, String> {
    let units = rows(session.store(), record, output).map_err(|error| error.to_string())?;
    Ok(units.map(|unit| unit.unwrap()).collect())
}

fn text(units: &[Arc<Rows>]) -> String {
    units.iter().flat_map(|unit| unit.iter()).map(|row| format!("{row}\n")).collect()
}

#[test]
fn rows_are_those_of_the_results() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let session = project.session(PLAIN);
    let record = session.last().unwrap();
    let expected = expected(&plain(12));
    for (output, file) in [
        ("lines", "lines/texts.jsonl"),
        ("words", "words/words.jsonl"),
        ("words.words", "words/words.jsonl"),
        ("words.dropped", "words/dropped.jsonl"),
        ("few.records", "few/records.jsonl"),
        ("totals", "totals/totals.jsonl"),
    ] {
        let units = read(&session, &record, output).unwrap();
        assert_eq!(units.len(), 12, "{output}: a unit a record");
        assert_eq!(text(&units), expected[file], "{output}");
    }
}

#[test]
fn rows_of_a_body_come_step_by_step() {
    let (project, expected) = growing();
    let flow = growth(3, 7, 2);
    let record = project.finished(&flow).record;
    let units = read(&project.session(&flow), &record, "growth/words").unwrap();
    let simulated: Vec<String> = expected.words.iter().map(|(_, _, words)| lines(words)).collect();
    assert_eq!(units.iter().map(|unit| text(std::slice::from_ref(unit))).collect::<Vec<_>>(), simulated);
}

#[test]
fn what_is_not_there_has_a_neighbour() {
    let project = Project::new(&plain(12));
    let session = project.session(PLAIN);
    assert_eq!(session.last().unwrap_err().to_string(), "`plain` has not run yet");
    project.run(PLAIN);
    let record = session.last().unwrap();
    let letters = ["count.txt", "letters/f.txt", "letters/o.txt", "letters/t.txt"];
    let files = letters.map(|file| format!("bundle/bundle/{file}")).join(", ");
    for (output, story) in [
        ("wrods", "the last run has no stage `wrods`; did you mean `words`?"),
        ("something", "the last run has no stage `something`; there are lines, words, few, totals, bundle"),
        ("growth/words", "the last run has no stage `growth/words`; there are lines, words, few, totals, bundle"),
        ("", "the last run has no stage ``; there are lines, words, few, totals, bundle"),
        ("words.droped", "`words` has no output `droped`; did you mean `dropped`?"),
        ("words.totals", "`words` has no output `totals`; there are words, dropped"),
        ("words.", "`words` has no output ``; there are words, dropped"),
        ("bundle", &format!("`bundle.bundle` is files, not records: {files}")),
    ] {
        assert_eq!(read(&session, &record, output).unwrap_err(), story);
    }
}
