//! The bundled converter for SENTINEL's LLaVA-1.5 trainer, which is HA-DPO's with a context: an object from image id to its pairs.
//! A context without sentences is `null`, for the reader puts a space behind anything else.

use std::collections::BTreeMap;

use sentinel_plugin::converter::{Error, File};
use serde::{Deserialize, Serialize};

sentinel_plugin::manifest!("../plugin.toml");
sentinel_plugin::converter!(convert);

#[derive(Deserialize)]
struct Config {
    #[serde(default = "file")]
    file: String,
}

fn file() -> String {
    "pairs.json".to_owned()
}

#[derive(Deserialize)]
struct Pair {
    id: String,
    question: String,
    context: Vec<String>,
    chosen: String,
    rejected: String,
    #[serde(rename = "type")]
    pair_type: String,
}

/// A pair as the trainer reads it.
#[derive(Serialize)]
struct Row<'a> {
    question: &'a str,
    context: Option<String>,
    y_win: &'a str,
    y_lose: &'a str,
    #[serde(rename = "type")]
    pair_type: &'a str,
}

fn convert(config: &str, rows: Vec<String>) -> Result<Vec<File>, Error> {
    let config: Config = sentinel_plugin::parse(config).map_err(Error::BadConfig)?;
    let pairs = rows.iter().map(|row| sentinel_plugin::parse(row)).collect::<Result<Vec<Pair>, _>>();
    let pairs = pairs.map_err(Error::BadRecord)?;
    let mut text = String::from("{");
    for (number, image) in by_image(&pairs).into_iter().enumerate() {
        let id = serde_json::to_string(&image[0].id).expect("a string is JSON");
        let lines: Vec<String> = image.into_iter().map(row).collect();
        text.push_str(if number > 0 { ",\n" } else { "\n" });
        text.push_str(&format!("{id}: [\n  {}\n]", lines.join(",\n  ")));
    }
    text.push_str("\n}\n");
    Ok(vec![File { path: config.file, content: text.into_bytes() }])
}

/// Returns the pairs of each image, in the order in which images come first: a reader of JSON keeps one of two equal keys.
fn by_image(pairs: &[Pair]) -> Vec<Vec<&Pair>> {
    let (mut images, mut places) = (Vec::<Vec<&Pair>>::new(), BTreeMap::new());
    for pair in pairs {
        let place = *places.entry(&pair.id).or_insert(images.len());
        if place == images.len() {
            images.push(Vec::new());
        }
        images[place].push(pair);
    }
    images
}

fn row(pair: &Pair) -> String {
    let context = (!pair.context.is_empty()).then(|| pair.context.join(" "));
    let Pair { question, chosen: y_win, rejected: y_lose, pair_type, .. } = pair;
    serde_json::to_string(&Row { question, context, y_win, y_lose, pair_type }).expect("strings are JSON")
}
