//! What is shipped under `plugins/dist` was built from the sources beside it. Whoever has the toolchain checks the bytes
//! (`plugins/build --check`); everybody sees whether a source changed since.

use std::collections::BTreeMap;
use std::path::Path;

use sentinel_core::workflow::PluginManifests;
use sentinel_plugin_host::{ENGINE, Manifests};
use sha2::{Digest, Sha256};

use crate::bench::root;

/// Reads a file as `sha256sum` writes it: digest and path by line.
fn record(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let entry = |line: &str| line.split_once("  ").map(|(digest, path)| (path.to_owned(), digest.to_owned()));
    text.lines().map(|line| entry(line).unwrap()).collect()
}

/// Digests files and folders below a folder, as they stand there.
fn digests(folder: &Path, names: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    while let Some(path) = waiting.pop() {
        // What justifies the words is no part of the plugin.
        if path.ends_with("target") || path.ends_with("words") || path.ends_with("dist/SOURCES") {
            continue;
        }
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        let digest = Sha256::digest(std::fs::read(&path).unwrap());
        found.insert(name, digest.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    found
}

#[test]
fn shipped_plugins_were_built_from_these_sources() {
    let plugins = root().join("plugins");
    let own = ["Cargo.toml", "Cargo.lock", ".cargo", "build", "wit", "sdk", "bundled", "dist"];
    let example = ["../examples/own-plugin/plugin", "../examples/own-plugin/no-hedges.wasm"];
    let now = digests(&plugins, &[&own[..], &example].concat());
    let then = record(&plugins.join("dist/SOURCES"));
    let differ = |name: &&String| now.get(*name) != then.get(*name);
    let mut changed: Vec<&String> = now.keys().chain(then.keys()).filter(differ).collect();
    changed.dedup();
    assert!(changed.is_empty(), "{changed:?} changed since plugins/dist was built: run plugins/build");
}

#[test]
fn every_bundled_plugin_is_shipped_under_its_name() {
    let names = |folder: &str| {
        let mut names: Vec<String> = std::fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let bundled = names("plugins/bundled");
    let shipped = names("plugins/dist");
    let expected = bundled.iter().map(|name| format!("{name}.wasm")).collect::<Vec<_>>();
    assert!(shipped.iter().filter(|name| name.ends_with(".wasm")).eq(&expected), "{shipped:?}");
    for name in bundled {
        let manifest = Manifests.manifest(&root().join(format!("plugins/dist/{name}.wasm"))).unwrap();
        assert_eq!(manifest.name, name);
    }
}

/// The version is in the keys of what plugins said.
#[test]
fn the_engine_says_its_true_version() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let (_, after) = lock.split_once("name = \"wasmtime\"\nversion = \"").unwrap();
    let version = after.split('"').next().unwrap();
    assert!(ENGINE.starts_with(&format!("wasmtime {version}, ")), "`{ENGINE}` is not of {version}");
}
