//! The tiny world as outside readers see it: what pycocotools, Pillow and transformers read (recorded by
//! `tests/reference/tiny_world.py`) is what the composer meant.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::path::PathBuf;

use sentinel_domain::ports::SPLITS;
use sentinel_world::{DESCRIBE, annotations, compose, dialogues};
use serde_json::Value;
use tokenizers::Tokenizer;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn recorded() -> Value {
    serde_json::from_slice(&std::fs::read(repository().join("tests/reference/tiny_world.json")).unwrap()).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(repository().join("examples/tiny-world/model/tokenizer.json")).unwrap()
}

#[test]
fn pycocotools_reads_the_objects_that_were_placed() {
    let recorded = recorded();
    let pictures = recorded["coco"].as_object().unwrap();
    assert_eq!(pictures.len(), 20);
    for (index, (file, seen)) in (0..).zip(pictures) {
        let scene = compose(7, "held-out", index).unwrap();
        assert_eq!(*file, format!("{}.png", scene.id));
        let mut names: Vec<&str> = scene.truth.objects.iter().map(|placed| placed.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(seen["names"], serde_json::json!(names), "{file}");
        let boxes: i32 = scene.truth.objects.iter().flat_map(|placed| placed.bbox).sum();
        assert_eq!(seen["box_sum"], boxes, "{file}");
        assert_eq!(seen["inside"], true, "{file}");
        assert_eq!(
            seen["pixel_sum"],
            scene.rgb.iter().map(|value| u64::from(*value)).sum::<u64>(),
            "{file} read by Pillow"
        );
    }
}

#[test]
fn a_picture_survives_its_png_and_is_the_same_every_time() {
    for split in SPLITS {
        let scene = compose(3, split, 11).unwrap();
        assert_eq!(scene, compose(3, split, 11).unwrap());
        let png = scene.png();
        assert!(png.len() < 60_000, "{split}: {} bytes", png.len());
        assert_eq!(image::load_from_memory(&png).unwrap().to_rgb8().into_raw(), scene.rgb, "{split}");
    }
}

#[test]
fn splits_seeds_and_numbers_name_different_scenes() {
    let mut truths = Vec::new();
    for split in SPLITS {
        for (seed, index) in [(0, 0), (0, 1), (1, 0)] {
            truths.push(serde_json::to_string(&compose(seed, split, index).unwrap().truth.objects).unwrap());
        }
    }
    let all = truths.len();
    truths.sort_unstable();
    truths.dedup();
    assert_eq!(truths.len(), all);
    let unknown = compose(0, "trian", 0).unwrap_err().to_string();
    assert!(unknown.starts_with("unknown split `trian`"), "{unknown}");
}

#[test]
fn annotations_refuse_an_object_of_another_world() {
    let mut truth = compose(0, "pilot", 0).unwrap().truth;
    truth.objects[0].name = "unicorn".to_owned();
    let error = annotations([("pilot-000000", &truth)]).unwrap_err().to_string();
    assert!(error.contains("unicorn"), "{error}");
}

#[test]
fn the_vocabulary_covers_every_dialogue_and_gives_it_back() {
    let tokenizer = tokenizer();
    let unknown = tokenizer.token_to_id("<unk>").unwrap();
    for index in 0..500 {
        let scene = compose(5, "base", index).unwrap();
        for talk in dialogues(5, &scene.truth, 0.5).unwrap() {
            for text in talk.answer.iter().map(String::as_str).chain([talk.question]) {
                let ids = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
                assert!(!ids.contains(&unknown), "{text}");
                assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
            }
            let whole = tokenizer.encode(talk.answer.join(" "), false).unwrap().get_ids().to_vec();
            let pieces: Vec<u32> = talk
                .answer
                .iter()
                .flat_map(|sentence| tokenizer.encode(format!(" {sentence}"), false).unwrap().get_ids().to_vec())
                .collect();
            assert_eq!(whole, pieces, "a description is the sum of its sentences");
        }
    }
}

#[test]
fn the_tokenizer_agrees_with_transformers() {
    let (recorded, tokenizer) = (recorded(), tokenizer());
    for case in recorded["model"]["texts"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(serde_json::json!(ids), case["ids"], "{text}");
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), case["decoded"].as_str().unwrap());
    }
    let prompt = format!("USER: <image>\n{DESCRIBE} ASSISTANT:");
    assert_eq!(recorded["model"]["prompt"], prompt);
    // transformers repeats the image token once a patch: (112 / 14)² of them.
    let ids = tokenizer.encode(prompt.replace("<image>", &"<image>".repeat(64)), true).unwrap().get_ids().to_vec();
    assert_eq!(serde_json::json!(ids), recorded["model"]["prompt_ids"]);
}
