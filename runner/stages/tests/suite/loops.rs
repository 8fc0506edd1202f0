//! The sentence loop, stage by stage as the runner drives it, over a scripted world.

use std::collections::BTreeMap;

use sentinel_core::artifact::Rows;
use sentinel_core::job::Job;
use sentinel_core::stage::{Stage, Unit, parse_rows};
use sentinel_domain::fakes::MemoryJob;
use sentinel_domain::ports::Prompt;
use sentinel_domain::records::{Description, End, Memory, Pair, Standing, Verdict};
use serde_json::json;

use crate::bench::{rows, run_units, stage, unit, word_engines};

/// Says up to eight things a step: about what is there, about what is not, and after four sentences nothing more.
fn says(prompt: &Prompt<'_>) -> Vec<String> {
    let shown = String::from_utf8_lossy(&prompt.bytes).to_lowercase();
    let unsaid = |word: &&str| prompt.context.iter().all(|sentence| !sentence.contains(*word));
    let mut said: Vec<String> = shown.split(' ').filter(unsaid).map(|word| format!("There is a {word}.")).collect();
    said.extend(prompt.context.last().map(|last| format!("Near it, as I said, {}", last.to_lowercase())));
    said.extend((prompt.question != "Only what is there?").then(|| "There is a kite.".to_owned()));
    said.push("How nice.".to_owned());
    if prompt.context.len() >= 4 { vec![String::new(), String::new(), "There is a kite.".to_owned()] } else { said }
}

/// The six stages of the loop, in order.
fn body() -> Vec<(&'static str, Box<dyn Stage>)> {
    let kinds = [
        ("sentences", "sample", json!({ "model": "base", "n": 8 })),
        ("mentions", "extract", json!({ "plugin": "objects" })),
        ("detections", "detect", json!({ "detectors": ["yolo", "detr"] })),
        ("verdicts", "judge", json!({})),
        ("pairs", "pair", json!({ "chosen_names_something_new": true })),
        ("descriptions", "extend", json!({})),
    ];
    kinds.into_iter().map(|(output, kind, with)| (output, stage(word_engines(says), kind, with))).collect()
}

/// What the loop gives for a record: its last state, and what each step gave.
struct Told {
    last: Description,
    pairs: Vec<Pair>,
    verdicts: Vec<Vec<Verdict>>,
    bytes: Vec<Rows>,
}

/// Runs the loop over some records, `batch` at a time.
fn run_loop(records: &[Description], batch: usize, job: &dyn Job) -> BTreeMap<String, Told> {
    let body = body();
    let mut told = BTreeMap::new();
    let mut states: Vec<Description> = records.to_vec();
    for step in 0..12 {
        let mut next = Vec::new();
        for cohort in states.chunks(batch) {
            let mut units: Vec<Unit> =
                cohort.iter().map(|state| unit(&state.id, step, [("descriptions", rows([state]))])).collect();
            for (output, stage) in &body {
                let answers = run_units(stage.as_ref(), &units, job).unwrap();
                for (unit, answer) in units.iter_mut().zip(answers) {
                    let list = answer.unwrap().remove(0);
                    let entry = told.entry(unit.id.to_string()).or_insert_with(|| Told {
                        last: records[0].clone(),
                        pairs: vec![],
                        verdicts: vec![],
                        bytes: vec![],
                    });
                    match *output {
                        "pairs" => entry.pairs.extend(parse_rows::<Pair>("pairs", &list).unwrap()),
                        "verdicts" => entry.verdicts.push(parse_rows("verdicts", &list).unwrap()),
                        "descriptions" => entry.last = parse_rows("descriptions", &list).unwrap().remove(0),
                        _ => {}
                    }
                    entry.bytes.push(list.clone());
                    unit.inputs.insert(output, sentinel_core::stage::Input::Rows(list.into()));
                }
            }
            next.extend(
                units
                    .iter()
                    .map(|unit| unit.one::<Description>("descriptions").unwrap())
                    .filter(|state| state.end.is_none()),
            );
        }
        states = next;
    }
    assert!(states.is_empty(), "every record of this world comes to an end");
    told
}

