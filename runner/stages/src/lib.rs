//! The stages. One file a stage; the file's name is the stage's name, a verb. They are thin: what a stage decides is a pure
//! function beside it, what is heavy is an engine behind a port of `sentinel_domain`. No stage opens a file, reads a clock or
//! prints.
//!
//! # The way of a picture
//! `read` or `scenes` → the sentence loop: `sample` → `extract` → `detect` → `judge` → `pair` → `extend` → and from its pairs:
//! `filter` → `convert`, `train` → `caption` → `evaluate`.
//!
//! # Reading order
//! [`STAGES`] is the one list of kinds; `kind` is what an entry is; then a stage, say `judge`. Shared by several stages:
//! `candidates` (what a step's sentences name), `lexicon` (objects named in a text), `metrics`, `released` (the formats of the
//! released SENTINEL code), `models` (entries of `models:`), `gallery` (pictures for the report).

mod candidates;
mod caption;
mod convert;
mod detect;
mod draw;
mod evaluate;
mod extend;
mod extract;
mod filter;
mod gallery;
mod judge;
mod kind;
#[path = "../../../plugins/bundled/coco-objects/src/lexicon.rs"]
mod lexicon;
mod metrics;
mod models;
mod pair;
mod read;
#[cfg(test)]
mod reference;
mod released;
mod sample;
mod scenes;
mod served;
mod speaker;
mod train;

use std::sync::Arc;

use sentinel_core::stage::StageKind;
use sentinel_core::workflow::{PluginManifests, Registry};
use sentinel_domain::KINDS;
use sentinel_domain::ports::Engines;

pub use kind::Entry;
pub use models::ASSETS;

/// Every stage kind, sorted by name.
pub static STAGES: &[&Entry] = &[
    &caption::ENTRY,
    &convert::ENTRY,
    &detect::ENTRY,
    &evaluate::ENTRY,
    &extend::ENTRY,
    &extract::ENTRY,
    &filter::ENTRY,
    &judge::ENTRY,
    &pair::ENTRY,
    &read::ENTRY,
    &sample::ENTRY,
    &scenes::ENTRY,
    &train::ENTRY,
];

/// Returns everything a workflow may name: the stage kinds, closing over the engines they call, the asset kinds and the
/// artifact kinds.
pub fn registry<'a>(engines: &Arc<dyn Engines>, plugins: &'a dyn PluginManifests) -> Registry<'a> {
    let stages = STAGES.iter().map(|entry| Box::new(entry.with(engines.clone())) as Box<dyn StageKind>);
    Registry { stages: stages.collect(), assets: ASSETS, kinds: KINDS, plugins }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_say_what_they_list() {
        assert!(STAGES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ASSETS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for entry in STAGES {
            assert!(!entry.summary.is_empty() && !entry.summary.ends_with('.'), "{}", entry.name);
        }
    }
}
