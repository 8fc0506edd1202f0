//! Results are kept by what made them, the stage's version included. So a stage's source must not change its meaning under the
//! same version: `versions.json` keeps the digest of each stage's source beside its version. A test that fails here asks one
//! question: can the same inputs now give other bytes? If so, raise `version()`; either way confirm with `UPDATE=1`.

use std::collections::BTreeMap;
use std::path::Path;

use sentinel_core::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bench::{stage, word_engines};

/// What a text names is read by the bundled extractor's own code and table.
const LEXICON: &str = "../../../plugins/bundled/coco-objects/src/lexicon.rs";
const SYNONYMS: &str = "../../../plugins/bundled/coco-objects/synonyms.txt";

/// What a stage's results depend on besides its own file.
fn parts(name: &str) -> &'static [&'static str] {
    match name {
        "caption" => &["models.rs", "sample.rs"],
        "convert" => &["models.rs", "released.rs"],
        "detect" => &[LEXICON, "models.rs", SYNONYMS],
        "evaluate" => &[LEXICON, "metrics.rs", "metrics/chair.rs", "metrics/length.rs", "metrics/truth.rs", SYNONYMS],
        "extend" => &["candidates.rs", "draw.rs", "released.rs"],
        "extract" | "filter" | "sample" => &["models.rs"],
        "judge" => &[LEXICON, SYNONYMS],
        "pair" => &["candidates.rs", "released.rs"],
        "read" => &["read/index.rs", "released.rs"],
        "train" => &["models.rs", "train/config.rs"],
        _ => &[],
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    source: Digest,
}

fn version(name: &str) -> u32 {
    let with = match name {
        "caption" | "sample" => json!({ "model": "base" }),
        "convert" => json!({ "format": "sentinel" }),
        "detect" => json!({ "detectors": ["yolo"] }),
        "extract" => json!({ "plugin": "objects" }),
        "filter" => json!({ "plugin": "sieve" }),
        "read" => json!({ "file": "/list.jsonl" }),
        "scenes" => json!({ "count": 1, "split": "train" }),
        "train" => json!({ "model": "base", "loss": "c-dpo" }),
        _ => json!({}),
    };
    let mut engines = word_engines(|_| Vec::new());
    engines.filter = Some((
        sentinel_domain::ports::FilterScope::Unit,
        std::sync::Arc::new(sentinel_domain::fakes::FakeFilter(Box::new(|_| sentinel_domain::ports::Kept::Yes))),
    ));
    stage(engines, name, with).version()
}

#[test]
fn a_changed_stage_has_a_new_version_or_was_confirmed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read =
        |part: &str| std::fs::read(root.join("src").join(part)).unwrap_or_else(|error| panic!("{part}: {error}"));
    let now = |name: &str| {
        let own = format!("{name}.rs");
        let sources: Vec<Vec<u8>> =
            std::iter::once(own.as_str()).chain(parts(name).iter().copied()).map(read).collect();
        Kept { version: version(name), source: Digest::of_parts(sources.iter().map(Vec::as_slice)) }
    };
    let now: BTreeMap<&str, Kept> = sentinel_stages::STAGES.iter().map(|entry| (entry.name, now(entry.name))).collect();
    let path = root.join("tests/suite/versions.json");
    let text = format!("{:#}\n", json!(now));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept: BTreeMap<String, Kept> = serde_json::from_str(&kept).unwrap_or_default();
    let changed: Vec<&str> =
        now.iter().filter(|(name, now)| kept.get(**name) != Some(*now)).map(|(name, _)| *name).collect();
    assert!(
        changed.is_empty(),
        "the source of {changed:?} changed: raise `version()` if the same inputs may give other bytes, then confirm with UPDATE=1"
    );
}
