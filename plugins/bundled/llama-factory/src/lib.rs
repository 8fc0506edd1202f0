//! The bundled converter for LLaMA-Factory: a ranking data set and the `dataset_info.json` that describes it.
//!
//! LLaMA-Factory has no context column. With the context before both answers, its log-probabilities stand on both sides of the
//! sigmoid loss and cancel; losses that divide by length (`ipo`, `orpo`, `simpo`) see it.

use sentinel_plugin::converter::{Error, File};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

sentinel_plugin::manifest!("../plugin.toml");
sentinel_plugin::converter!(convert);

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    name: String,
    layout: Layout,
    context: Context,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: "sentinel".to_owned(), layout: Layout::Alpaca, context: Context::Prefix }
    }
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Layout {
    Alpaca,
    Sharegpt,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Context {
    Prefix,
    Column,
}

#[derive(Deserialize)]
struct Pair {
    image_path: String,
    question: String,
    context: Vec<String>,
    chosen: String,
    rejected: String,
}

/// A row of the alpaca layout.
#[derive(Serialize)]
struct Alpaca<'a> {
    instruction: String,
    input: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    chosen: String,
    rejected: String,
    images: [&'a str; 1],
}

/// A row of the sharegpt layout.
#[derive(Serialize)]
struct Sharegpt<'a> {
    conversations: [Turn; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    chosen: Turn,
    rejected: Turn,
    images: [&'a str; 1],
}

#[derive(Serialize)]
struct Turn {
    from: &'static str,
    value: String,
}

fn convert(config: &str, rows: Vec<String>) -> Result<Vec<File>, Error> {
    let config: Config = sentinel_plugin::parse(config).map_err(Error::BadConfig)?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let pair: Pair = sentinel_plugin::parse(row).map_err(Error::BadRecord)?;
        lines.push(line(&pair, &config));
    }
    let file = format!("{}.json", config.name);
    let info = serde_json::to_string_pretty(&json!({ config.name.as_str(): info(&config, &file) }));
    let info = info.expect("values are JSON") + "\n";
    let data = if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) };
    Ok(vec![
        File { path: "dataset_info.json".to_owned(), content: info.into_bytes() },
        File { path: file, content: data.into_bytes() },
    ])
}

fn line(pair: &Pair, config: &Config) -> String {
    let before = pair.context.join(" ");
    let answer = |sentence: &str| match config.context {
        Context::Prefix if !before.is_empty() => format!("{before} {sentence}"),
        _ => sentence.to_owned(),
    };
    let (chosen, rejected) = (answer(&pair.chosen), answer(&pair.rejected));
    let context = (config.context == Context::Column).then(|| before.clone());
    let question = format!("<image>{}", pair.question);
    let images = [pair.image_path.as_str()];
    let line = match config.layout {
        Layout::Alpaca => {
            serde_json::to_string(&Alpaca { instruction: question, input: "", context, chosen, rejected, images })
        }
        Layout::Sharegpt => {
            let turn = |from, value| Turn { from, value };
            let (chosen, rejected) = (turn("gpt", chosen), turn("gpt", rejected));
            let conversations = [turn("human", question)];
            serde_json::to_string(&Sharegpt { conversations, context, chosen, rejected, images })
        }
    };
    line.expect("strings are JSON")
}

fn info(config: &Config, file: &str) -> Value {
    let mut columns = match config.layout {
        Layout::Alpaca => json!({ "prompt": "instruction", "query": "input" }),
        Layout::Sharegpt => json!({ "messages": "conversations" }),
    };
    for name in ["chosen", "rejected", "images"] {
        columns[name] = name.into();
    }
    let mut info = json!({ "file_name": file, "ranking": true, "columns": columns });
    if config.layout == Layout::Sharegpt {
        info["formatting"] = "sharegpt".into();
    }
    info
}
