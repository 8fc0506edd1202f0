//! The search for the ONNX Runtime library, in folders made for it.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::fs;
use std::path::{Path, PathBuf};

use sentinel_detect::locate::{Places, candidates, version_of};
use sentinel_detect::{Engine, Search};

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "no library").unwrap();
}

fn capi(prefix: &Path) -> PathBuf {
    prefix.join("lib/python3.11/site-packages/onnxruntime/capi")
}

#[test]
fn places_are_searched_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    touch(&at("named/libonnxruntime.so.1.30.0"));
    touch(&at("program/libonnxruntime.dylib"));
    touch(&capi(&at("venv")).join("libonnxruntime.so.1.32.0"));
    touch(&capi(&at("venv")).join("libonnxruntime_providers_shared.so"));
    touch(&capi(&at("usr")).join("libonnxruntime.so.1.31.0"));
    touch(&at("usr/bin/python3"));
    touch(&capi(&at("pyenv/versions/3.12")).join("libonnxruntime.so.1.29.0"));
    touch(&capi(&at("home/.local")).join("libonnxruntime.so.1.28.0"));
    let places = Places {
        variable: Some(at("named/libonnxruntime.so.1.30.0")),
        program_dir: Some(at("program")),
        environments: vec![at("venv"), at("gone")],
        path: vec![at("nowhere"), at("usr/bin"), at("usr/bin"), at("pyenv/shims")],
        home: Some(at("home")),
    };
    let found: Vec<_> = candidates(&places).into_iter().map(|found| (version_of(&found.path), found.place)).collect();
    let version = |text: &str| Some(text.to_owned());
    let wanted = [
        (version("1.30.0"), "ORT_DYLIB_PATH"),
        (None, "beside the program"),
        (version("1.32.0"), "Python packages"),
        (version("1.31.0"), "Python packages"),
        (version("1.29.0"), "Python packages"),
        (version("1.28.0"), "Python packages"),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn the_package_tells_the_version_where_the_file_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let library = capi(dir.path()).join("onnxruntime.dll");
    touch(&library);
    fs::create_dir(dir.path().join("lib/python3.11/site-packages/onnxruntime-1.27.1.dist-info")).unwrap();
    assert_eq!(version_of(&library), Some("1.27.1".to_owned()));
    assert_eq!(version_of(Path::new("/lib/libonnxruntime.1.26.0.dylib")), Some("1.26.0".to_owned()));
    assert_eq!(version_of(Path::new("/lib/libonnxruntime.so.1")), None);
}

#[test]
fn what_does_not_serve_is_told_and_the_fallback_used() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("libonnxruntime.so.1.16.3");
    touch(&old);
    touch(&dir.path().join("libonnxruntime.so.1.99.0"));
    let places = Places {
        variable: Some(dir.path().join("gone.so")),
        program_dir: Some(dir.path().to_owned()),
        ..Places::default()
    };
    let search = Search::run(&places);
    assert!(matches!(search.engine, Engine::Tract));
    let reasons: Vec<&str> = search.rejected.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons[..2], ["there is no such file", "it is version 1.16.3, and 1.24 is the oldest that serves"]);
    assert!(reasons[2].contains("failed to load"), "{}", reasons[2]);
    let note = search.note().unwrap();
    for told in ["built-in tract", "gone.so`: there is no such file", "pip install onnxruntime"] {
        assert!(note.contains(told), "{note}");
    }
    let told = search.to_string();
    assert!(
        told.contains(&format!("not used: `{}` (beside the program): it is version 1.16.3", old.display())),
        "{told}"
    );
}

#[test]
fn the_fallback_can_be_asked_for() {
    let search = Search::run(&Places { variable: Some("none".into()), ..Places::default() });
    assert!(matches!(search.engine, Engine::Tract) && search.declined && search.note().is_none());
    assert!(search.to_string().ends_with("as `ORT_DYLIB_PATH=none` asks"), "{search}");
}

#[test]
fn the_engines_version_is_the_one_built_in() {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let version =
        lock.split("name = \"tract-onnx\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(Engine::Tract.identity(), format!("tract {version}"));
}
