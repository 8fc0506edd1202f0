//! `schemas/` holds what editors and other programs read: one schema a kind of record, one for workflows. This test writes them
//! with `UPDATE=1`, and fails where they are not what the types say.

use std::path::Path;
use std::sync::Arc;

use sentinel_core::schema;
use sentinel_domain::fakes::NoEngines;
use sentinel_domain::ports::Engines;

use crate::bench::Manifests;

#[test]
fn schemas_are_what_the_types_say() {
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let registry = sentinel_stages::registry(&engines, &Manifests);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut stale = Vec::new();
    for (name, text) in schema::files(&registry) {
        let path = folder.join(&name);
        if std::fs::read_to_string(&path).ok().as_ref() == Some(&text) {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} in schemas/ are stale: run this test with UPDATE=1, then read the difference");
}

#[test]
fn the_workflow_schema_explains_every_stage() {
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let text = schema::workflow(&sentinel_stages::registry(&engines, &Manifests)).to_string();
    for entry in sentinel_stages::STAGES {
        assert!(text.contains(entry.summary), "{}", entry.name);
    }
}

#[test]
fn an_editor_takes_every_variant_of_a_model() {
    let engines: Arc<dyn Engines> = Arc::new(NoEngines::default());
    let whole = schema::workflow(&sentinel_stages::registry(&engines, &Manifests));
    for asset in sentinel_stages::ASSETS {
        let own = &whole["$defs"][format!("model-{}", asset.name)];
        let variants = own["anyOf"].as_array().cloned().unwrap_or_else(|| vec![own.clone()]);
        for variant in variants {
            let place = variant["$ref"].as_str().map(|place| place.trim_start_matches('#').to_owned());
            let variant = place.map_or(variant, |place| whole.pointer(&place).unwrap().clone());
            assert_eq!(variant["properties"]["kind"]["const"], asset.name, "{variant}");
        }
    }
}
