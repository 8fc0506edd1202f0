//! `read`: lists, folders and published pair sets, and what is said of broken ones.

use sentinel_core::artifact::Rows;
use sentinel_core::stage::{StageError, WholeInputs, parse_rows};
use sentinel_domain::fakes::{FakeEngines, MemoryJob};
use sentinel_domain::records::{Description, Pair, PairType};
use serde_json::{Value, json};

use crate::bench::{aside_of, files_of, parse, run_whole, stage, units_of};

fn read(with: Value, job: &MemoryJob) -> Result<Vec<(String, Rows)>, StageError> {
    let stage = stage(FakeEngines::default(), "read", with);
    let outputs = run_whole(stage.as_ref(), &WholeInputs::default(), job)?;
    Ok(units_of(&outputs[0]).iter().map(|(id, rows)| (id.to_string(), rows.clone())).collect())
}

fn descriptions(with: Value, job: &MemoryJob) -> Vec<Description> {
    read(with, job)
        .unwrap()
        .iter()
        .flat_map(|(_, rows)| parse_rows::<Description>("descriptions", rows).unwrap())
        .collect()
}

fn refusal(with: Value, job: &MemoryJob) -> String {
    match read(with, job) {
        Err(StageError::Refused(message) | StageError::World(message, _)) => message,
        other => panic!("{other:?}"),
    }
}

const LIST: &str = "\u{feff}{\"image_id\": 17, \"image_path\": \"a/x.jpg\", \"question\": \"What?\", \"url\": \"http://x\"}\n\
    \n{\"image\": \"y.png\"}\n\
    {\"image_id\": \"z\", \"image\": \"b/y.png\"}\n";

fn pictures(job: MemoryJob) -> MemoryJob {
    job.file("/data/a/x.jpg", "x").file("/data/y.png", "y").file("/data/b/y.png", "y")
}

#[test]
fn lists_with_their_fallbacks() {
    let job = pictures(MemoryJob::new(0)).file("/data/list.jsonl", LIST);
    let found = descriptions(json!({ "file": "/data/list.jsonl" }), &job);
    let told: Vec<_> =
        found.iter().map(|one| (one.id.as_str(), one.image_path.as_str(), one.question.as_str())).collect();
    assert_eq!(
        told,
        [
            ("17", "a/x.jpg", "What?"),
            ("y.png", "y.png", "Describe this image."),
            ("z", "b/y.png", "Describe this image.")
        ]
    );
    assert_ne!(found[0].picture, found[1].picture);
    assert_eq!(found[1].picture, found[2].picture, "a picture is its content");
    assert_eq!(descriptions(json!({ "file": "/data/list.jsonl", "limit": 1, "question": "Hm?" }), &job).len(), 1);
    let elsewhere = MemoryJob::new(0).file("/data/list.jsonl", LIST).file("/p/1/x.jpg", "x").file("/p/y.png", "y");
    assert_eq!(descriptions(json!({ "file": "/data/list.jsonl", "pictures": "/p" }), &elsewhere).len(), 3);
}

#[test]
fn the_pictures_of_a_list_are_known_before_it_is_read() {
    let job = pictures(MemoryJob::new(0)).file("/data/list.jsonl", LIST);
    let stage = stage(FakeEngines::default(), "read", json!({ "file": "/data/list.jsonl" }));
    let listed = stage.listed_files(&job).unwrap();
    assert_eq!(
        listed.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        ["/data/a/x.jpg", "/data/y.png", "/data/b/y.png"]
    );
}

#[test]
fn folders() {
    let job = pictures(MemoryJob::new(0)).file("/data/notes.txt", "").file("/data/b/Z.JPEG", "z");
    let found = descriptions(json!({ "folder": "/data" }), &job);
    assert_eq!(
        found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
        ["a/x.jpg", "b/Z.JPEG", "b/y.png", "y.png"]
    );
    assert!(refusal(json!({ "folder": "/data/a/none" }), &job).contains("below `/data/a/none`"));
}

#[test]
fn pictures_nothing_decodes_are_not_left_out_in_silence() {
    let job = MemoryJob::new(0).file("/data/a.webp", "a").file("/data/b.png", "b").file("/data/notes.md", "");
    let found = descriptions(json!({ "folder": "/data" }), &job);
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a.webp", "b.png"]);
}

