//! The ready workflows of the repository load against these stages, with names only: no engine is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_core::diag::render;
use sentinel_core::workflow::{Settings, Workflow, load};
use sentinel_domain::fakes::NoEngines;
use sentinel_domain::ports::Engines;

use crate::bench::Manifests;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workflows")
}

fn loaded(name: &str) -> Workflow {
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let registry = sentinel_stages::registry(&engines, &Manifests);
    let world = folder().join("../examples/tiny-world");
    let mut settings = Settings::default();
    if name == "own-pictures.yaml" {
        // What users have and this repository has not.
        let given = [("pictures", "sprites"), ("model", "model"), ("yolo", "yolo.onnx"), ("detr", "detr.onnx")];
        settings.given.set = given.map(|(name, file)| format!("{name}={}", world.join(file).display())).into();
    }
    let workflow = load(&folder().join(name), &registry, &settings);
    workflow.unwrap_or_else(|found| panic!("{}", render::human(&found, false)))
}

#[test]
fn every_workflow_loads_without_a_remark() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        let workflow = loaded(&name);
        assert!(workflow.warnings.is_empty(), "{name}: {:?}", workflow.warnings);
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_quickstart_is_a_loop_and_what_is_made_of_it() {
    let workflow = loaded("quickstart.yaml");
    let outputs = |id: &str| {
        workflow
            .node(id)
            .unwrap()
            .outputs
            .iter()
            .map(|port| format!("{}: {}", port.name, port.kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(outputs("keep"), ["records: pairs", "dropped: drops"]);
    assert_eq!(outputs("train"), ["adapter: adapter", "log: tables"]);
    assert_eq!(outputs("bootstrap")[0], "pairs: pairs");
}
