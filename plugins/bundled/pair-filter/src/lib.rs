//! The bundled filter of preference pairs. Rules are asked in a fixed order; the first that says no gives the reason.

use std::collections::BTreeSet;

use sentinel_plugin::filter::{Decision, Error};
use serde::Deserialize;

sentinel_plugin::manifest!("../plugin.toml");
sentinel_plugin::filter!(decide);

#[derive(Deserialize)]
struct Config {
    max_per_image: Option<usize>,
    max_words: Option<usize>,
    types: Option<Vec<String>>,
    #[serde(default = "yes")]
    distinct: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Pair {
    chosen: String,
    rejected: String,
    #[serde(rename = "type")]
    pair_type: String,
}

fn decide(config: &str, rows: Vec<String>) -> Result<Vec<Decision>, Error> {
    let config: Config = sentinel_plugin::parse(config).map_err(Error::BadConfig)?;
    let (mut kept, mut seen) = (0, BTreeSet::new());
    let mut decisions = Vec::with_capacity(rows.len());
    for row in &rows {
        let pair: Pair = sentinel_plugin::parse(row).map_err(Error::BadRecord)?;
        let no = refuse(&config, &pair, kept, &seen);
        if no.is_none() {
            kept += 1;
            seen.insert((pair.chosen, pair.rejected));
        }
        decisions.push(no.map_or(Decision::Keep, |reason| Decision::Drop(reason.to_owned())));
    }
    Ok(decisions)
}

fn refuse(config: &Config, pair: &Pair, kept: usize, seen: &BTreeSet<(String, String)>) -> Option<&'static str> {
    let words = |text: &str| text.split_whitespace().count();
    if config.types.as_ref().is_some_and(|types| !types.contains(&pair.pair_type)) {
        return Some("other-type");
    }
    if config.max_words.is_some_and(|most| words(&pair.chosen).max(words(&pair.rejected)) > most) {
        return Some("too-long");
    }
    if config.distinct && seen.contains(&(pair.chosen.clone(), pair.rejected.clone())) {
        return Some("repeated");
    }
    if config.max_per_image.is_some_and(|most| kept >= most) {
        return Some("enough-of-this-image");
    }
    None
}
