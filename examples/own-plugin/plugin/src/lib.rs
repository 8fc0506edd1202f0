//! A filter as anybody may write one: it drops preference pairs whose chosen sentence hedges.

use sentinel_plugin::filter::{Decision, Error};
use serde::Deserialize;

sentinel_plugin::manifest!("../plugin.toml");
sentinel_plugin::filter!(decide);

#[derive(Deserialize)]
struct Config {
    #[serde(default = "usual")]
    words: Vec<String>,
}

fn usual() -> Vec<String> {
    ["appears", "likely", "maybe", "might", "perhaps", "possibly", "probably", "seems"].map(str::to_owned).into()
}

/// The part of a pair that this filter looks at.
#[derive(Deserialize)]
struct Pair {
    chosen: String,
}

fn decide(config: &str, rows: Vec<String>) -> Result<Vec<Decision>, Error> {
    let config: Config = sentinel_plugin::parse(config).map_err(Error::BadConfig)?;
    rows.iter().map(|row| one(&config, row)).collect()
}

fn one(config: &Config, row: &str) -> Result<Decision, Error> {
    let pair: Pair = sentinel_plugin::parse(row).map_err(Error::BadRecord)?;
    let chosen = pair.chosen.to_lowercase();
    let hedges =
        chosen.split(|letter: char| !letter.is_alphabetic()).any(|word| config.words.iter().any(|hedge| hedge == word));
    Ok(if hedges { Decision::Drop("hedges".to_owned()) } else { Decision::Keep })
}
