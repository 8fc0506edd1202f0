//! The plugin of `examples/own-plugin`, as a stranger would write it, on the pairs beside it.

use sentinel_core::workflow::PluginManifests;
use sentinel_domain::ports::{Kept, PluginSpec};
use sentinel_plugin_host::Manifests;

use crate::bench::{host, root};

/// Returns which pairs of the example stay.
fn stay(config: &str) -> Vec<bool> {
    let folder = root().join("examples/own-plugin");
    let spec = PluginSpec { name: "no-hedges".to_owned(), path: folder.join("no-hedges.wasm") };
    let text = std::fs::read_to_string(folder.join("pairs.jsonl")).unwrap();
    // The example's rows are as SENTINEL publishes them; inside a workflow the sentence is called `chosen`.
    let rows: Vec<String> = text.lines().map(|row| row.replace("\"y_win\"", "\"chosen\"")).collect();
    let answer = host().filter(&spec).unwrap().keep(config, &[rows.iter().map(String::as_str).collect()]).unwrap();
    let kept = |word: &Kept| match word {
        Kept::Yes => true,
        Kept::No(reason) => {
            assert_eq!(reason, "hedges");
            false
        }
    };
    answer[0].as_ref().unwrap().iter().map(kept).collect()
}

#[test]
fn it_drops_what_hedges() {
    assert_eq!(stay("{}"), [true, false, true, false, true]);
    assert_eq!(stay(r#"{"words": ["empty", "round"]}"#), [true, true, false, true, false]);
}

#[test]
fn it_says_what_it_is() {
    let manifest = Manifests.manifest(&root().join("examples/own-plugin/no-hedges.wasm")).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.world.as_str()), ("no-hedges", "filter"));
    assert_eq!(manifest.config_schema["properties"]["words"]["minItems"], 1);
}