#[test]
fn records_without_their_picture_are_set_aside() {
    let list = "{\"image\": \"y.png\"}\n{\"image_id\": 1, \"image_path\": \"gone.png\"}\n{\"image\": \"a/x.jpg\"}\n";
    let pairs = "{\"image_id\": 7, \"image_path\": \"y.png\", \"y_win\": \"W\", \"y_lose\": \"L\"}\n\
        {\"image_id\": 8, \"image_path\": \"y.png\", \"y_win\": \"W\", \"y_lose\": \"L\"}\n\
        {\"image_id\": 8, \"image_path\": \"gone.png\", \"y_win\": \"W\", \"y_lose\": \"L\"}\n";
    let job = pictures(MemoryJob::new(0)).file("/data/list.jsonl", list).file("/data/pairs.jsonl", pairs);
    let beside = (json!({ "file": "/data/list.jsonl" }), vec!["y.png", "a/x.jpg"], ("1", "list.jsonl`, line 2"));
    let shelf = json!({ "file": "/data/list.jsonl", "pictures": "/data/a" });
    for (with, ids, (aside, place)) in [
        beside,
        (shelf, vec!["a/x.jpg"], ("y.png", "list.jsonl`, line 1")),
        (json!({ "file": "/data/pairs.jsonl", "format": "pairs" }), vec!["7"], ("8", "pairs.jsonl`, line 3")),
    ] {
        let stage = stage(FakeEngines::default(), "read", with);
        let outputs = run_whole(stage.as_ref(), &WholeInputs::default(), &job).unwrap();
        assert_eq!(units_of(&outputs[0]).iter().map(|(id, _)| &**id).collect::<Vec<_>>(), ids);
        let (id, reason, story) = aside_of(&outputs[0])[0];
        assert_eq!((id, reason), (aside, "missing-picture"));
        let named = story.contains(place) && (story.contains("gone.png`") || story.contains("y.png`"));
        assert!(named && story.ends_with("no such file"), "{story}");
        let listed = stage.listed_files(&job).unwrap();
        assert!(listed.len() > ids.len(), "a missing picture is asked for when keys are made: {listed:?}");
    }
}

#[test]
fn what_is_said_of_broken_lists() {
    let table = [
        ("{\"image\": \"y.png\"}\n{\"image\": \"y.png\"}", "line 2: `image_id` `y.png` stands on line 1 already"),
        ("\n{\"image_id\": 1}", "line 2: needs `image_path` or `image`"),
        ("{\"image_path\": \"y.png\"}", "line 1: needs `image_id` or `image`"),
        ("{\"image\": \"y.png\"", "line 1: EOF while parsing"),
        ("{\"image\": \"y.png\", \"question\": 5}", "line 1: invalid type: integer `5`"),
        ("{\"image_id\": \" \", \"image_path\": \"y.png\"}", "cannot be an id"),
        ("{\"image_id\": \"a\\u0000b\", \"image_path\": \"y.png\"}", "cannot be an id"),
    ];
    for (list, told) in table {
        let job = pictures(MemoryJob::new(0)).file("/data/list.jsonl", list);
        let message = refusal(json!({ "file": "/data/list.jsonl" }), &job);
        assert!(message.contains(told) && message.contains("/data/list.jsonl"), "{message}");
    }
    let job = MemoryJob::new(0).file("/data/list.jsonl", vec![b'{', 0xff]);
    assert!(refusal(json!({ "file": "/data/list.jsonl" }), &job).contains("not UTF-8 from byte 1 on"));
    let twice = MemoryJob::new(0)
        .file("/data/list.jsonl", "{\"image\": \"y.png\"}")
        .file("/p/1/y.png", "")
        .file("/p/2/y.png", "");
    assert!(refusal(json!({ "file": "/data/list.jsonl", "pictures": "/p" }), &twice).contains("several pictures"));
}

