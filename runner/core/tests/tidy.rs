//! The house rules a compiler cannot check, checked by walking the repository: arrows between crates, sizes, opening comments,
//! leftovers, words that do not belong in the core. `ARCHITECTURE.md` gives the reasons.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crate → which of our crates it may use. The composition root and the tests see everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("detect", &["core", "domain", "pictures"]),
    ("domain", &["core"]),
    ("models", &["core", "domain", "pictures"]),
    ("pictures", &[]),
    ("plugin-host", &["core", "domain"]),
    ("remote", &["core", "domain"]),
    ("stages", &["core", "domain"]),
    ("train", &["core", "domain", "models"]),
    ("world", &["core", "domain"]),
];

/// Crate → heavy or outside things only it may use. `cli` alone brings them together.
const OWNERS: &[(&str, &[&str])] = &[
    ("candle-core", &["models", "train"]),
    ("candle-nn", &["models", "train"]),
    ("candle-transformers", &["models"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("ort", &["detect"]),
    ("petgraph", &["core"]),
    ("rusqlite", &["core"]),
    ("reqwest", &["remote"]),
    ("tokio", &["cli", "core", "remote"]),
    ("tract-onnx", &["detect"]),
    ("wasmtime", &["plugin-host"]),
];

/// Words of the field, which the runner does not know. Pictures are left out: the report shows annotated pictures.
const FIELD_WORDS: &[&str] =
    &["adapter", "caption", "detector", "hallucinat", "llava", "lora", "mention", "sentence", "tokenizer", "verdict"];

/// Files stay pages.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns every Rust file below some folders of the repository, with its text.
fn rust_files(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> =
        folders.iter().map(|folder| root().join(folder)).filter(|folder| folder.is_dir()).collect();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// Returns the names of a manifest's dependencies, those of its tests apart.
fn dependencies(crate_name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = std::fs::read_to_string(root().join("runner").join(crate_name).join("Cargo.toml")).unwrap();
    let (mut uses, mut tests, mut section) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if let Some((name, _)) = line.split_once(['.', ' ', '=']).filter(|_| !line.starts_with('#')) {
            match section.as_str() {
                "[dependencies]" | "[build-dependencies]" => uses.insert(name.to_owned()),
                "[dev-dependencies]" => tests.insert(name.to_owned()),
                _ => false,
            };
        }
    }
    (uses, tests)
}

fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("runner")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = folders
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn arrows_between_crates_lead_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for name in crates() {
        if name == "cli" {
            continue;
        }
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("crate `{name}` has no arrows in the table above: a new crate is architecture"));
            continue;
        };
        let (uses, tests) = dependencies(&name);
        // The tiny world is what tests and benchmarks of any crate may work on.
        let tests = tests.iter().filter(|used| *used != "sentinel-world");
        for used in uses.iter().chain(tests).filter_map(|used| used.strip_prefix("sentinel-")) {
            if !allowed.contains(&used) && used != name {
                wrong.push(format!("`{name}` must not use `{used}`"));
            }
        }
    }
    report(wrong);
}

#[test]
fn engines_stay_with_their_owners() {
    let mut wrong = Vec::new();
    for name in crates() {
        let (uses, _) = dependencies(&name);
        for (library, owners) in OWNERS {
            if uses.contains(*library) && !owners.contains(&name.as_str()) {
                wrong.push(format!("`{name}` must not use `{library}`, which is for {owners:?}"));
            }
        }
    }
    report(wrong);
}

#[test]
fn every_file_is_a_page_that_says_what_it_is() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["runner", "tests", "plugins", "examples"]) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{path} has {lines} lines; {LINES_MAX} are the limit"));
        }
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
        if !first.is_some_and(|line| line.starts_with("//!") && line.len() > 8) {
            wrong.push(format!("{path} does not open with `//!`"));
        }
    }
    report(wrong);
}

#[test]
fn nothing_is_left_over() {
    // Written apart, so that this file does not find itself.
    let banned = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("TO", "DO"),
        concat!("XX", "X"),
        concat!("#[ig", "nore"),
        concat!("#[should_", "panic"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["runner", "tests", "plugins", "examples"]) {
        for (number, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}:{}: `{word}`", number + 1));
            }
            if line.contains(concat!("#[al", "low(")) || line.contains(concat!("#![al", "low(")) {
                wrong.push(format!("{path}:{}: write `#[expect(…, reason = …)]`", number + 1));
            }
        }
    }
    report(wrong);
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["runner"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if code.contains(concat!("unsa", "fe {"))
                && !lines[number.saturating_sub(6)..=number].iter().any(|above| above.contains("SAFETY:"))
            {
                wrong.push(format!("{path}:{}: `unsafe` without `SAFETY:` above it", number + 1));
            }
        }
    }
    report(wrong);
}

#[test]
fn the_core_knows_no_word_of_the_field() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["runner/core/src"]) {
        // What a comment gives as an example may come from the field; code may not.
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            // HTML has a word of its own for what stands below a figure.
            let code = line.to_lowercase().replace("figcaption", "");
            for word in FIELD_WORDS.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
    }
    report(wrong);
}

#[test]
fn stages_and_domain_reach_the_world_only_through_the_job() {
    let banned = [
        "std::fs",
        "std::process",
        "std::env",
        "std::net",
        "std::time::SystemTime",
        "std::time::Instant",
        "Instant::now",
        "SystemTime::now",
    ];
    let mut wrong = Vec::new();
    let files = rust_files(&["runner/stages/src", "runner/domain/src"]);
    for (path, text) in files.into_iter().filter(|(path, _)| !path.contains("/fakes")) {
        for (number, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
    }
    report(wrong);
}

#[test]
fn libraries_neither_print_nor_exit() {
    let banned = ["println!(", "eprintln!(", "process::exit("];
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["runner"])
        .into_iter()
        .filter(|(path, _)| path.contains("/src/") && !path.starts_with("runner/cli/"))
    {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
    }
    report(wrong);
}

#[test]
fn dependencies_are_named_once_and_explained() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let mut wrong = Vec::new();
    let mut above = "";
    for line in table.lines() {
        let ours = line.starts_with("sentinel-");
        if line.contains(" = ") && !line.starts_with('#') && !ours {
            if !line.contains('#') && !above.starts_with('#') {
                wrong.push(format!("no reason beside `{line}`"));
            }
            if !line.contains("default-features = false") && !line.starts_with("serde") && !line.starts_with("anyhow") {
                wrong.push(format!("default features of `{line}`"));
            }
        }
        above = line;
    }
    for name in crates() {
        let manifest = std::fs::read_to_string(root().join("runner").join(&name).join("Cargo.toml")).unwrap();
        let versions = manifest
            .lines()
            .filter(|line| line.contains("version = \""))
            .map(|line| format!("{name}: `{line}` belongs in the workspace"));
        wrong.extend(versions);
    }
    report(wrong);
}

#[test]
fn fixtures_are_small() {
    const FIXTURES_BYTES_MAX: u64 = 8 << 20;
    let mut total = 0;
    let mut waiting = vec![root().join("tests/fixtures"), root().join("tests/golden")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                waiting.push(entry.path());
            } else {
                total += entry.metadata().unwrap().len();
            }
        }
    }
    assert!(total <= FIXTURES_BYTES_MAX, "fixtures have {total} bytes");
}