fn world(job: &MemoryJob) -> Vec<Description> {
    let pictures = ["cat dog cup fork tv bed", "bus", "cup FORK", "KITE", "cat BED dog", "fork tv"];
    let record = |(number, words): (usize, &&str)| Description {
        id: format!("picture-{number}"),
        picture: job.put_blob(words.as_bytes()).unwrap(),
        image_path: format!("{number}.png"),
        question: "What is there?".to_owned(),
        context: Vec::new(),
        named: Vec::new(),
        memory: Memory::default(),
        end: None,
    };
    pictures.iter().enumerate().map(record).collect()
}

fn job() -> MemoryJob {
    let job = MemoryJob::new(42).file("/models/yolo.onnx", "yolo").file("/models/detr.onnx", "detr");
    job.file("/models/labels.txt", "cat\n").file("/models/second.onnx", "second")
}

#[test]
fn a_context_is_true_and_pairs_tell_truth_from_hallucination() {
    let job = job();
    let records = world(&job);
    let told = run_loop(&records, 64, &job);
    for (record, Told { last, pairs, verdicts, .. }) in told.values().map(|told| (&told.last.id, told)) {
        assert!(last.context.iter().all(|sentence| !sentence.contains("kite")), "{record}: {:?}", last.context);
        assert!(last.named.iter().all(|name| last.memory.factual.contains(name)), "{record}");
        for pair in pairs {
            assert!(pair.rejected.contains("kite") && !pair.chosen.contains("kite"), "{record}: {pair:?}");
            assert_eq!(pair.hallucinated_in_rejected, ["kite"]);
            assert!(
                pair.objects_of_chosen.iter().any(|object| !pair.named.contains(object)),
                "something new: {pair:?}"
            );
        }
        let standings = |name: &str| {
            verdicts
                .iter()
                .flatten()
                .filter(|verdict| verdict.name == name)
                .map(|verdict| verdict.standing)
                .collect::<Vec<_>>()
        };
        assert!(standings("kite").windows(2).all(|pair| pair[0] == pair[1]), "what was decided stays decided");
    }
    let rich = &told["picture-0"];
    assert_eq!(
        (rich.last.end, rich.last.context.len(), rich.pairs.len()),
        (Some(End::Finished), 4, 4),
        "{:?}",
        rich.last
    );
    assert_eq!(told["picture-3"].pairs.len(), 0, "a kite that only one detector sees is no hallucination");
    assert_eq!(told["picture-3"].verdicts[0][0].standing, Standing::Uncertain);
    assert_eq!(told["picture-3"].last.memory.uncertain, ["kite"]);
}

#[test]
fn company_order_and_repetition_change_nothing() {
    let job = job();
    let records = world(&job);
    let bytes = |told: BTreeMap<String, Told>| told.into_iter().map(|(id, told)| (id, told.bytes)).collect::<Vec<_>>();
    let all = bytes(run_loop(&records, 64, &job));
    assert_eq!(bytes(run_loop(&records, 1, &job)), all);
    let backwards: Vec<Description> = records.iter().rev().cloned().collect();
    assert_eq!(bytes(run_loop(&backwards, 2, &job)), all);
}

#[test]
fn another_seed_draws_another_context() {
    let contexts = |seed| {
        let job = MemoryJob::new(seed)
            .file("/models/yolo.onnx", "y")
            .file("/models/detr.onnx", "d")
            .file("/models/labels.txt", "cat");
        let records =
            world(&job).into_iter().map(|record| Description { question: "Only what is there?".to_owned(), ..record });
        run_loop(&records.collect::<Vec<_>>(), 64, &job).into_values().map(|told| told.last.context).collect::<Vec<_>>()
    };
    assert_ne!(contexts(1), contexts(2));
    assert_eq!(contexts(1), contexts(1));
}

#[test]
fn a_picture_costs_a_detector_one_look() {
    let job = job();
    let records = world(&job);
    run_loop(&records, 3, &job);
    assert_eq!(job.computed(), 2 * records.len() as u64, "two detectors, however many steps");
}