#[test]
fn published_pair_sets() {
    let rows = "{\"image_id\": \"7\", \"image_path\": \"a/x.jpg\", \"question\": \"Q\", \"context\": \"One. Two.\", \"y_win\": \"W.\", \"y_lose\": \"L.\",\
        \"nonhallu_objects\": [\"dog\"], \"hallu_objects_of_y_lose\": [\"cat\"], \"is_last_sent\": true, \"type\": \"y+\"}\n\
        {\"image_id\": \"8\", \"image_path\": \"y.png\", \"win\": \"W\", \"lose\": \"L\", \"type\": \"yw-_yl\"}\n\
        {\"image_id\": \"7\", \"image_path\": \"a/x.jpg\", \"y_win\": \"W2\", \"y_lose\": \"L2\", \"context\": null}\n";
    let job = pictures(MemoryJob::new(0)).file("/data/pairs.jsonl", rows);
    let units = read(json!({ "file": "/data/pairs.jsonl", "format": "pairs" }), &job).unwrap();
    assert_eq!(units.iter().map(|(id, rows)| (id.as_str(), rows.len())).collect::<Vec<_>>(), [("7", 2), ("8", 1)]);
    let pairs: Vec<Pair> = units.iter().flat_map(|(_, rows)| parse_rows("pairs", rows).unwrap()).collect();
    assert_eq!(
        (&pairs[0].context, pairs[0].is_last, pairs[0].pair_type),
        (&vec!["One. Two.".to_owned()], true, PairType::Coherent)
    );
    assert_eq!(
        (pairs[1].context.len(), pairs[1].pair_type, pairs[1].question.as_str()),
        (0, PairType::Agnostic, "Describe this image.")
    );
    assert_eq!((pairs[2].chosen.as_str(), pairs[2].image_path.as_str()), ("W", "y.png"));
    assert_eq!(pairs[0].hallucinated_in_rejected, ["cat"]);
}

#[test]
fn published_pair_sets_by_image() {
    let set = r#"{"2324811": [{"question": "Q", "context": null, "y_win": "W", "y_lose": "L", "type": "yw+_yl"}], "5": [{"question": "Q", "context": "C.", "y_win": "W", "y_lose": "L"}]}"#;
    let job = MemoryJob::new(0)
        .file("/sets/s.json", set)
        .file("/vg/VG_100K_2/2324811.jpg", "1")
        .file("/vg/VG_100K/5.jpg", "2");
    let units = read(json!({ "file": "/sets/s.json", "format": "pairs", "pictures": "/vg" }), &job).unwrap();
    assert_eq!(
        units.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["2324811", "5"],
        "in the order of the file"
    );
    let first: Pair = parse_rows("pairs", &units[0].1).unwrap().remove(0);
    assert_eq!(first.image_path, "2324811.jpg");
    assert!(refusal(json!({ "file": "/sets/s.json", "format": "pairs" }), &job).contains("say with `pictures`"));
    let empty = MemoryJob::new(0)
        .file("/sets/s.json", r#"{"5": [{"context": null, "y_win": "", "y_lose": ""}]}"#)
        .file("/vg/5.jpg", "");
    assert!(
        refusal(json!({ "file": "/sets/s.json", "format": "pairs", "pictures": "/vg" }), &empty)
            .contains("`5`: `y_win` is empty")
    );
}

#[test]
fn contradictions_are_told_at_once() {
    let table = [
        (json!({}), &[""][..]),
        (json!({ "file": "/a", "folder": "/b" }), &["/folder"]),
        (json!({ "folder": "/b", "format": "pairs" }), &["/folder"]),
        (json!({ "folder": "/b", "pictures": "/c" }), &["/pictures"]),
        (json!({ "file": "/a", "format": "pairs", "annotations": "/c" }), &["/annotations"]),
        (
            json!({ "folder": "/b", "format": "pairs", "annotations": "/c", "pictures": "/d" }),
            &["/annotations", "/folder", "/pictures"],
        ),
    ];
    for (with, pointers) in table {
        let mistakes = parse(FakeEngines::default(), "read", with.clone()).err().unwrap();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{with}");
    }
}

#[test]
fn annotations_come_along() {
    let job = pictures(MemoryJob::new(0)).file("/data/truth.json", "{}");
    let stage = stage(FakeEngines::default(), "read", json!({ "folder": "/data", "annotations": "/data/truth.json" }));
    let outputs = run_whole(stage.as_ref(), &WholeInputs::default(), &job).unwrap();
    assert_eq!(files_of(&outputs[1]), &job.file_set([("annotations.json", b"{}".to_vec())]));
}
