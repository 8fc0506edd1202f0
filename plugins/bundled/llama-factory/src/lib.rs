//! The bundled converter for LLaMA-Factory: a ranking data set and the `dataset_info.json` that describes it.
//!
//! LLaMA-Factory has no context column. With the context before both answers, its log-probabilities stand on both sides of the
//! sigmoid loss and cancel; losses that divide by length (`ipo`, `orpo`, `simpo`) see it. Trainers that mask a column of their own
//! put a space behind any text in it, so that no context is `null`.

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
    id: String,
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
    context: Option<Option<String>>,
    chosen: String,
    rejected: String,
    images: [&'a str; 1],
}

/// A row of the sharegpt layout.
#[derive(Serialize)]
struct Sharegpt<'a> {
    conversations: [Turn; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Option<String>>,
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
        lines.push(line(&pair, question(&pair)?, &config));
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

/// LLaMA-Factory's marks for pictures, films and sounds, which it counts in all it reads of a row.
const MARKS: [&str; 3] = ["<image>", "<video>", "<audio>"];

/// Returns the question with the mark of its picture.
fn question(pair: &Pair) -> Result<String, Error> {
    let said = pair.context.iter().chain([&pair.chosen, &pair.rejected]);
    let marked = MARKS.iter().any(|mark| said.clone().any(|text| text.contains(mark)));
    match MARKS.map(|mark| pair.question.matches(mark).count()) {
        [0, 0, 0] if !marked => Ok(format!("<image>{}", pair.question)),
        [1, 0, 0] if !marked => Ok(pair.question.clone()),
        _ => Err(Error::BadRecord(format!(
            "a pair of `{}` has a mark of LLaMA-Factory in its text, such as `<image>`",
            pair.id
        ))),
    }
}

fn line(pair: &Pair, question: String, config: &Config) -> String {
    let before = pair.context.join(" ");
    let answer = |sentence: &str| match config.context {
        Context::Prefix if !before.is_empty() => format!("{before} {sentence}"),
        _ => sentence.to_owned(),
    };
    let (chosen, rejected) = (answer(&pair.chosen), answer(&pair.rejected));
    let context = (config.context == Context::Column).then(|| (!before.is_empty()).then(|| before.clone()));
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
    if config.context == Context::Column {
        columns["context"] = "context".into();
    }
    let mut info = json!({ "file_name": file, "ranking": true, "columns": columns });
    if config.layout == Layout::Sharegpt {
        info["formatting"] = "sharegpt".into();
    }
    info
}
