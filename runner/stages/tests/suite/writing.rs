//! Stages over whole sets: scenes, filters, converters, training, evaluation.

use std::sync::Arc;

use sentinel_core::artifact::FileSet;
use sentinel_core::digest::Digest;
use sentinel_core::job::Job;
use sentinel_core::stage::{StageError, WholeInputs, parse_rows};
use sentinel_domain::fakes::{self, FakeEngines, FakeFilter, LineConverter, MemoryJob, RecordingTrainer};
use sentinel_domain::ports::{Converter, EngineError, FilterScope, Kept};
use sentinel_domain::records::{Caption, Description, Detection, Dropped, FoundBox, Measurement, Memory, Pair};
use serde_json::{Value, json};

use crate::bench::{files_of, parse, rows, run_one, run_units, run_whole, stage, unit, units_of, whole, word_engines};

/// The first bytes of a PNG of 100 × 50 pixels, enough to tell its size, and a mark that tells it apart.
fn png(mark: u8) -> Vec<u8> {
    let mut bytes = vec![
        0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 100, 0, 0, 0, 50, 8, 2,
        0, 0, 0,
    ];
    bytes.push(mark);
    bytes
}

fn pair(id: &str, picture: Digest, chosen: &str) -> Pair {
    Pair {
        picture,
        image_path: format!("elsewhere/{id}.png"),
        question: "Q".to_owned(),
        step: 1,
        objects_of_chosen: vec!["dog".to_owned()],
        hallucinated_in_rejected: vec!["kite".to_owned()],
        factual: vec!["dog".to_owned()],
        named: vec!["cat".to_owned()],
        ..fakes::pair(id, &["One.", "Two."], chosen, "A kite.")
    }
}

fn content(files: &FileSet, name: &str, job: &dyn Job) -> String {
    let file = files.files.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", files.files.keys()));
    String::from_utf8(job.blob(file.digest).unwrap()).unwrap()
}

#[test]
fn scenes_have_pictures_truth_and_dialogues() {
    let job = MemoryJob::new(5);
    let stage = stage(
        FakeEngines::default(),
        "scenes",
        json!({ "count": 600, "split": "train", "dialogues": { "hallucination": 0.3 } }),
    );
    let outputs = run_whole(stage.as_ref(), &WholeInputs::default(), &job).unwrap();
    let units = units_of(&outputs[0]);
    assert_eq!(units.len(), 600);
    let last: Description = parse_rows("descriptions", &units[599].1).unwrap().remove(0);
    assert_eq!((last.id.as_str(), last.image_path.as_str()), ("train-000599", "train-000599.png"));
    assert_eq!(job.blob(last.picture).unwrap(), b"picture of train-000599 under 5");
    assert_eq!(content(files_of(&outputs[1]), "annotations.json", &job).matches("file_name").count(), 600);
    assert_eq!(units_of(&outputs[2]).len(), 600);
}

fn sieve(scope: FilterScope) -> FakeEngines {
    let keeps = |row: &str| if row.contains("bad") { Kept::No("bad".to_owned()) } else { Kept::Yes };
    FakeEngines { filter: Some((scope, Arc::new(FakeFilter(Box::new(keeps))))), ..FakeEngines::default() }
}

