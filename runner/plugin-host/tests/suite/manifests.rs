//! What is read of a plugin before anything of it runs.

use sentinel_core::workflow::PluginManifests;
use sentinel_domain::ports::FilterScope;
use sentinel_plugin_host::{Manifests, filter_scope};

use crate::bench::{FILTER, MANIFEST, filter, host, made, shipped, why};

const EMPTY: &str = r#"(memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "decide") (param i32 i32 i32 i32) (result i32) unreachable)"#;

/// Returns what is said of bytes that are no plugin.
fn complaint(bytes: &[u8]) -> String {
    let plugin = made(bytes);
    let complaint = Manifests.manifest(&plugin.spec.path).unwrap_err();
    assert_eq!(complaint, why(filter_scope(&plugin.spec)), "both read the same");
    complaint.replace(&plugin.spec.path.display().to_string(), "FILE")
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_manifest_says_what_a_plugin_is() {
    let manifest = Manifests.manifest(&shipped("pair-filter").path).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.world.as_str()), ("pair-filter", "filter"));
    assert_eq!(manifest.config_schema["properties"]["max_per_image"]["minimum"], 1);
    let plugin = made(&filter(MANIFEST, FILTER, EMPTY));
    let manifest = Manifests.manifest(&plugin.spec.path).unwrap();
    assert_eq!(manifest.config_schema, serde_json::json!({ "type": "object", "additionalProperties": false }));
    assert_eq!(filter_scope(&plugin.spec).unwrap(), FilterScope::Unit);
    let whole = made(&filter(&format!("{MANIFEST}scope = 'whole'\n"), FILTER, EMPTY));
    assert_eq!(filter_scope(&whole.spec).unwrap(), FilterScope::Whole);
}

#[test]
fn the_bundled_plugins_are_known() {
    let bundled = Manifests.bundled();
    assert!(bundled.iter().any(|plugin| plugin.name == "pair-filter"));
    for manifest in bundled {
        assert_eq!(Manifests.manifest(&shipped(&manifest.name).path).unwrap(), manifest);
    }
}

#[test]
fn complaints_say_what_is_wrong() {
    let of = |manifest: &str| complaint(&filter(manifest, FILTER, EMPTY));
    let table: [(String, &str); 13] = [
        (complaint(b""), "`FILE` is no plugin: "),
        (complaint(b"#!/bin/sh\n"), "`FILE` is no plugin: it is no WebAssembly"),
        (complaint(&component("(module)")), "it is a core module, and a component is needed"),
        (complaint(&component("(component)")), "it has no section `sentinel:manifest` with a manifest"),
        (
            complaint(&component(
                "(component (import \"wasi:clocks/wall-clock@0.2.0\" (instance)) (import \"f\" (func)))",
            )),
            "it has no section `sentinel:manifest`",
        ),
        (
            complaint(&component(
                "(component (@custom \"sentinel:manifest\" \"\") (import \"wasi:clocks/wall-clock@0.2.0\" (instance)) (import \"f\" (func)))",
            )),
            "imports `wasi:clocks/wall-clock@0.2.0`, `f`; plugins import nothing",
        ),
        (of(""), "missing field `name`"),
        (of("name = 3"), "its manifest: TOML parse error at line 1, column 8"),
        (of(&format!("{MANIFEST}colour = 'red'\n")), "unknown field `colour`"),
        (
            of(&MANIFEST.replace("\"filter\"", "\"oracle\"")),
            "its world is `oracle`; there are converter, extractor, filter",
        ),
        (
            of(&MANIFEST.replace("0.1\"\nsummary", "9.9\"\nsummary")),
            "it is written against interface 9.9; this program has 0.1",
        ),
        (
            of(&format!("{}scope = 'unit'\n", MANIFEST.replace("\"filter\"", "\"converter\""))),
            "`scope` is a filter's, and it is of world `converter`",
        ),
        (of(&format!("{MANIFEST}#{}", "x".repeat(64 << 10))), "65536 are the limit"),
    ];
    for (complaint, part) in table {
        assert!(complaint.contains(part), "`{complaint}` does not say `{part}`");
    }
}

#[test]
fn two_manifests_are_one_too_many() {
    let two = filter(MANIFEST, FILTER, &format!("(@custom \"sentinel:manifest\" \"\") {EMPTY}"));
    assert!(complaint(&two).contains("it has more than one manifest"));
}

#[test]
fn a_deep_manifest_is_refused_without_a_crash() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let deep = format!("{MANIFEST}config = {}1{}\n", open.repeat(9_000), close.repeat(9_000));
        assert!(complaint(&filter(&deep, FILTER, EMPTY)).contains("its manifest: "));
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_an_answer() {
    let whole = std::fs::read(shipped("coco-objects").path).unwrap();
    // A file may end where a section does, after its manifest: then it has a manifest, and cannot be opened.
    let host = host();
    for cut in (0..whole.len()).step_by(997) {
        let plugin = made(&whole[..cut]);
        assert!(host.extractor(&plugin.spec).is_err(), "the first {cut} bytes");
    }
    for at in (0..whole.len()).step_by(499) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let plugin = made(&changed);
        let _ = Manifests.manifest(&plugin.spec.path);
    }
}

#[test]
fn what_is_no_file_is_no_plugin() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Manifests.manifest(folder.path()).unwrap_err().contains("is no plugin: it is no file"));
    assert!(Manifests.manifest(&folder.path().join("absent.wasm")).unwrap_err().contains("cannot read the plugin"));
    let large = folder.path().join("large.wasm");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    assert!(Manifests.manifest(&large).unwrap_err().contains("has more than 67108864 bytes"));
}
