//! A newcomer with pictures of their own, and one with published pairs: they change the first stage and the models.

use std::fs;

use crate::desk::{Desk, QUICKSTART, repository};

/// Runs the quickstart once, for its data set with pictures.
fn with_data() -> Desk {
    let desk = Desk::new();
    let told = desk.run(&QUICKSTART);
    assert_eq!(told.code, 0, "{told}");
    let data = desk.out().join("quickstart/to-sentinel/dataset");
    fs::rename(data, desk.path().join("data")).unwrap();
    desk
}

fn head(name: &str) -> String {
    let assets = repository().join("examples/tiny-world").display().to_string();
    let plugins = repository().join("plugins/dist").display().to_string();
    format!(
        "version: 1\nname: {name}\nseed: 1\nmodels:\n  base: {{kind: vlm, path: {assets}/model}}\n  \
         yolo: {{kind: detector, family: yolo, path: {assets}/yolo.onnx, labels: {assets}/labels.txt}}\n\
         plugins:\n  objects: {{path: {plugins}/coco-objects.wasm}}\nstages:\n"
    )
}

#[test]
fn own_pictures_take_the_place_of_scenes() {
    let desk = with_data();
    fs::write(desk.path().join("data/pictures/broken.png"), "no picture").unwrap();
    let stages = "  pictures: {kind: read, with: {folder: data/pictures, question: \"Describe this picture.\"}}\n  \
                  captions: {kind: caption, needs: {descriptions: pictures}, with: {model: base, max_sentences: 2}}\n";
    desk.write("own.yaml", &(head("own") + stages));
    let told = desk.sentinel(&["run", "own.yaml"], &[]);
    assert_eq!(told.code, 2, "one of a dozen pictures is broken, and that is too many: {told}");
    assert!(told.stderr.contains("broken") && told.stderr.contains("more than 5 % is too many"), "{told}");
    fs::remove_file(desk.path().join("data/pictures/broken.png")).unwrap();
    let told = desk.sentinel(&["run", "own.yaml"], &[]);
    assert_eq!(told.code, 0, "{told}");
    let captions = fs::read_to_string(desk.out().join("own/captions/captions.jsonl")).unwrap();
    assert_eq!(captions.lines().count(), fs::read_dir(desk.path().join("data/pictures")).unwrap().count());
}

#[test]
fn published_pairs_go_straight_to_training() {
    let desk = with_data();
    let files = fs::read_dir(desk.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let pairs = files.map(|name| name.into_string().unwrap()).find(|name| name.ends_with("_data_pair.jsonl")).unwrap();
    let stages = format!(
        "  pairs: {{kind: read, with: {{file: data/{pairs}, pictures: data, format: pairs}}}}\n  \
         train: {{kind: train, needs: {{pairs: pairs}}, with: {{model: base, loss: c-dpo, lora: {{rank: 4, alpha: 8}}, max_steps: 2}}}}\n"
    );
    desk.write("published.yaml", &(head("published") + &stages));
    let told = desk.sentinel(&["run", "published.yaml"], &[]);
    assert_eq!(told.code, 0, "{told}");
    assert!(desk.out().join("published/train/adapter/adapter_model.safetensors").is_file());
}

#[test]
fn a_new_folder_has_everything_and_runs() {
    let desk = Desk::new();
    let told = desk.sentinel(&["new", "demo", "--template", "quickstart"], &[]);
    assert_eq!((told.code, told.stdout.as_str()), (0, "demo/workflow.yaml\n"), "{told}");
    let run = desk.sentinel(&["run", "demo/workflow.yaml"], &["--set", "scenes=12", "--until", "keep"]);
    assert_eq!(run.code, 0, "{run}");
    let told = desk.sentinel(&["new", "demo"], &[]);
    assert!(told.code == 2 && told.stderr.contains("choose a folder that is not there yet"), "{told}");
    let left: Vec<_> = fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.contains(&".demo.new".into()), "{left:?}");

    assert_eq!(desk.sentinel(&["new", "cure"], &[]).code, 0);
    let told = desk.sentinel(&["validate", "cure/workflow.yaml"], &[]);
    for name in ["pictures", "model", "yolo", "detr"] {
        assert!(told.code == 1 && told.stderr.contains(&format!("`{name}`")), "{told}");
    }
    let world = repository().join("examples/tiny-world").display().to_string();
    let given = [("pictures", "sprites"), ("model", "model"), ("yolo", "yolo.onnx"), ("detr", "detr.onnx")];
    let given = given.map(|(name, file)| format!("--set={name}={world}/{file}"));
    let told = desk.sentinel(&["validate", "cure/workflow.yaml"], &given.each_ref().map(String::as_str));
    assert_eq!((told.code, told.stderr.as_str()), (0, "0 errors\n"), "{told}");
}