#[test]
fn a_filter_tells_what_it_dropped() {
    let job = MemoryJob::new(0);
    let records = [json!({ "z": "good", "a": 1.50 }), json!({ "z": "bad", "a": 2 })];
    let stage = stage(sieve(FilterScope::Unit), "filter", json!({ "plugin": "sieve" }));
    let units = [unit("a", 0, [("records", rows(&records))]), unit("b", 0, [("records", rows(&records[1..]))])];
    let answers: Vec<_> = run_units(stage.as_ref(), &units, &job).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!((answers[0][0].len(), answers[0][1].len(), answers[1][0].len()), (1, 1, 0), "a unit may be emptied");
    let dropped: Dropped = parse_rows("dropped", &answers[0][1]).unwrap().remove(0);
    assert_eq!(
        (dropped.reason.as_str(), dropped.record.get()),
        ("bad", serde_json::to_string(&records[1]).unwrap().as_str())
    );
    let stage = crate::bench::stage(sieve(FilterScope::Whole), "filter", json!({ "plugin": "sieve" }));
    let inputs =
        whole([("records", vec![("a".to_owned(), records.to_vec()), ("b".to_owned(), vec![records[1].clone()])])]);
    let outputs = run_whole(stage.as_ref(), &inputs, &job).unwrap();
    assert_eq!(units_of(&outputs[0]).iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(units_of(&outputs[1]).iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_converted_set_brings_its_pictures() {
    let job = MemoryJob::new(0);
    let (first, second) = (job.put_blob(&png(1)).unwrap(), job.put_blob(&png(2)).unwrap());
    let pairs = vec![
        ("a/1.png".to_owned(), vec![pair("a/1.png", first, "X."), pair("a/1.png", first, "Y.")]),
        ("a_1".to_owned(), vec![pair("a_1", second, "Z.")]),
    ];
    let engines = || FakeEngines { converter: Some(Arc::new(LineConverter)), ..FakeEngines::default() };
    let outputs = run_whole(
        stage(engines(), "convert", json!({ "plugin": "writer" })).as_ref(),
        &whole([("pairs", pairs.clone())]),
        &job,
    )
    .unwrap();
    let files = files_of(&outputs[0]);
    let other = format!("pictures/a_1-{}.png", second.short());
    assert_eq!(
        files.files.keys().map(String::as_str).collect::<Vec<_>>(),
        [other.as_str(), "pictures/a_1.png", "rows.jsonl"]
    );
    let text = content(files, "rows.jsonl", &job);
    assert!(!text.contains("elsewhere") && text.matches("\"pictures/a_1.png\"").count() == 2, "{text}");
    let left = run_whole(
        stage(engines(), "convert", json!({ "plugin": "writer", "pictures": "leave" })).as_ref(),
        &whole([("pairs", pairs)]),
        &job,
    )
    .unwrap();
    assert!(content(files_of(&left[0]), "rows.jsonl", &job).contains("elsewhere/a_1.png"));
}

#[test]
fn a_converter_writes_nowhere_else() {
    struct Rogue(&'static str);
    impl Converter for Rogue {
        fn convert(&self, _: &str, _: &mut dyn Iterator<Item = &str>) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
            Ok(vec![(self.0.to_owned(), Vec::new())])
        }
    }
    let job = MemoryJob::new(0);
    let picture = job.put_blob(&png(1)).unwrap();
    for path in ["../x", "/etc/x", "pictures/a.png"] {
        let engines = FakeEngines { converter: Some(Arc::new(Rogue(path))), ..FakeEngines::default() };
        let inputs = whole([("pairs", vec![("a".to_owned(), vec![pair("a", picture, "X.")])])]);
        let refused = run_whole(stage(engines, "convert", json!({ "plugin": "writer" })).as_ref(), &inputs, &job);
        assert!(matches!(refused, Err(StageError::Refused(_))), "{path}");
    }
}

#[test]
fn the_two_files_of_the_released_code() {
    let job = MemoryJob::new(0);
    let picture = job.put_blob(&png(1)).unwrap();
    let memory = Memory { factual: vec!["dog".to_owned()], ..Memory::default() };
    let (id, image_path, question) = ("a".to_owned(), "a.png".to_owned(), "Q".to_owned());
    let description = Description {
        id,
        picture,
        image_path,
        question,
        context: vec!["One.".to_owned(), "Two.".to_owned()],
        named: vec![],
        memory,
        end: None,
    };
    let found = |name: &str, xyxy| FoundBox { name: name.to_owned(), score: 0.5, xyxy };
    let closed = Detection {
        detector: "yolo".to_owned(),
        vocabulary: Some(vec!["dog".to_owned()]),
        boxes: vec![found("dog", [0.0, 0.0, 10.0, 9.0]), found("cup", [40.0, 20.0, 70.0, 40.0])],
    };
    let open = Detection { detector: "dino".to_owned(), vocabulary: None, boxes: vec![found("bed", [0.0; 4])] };
    let unit = |value: Value| vec![("a".to_owned(), vec![value])];
    let inputs = whole([
        ("pairs", unit(json!(pair("a", picture, "X – “é”.")))),
        ("descriptions", unit(json!(description))),
        ("detections", vec![("a".to_owned(), vec![json!(open), json!(closed)])]),
    ]);
    let stage =
        stage(FakeEngines::default(), "convert", json!({ "format": "sentinel", "name": "llava", "pictures": "leave" }));
    let outputs = run_whole(stage.as_ref(), &inputs, &job).unwrap();
    let files = files_of(&outputs[0]);
    let expected = "{\"image_id\":\"a\",\"image_path\":\"elsewhere/a.png\",\"question\":\"Q\",\"context\":\"One. Two.\",\"y_win\":\"X – “é”.\",\"y_lose\":\"A kite.\",\
        \"nonhallu_objects\":[\"dog\"],\"context_gen_objects\":[\"cat\"],\"context_gen_hallu_objects\":[],\"objects_of_y_win\":[\"dog\"],\
        \"hallu_objects_of_y_lose\":[\"kite\"],\"is_last_sent\":false,\"type\":\"y-\"}\n";
    assert_eq!(content(files, "llava_data_pair.jsonl", &job), expected);
    let expected = "{\"image_id\":\"a\",\"image_path\":\"a.png\",\"question\":\"Q\",\"caption\":\"One. Two.\",\"sentences_cnt\":2,\"hallu_objects\":[],\
        \"uncertain_objects\":[],\"nonhallu_objects\":[\"dog\"],\"hard_positive\":[\"cup\"],\"small_objects\":[\"dog\"],\"edge_objects\":[\"dog\"]}\n";
    assert_eq!(content(files, "llava.jsonl", &job), expected);
    // What is written is read again.
    let again = MemoryJob::new(0)
        .file("/d/p.jsonl", content(files, "llava_data_pair.jsonl", &job))
        .file("/d/elsewhere/a.png", png(1));
    let read = crate::bench::stage(FakeEngines::default(), "read", json!({ "file": "/d/p.jsonl", "format": "pairs" }));
    let outputs = run_whole(read.as_ref(), &WholeInputs::default(), &again).unwrap();
    let back: Pair = parse_rows("pairs", &units_of(&outputs[0])[0].1).unwrap().remove(0);
    assert_eq!(back, Pair { step: 0, context: vec!["One. Two.".to_owned()], ..pair("a", picture, "X – “é”.") });
}

#[test]
fn training_leaves_an_adapter_and_a_log() {
    let job = MemoryJob::new(7);
    let picture = job.put_blob(&png(1)).unwrap();
    let engines = || FakeEngines { trainer: Some(Arc::new(RecordingTrainer)), ..FakeEngines::default() };
    let with = json!({ "model": "base", "loss": "c-dpo", "lora": { "rank": 4 }, "betas": [0.9, 0.98] });
    let train = stage(engines(), "train", with);
    assert_eq!(train.inputs().iter().map(|slot| slot.name).collect::<Vec<_>>(), ["pairs", "adapter"]);
    let inputs = whole([(
        "pairs",
        vec![("a".to_owned(), vec![pair("a", picture, "X."), pair("a", picture, "Y.")]), ("b".to_owned(), vec![])],
    )]);
    let outputs = run_whole(train.as_ref(), &inputs, &job).unwrap();
    assert_eq!(
        content(files_of(&outputs[0]), "adapter_model.safetensors", &job),
        "c-dpo rank 4 beta 0.1\nX. > A kite.\nY. > A kite.\n"
    );
    assert!(content(files_of(&outputs[1]), "log.json", &job).starts_with("{\"readings\":[\"loss\""));
    let none = run_whole(train.as_ref(), &whole::<Pair>([("pairs", vec![("a".to_owned(), vec![])])]), &job);
    assert!(matches!(none, Err(StageError::Refused(_))));
}

#[test]
fn training_says_what_it_needs() {
    let phase = |mixture: Value| json!({ "loss": "next-token", "phases": [{ "steps": 1, "learning_rate": 0.1, "mixture": mixture }] });
    let slots = |with: Value| {
        stage(FakeEngines::default(), "train", with).inputs().iter().map(|slot| slot.name).collect::<Vec<_>>()
    };
    assert_eq!(
        slots(phase(json!({ "describe": 1.0 }))),
        ["dialogues", "model"],
        "without `with.model` an edge must bring one"
    );
    let mistakes = parse(FakeEngines::default(), "train", phase(json!({ "describe": 0.0 }))).err().unwrap();
    assert_eq!(mistakes[0].pointer, "/phases/0/mixture");
}

#[test]
fn detectors_of_an_unknown_family_are_all_told() {
    let mistakes =
        parse(FakeEngines::default(), "detect", json!({ "detectors": ["odd", "yolo", "odd"] })).err().unwrap();
    let told: Vec<_> = mistakes.iter().map(|mistake| (mistake.pointer.as_str(), mistake.hint.as_deref())).collect();
    assert_eq!(told, [("/detectors/0", Some("did you mean `yolo`?")), ("/detectors/2", Some("did you mean `yolo`?"))]);
}

#[test]
fn an_adapter_goes_with_one_base_only() {
    let job = MemoryJob::new(0);
    let adapter = job.file_set([("adapter_config.json", b"{}".to_vec())]);
    let description =
        json!({ "picture": job.put_blob(b"cat").unwrap(), "question": "?", "context": [], "image_path": "a.png" });
    let inputs = || {
        [
            ("descriptions", rows([&description])),
            ("adapter", sentinel_core::stage::Input::Files(Arc::new(adapter.clone()))),
        ]
    };
    let engines = || {
        word_engines(|prompt| if prompt.context.is_empty() { vec!["A cat.".to_owned()] } else { vec![String::new()] })
    };
    let base = stage(engines(), "caption", json!({ "model": "base" }));
    let caption: Caption =
        parse_rows("captions", &run_one(base.as_ref(), &unit("a", 0, inputs()), &job)).unwrap().remove(0);
    assert_eq!((caption.sentences.as_slice(), caption.cut), (&["A cat.".to_owned()][..], false));
    let tuned = stage(engines(), "caption", json!({ "model": "tuned" }));
    assert!(matches!(run_units(tuned.as_ref(), &[unit("a", 0, inputs())], &job), Err(StageError::Refused(_))));
}

#[test]
fn evaluation_measures_against_the_truth() {
    let job = MemoryJob::new(0);
    let annotations = json!({
        "images": [{ "id": 1, "file_name": "a.png" }, { "id": 2, "file_name": "b.png" }],
        "annotations": [{ "image_id": 1, "category_id": 1 }, { "image_id": 1, "category_id": 2 }, { "image_id": 2, "category_id": 1 }],
        "categories": [{ "id": 1, "name": "dog" }, { "id": 2, "name": "tv" }],
    });
    let caption = |id: &str, sentences: &[&str]| Caption {
        id: id.to_owned(),
        picture: Digest::of(b""),
        image_path: format!("{id}.png"),
        question: "?".to_owned(),
        sentences: sentences.iter().map(|sentence| (*sentence).to_owned()).collect(),
        cut: id == "b",
        tokens: 9,
    };
    let captions = [caption("a", &["A puppy by a cat.", "The cat is is big."]), caption("b", &["A dog."])];
    let mut inputs =
        whole([("captions", captions.iter().map(|caption| (caption.id.clone(), vec![caption])).collect())]);
    inputs
        .files
        .insert("annotations", Arc::new(job.file_set([("annotations.json", annotations.to_string().into_bytes())])));
    let stage = stage(FakeEngines::default(), "evaluate", json!({ "metrics": ["chair", "length"] }));
    let outputs = run_whole(stage.as_ref(), &inputs, &job).unwrap();
    let told: Vec<Measurement> =
        units_of(&outputs[0]).iter().flat_map(|(_, rows)| parse_rows("measurements", rows).unwrap()).collect();
    let told: Vec<_> = told.iter().map(|one| (one.id.as_str(), one.value, one.cases)).collect();
    let expected = [
        ("chair_s", 0.5, 2),
        ("chair_i", 0.5, 4),
        ("recall", 2.0 / 3.0, 3),
        ("objects", 1.5, 2),
        ("words", 6.0, 2),
        ("cut", 0.5, 2),
        ("word_repetition", 0.5, 2),
        ("sentence_repetition", 0.0, 2),
    ];
    assert_eq!(told, expected);
    let gone = [caption("c", &[])];
    let mut inputs = whole([("captions", gone.iter().map(|caption| (caption.id.clone(), vec![caption])).collect())]);
    inputs
        .files
        .insert("annotations", Arc::new(job.file_set([("annotations.json", annotations.to_string().into_bytes())])));
    assert!(
        matches!(run_whole(stage.as_ref(), &inputs, &job), Err(StageError::Refused(message)) if message.contains("`c`"))
    );
}
