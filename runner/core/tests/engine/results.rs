//! What comes out is what the simulation gives, whatever the settings that must not matter; what is told of it is true.

use std::collections::BTreeMap;

use sentinel_core::report::record::RunRecord;

use crate::project::{Project, counts};
use crate::simulation::{Expected, SEED, growth, simulate};
use crate::texts::{Text, lines, texts};

/// A project with every sort of text; some texts have no hints.
pub(crate) fn project() -> (Project, Expected) {
    let texts = texts(70);
    let some: Vec<Text> = texts.iter().filter(|text| text.id != "t011").map(brave).collect();
    let project = Project::new(&texts);
    project.write("some.jsonl", &lines(&some));
    (project, simulate(SEED, &texts, &some))
}

fn brave(text: &Text) -> Text {
    Text { fear: None, ..text.clone() }
}

/// Compares results file by file, for a difference to be read.
pub(crate) fn assert_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, text) in expected {
        let mut pairs = found[name].split_inclusive('\n').zip(text.split_inclusive('\n')).enumerate();
        let different = pairs.find(|(_, (found, expected))| found != expected);
        assert_eq!(different, None, "{name}: line, found, expected");
        assert_eq!(found[name].len(), text.len(), "{name}: bytes");
    }
}

#[test]
fn results_are_those_of_the_simulation_whatever_batches_and_threads() {
    for (in_flight, batch, threads) in
        [(64, 64, 1), (1, 1, 1), (3, 7, 2), (64, 1, 3), (1, 64, 4), (3, 64, 1), (64, 7, 8)]
    {
        let (project, expected) = project();
        let finished = project.finished(&growth(in_flight, batch, threads));
        assert_same(&project.results("growth"), &expected.results);
        let most = project.lab.batch.load(std::sync::atomic::Ordering::Relaxed);
        assert!(most <= u64::from(batch), "a batch of {most} instead of {batch}");
        is_told(&finished.record, &expected);
    }
}

fn is_told(record: &RunRecord, expected: &Expected) {
    let around = counts(record, "growth");
    assert_eq!((around.units, around.cut), (70, expected.cut));
    assert_eq!(around.dropped.get("no-state"), Some(&expected.no_state));
    for (stage, units) in &expected.asked {
        assert_eq!(counts(record, &format!("growth/{stage}")).units, *units, "{stage}");
    }
    assert_eq!(counts(record, "growth/words").quarantined.get("afraid"), Some(&expected.afraid));
    assert_eq!(counts(record, "growth/more").unmatched, expected.unmatched);
    // The first step's words are those of the hints, where these were not afraid or absent: the same units of the same stage.
    assert!(counts(record, "growth/words").hits >= 60);
    let unwanted = expected.results["hints/dropped.jsonl"].lines().count() as u64;
    assert_eq!(counts(record, "hints").dropped.get("unwanted"), Some(&unwanted));
    for stage in ["growth/words", "growth/kept", "growth/more", "hints", "looked"] {
        let counts = counts(record, stage);
        assert_eq!(counts.units, counts.hits + counts.computed, "{stage}");
    }
    let output = |stage: &str, name: &str| {
        let stage = record.stage(stage).unwrap();
        let output = stage.outputs.iter().find(|output| output.name == name).unwrap();
        (output.records, output.rows)
    };
    let rows = |file: &str| expected.results[file].lines().count() as u64;
    assert_eq!(output("growth", "texts").1, rows("growth/texts.jsonl"));
    assert_eq!(output("growth", "words").1, rows("growth/words.jsonl"));
    assert_eq!(output("growth/words", "words").0, expected.words.len() as u64);
    assert_eq!(output("after", "words").1, rows("after/words.jsonl"));
    let into = &record.stage("growth/kept").unwrap().inputs[0];
    assert_eq!((into.from.0.as_str(), into.records), ("growth/words", expected.words.len() as u64));
}

#[test]
fn a_record_tells_paths_as_the_workflow_could_name_them() {
    let project = Project::new(&texts(3));
    let flow = crate::plain::PLAIN.replacen("stages:", "params: {of: {type: path, default: texts.jsonl}}\nstages:", 1);
    let record = project.finished(&flow.replace("file: texts.jsonl", "file: '${{ params.of }}'")).record;
    assert_eq!(record.params, [("of".to_owned(), "texts.jsonl".into())]);
    let folder = project.path("").display().to_string();
    let page = std::fs::read_to_string(project.path("runs/plain/report.html")).unwrap();
    assert!(page.contains("params.of") && !page.contains(folder.trim_end_matches('/')), "no place of this machine");
}
