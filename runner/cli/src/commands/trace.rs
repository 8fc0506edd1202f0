//! `trace`: the way of one record through the last run.

use sentinel_core::report::wording::value;
use sentinel_core::trace::{Output, Passage};
use serde_json::Value;

use super::{Desk, Told, fail, last};
use crate::args::TraceArgs;
use crate::exit::Exit;
use crate::printer;

/// Rows told of an output, and characters of a row.
const ROWS_MAX: usize = 3;
const ROW_CHARS: usize = 160;
/// Letters by which a digest is told.
const DIGEST_LETTERS: usize = 8;

pub(super) fn run(desk: &Desk, args: &TraceArgs) -> Told {
    let way = last(desk, &args.workflow)?.trace(&args.record).map_err(|error| fail(&error))?;
    let asked = |one: &&Passage| args.stage.as_ref().is_none_or(|stage| *stage == one.stage);
    for one in way.iter().filter(asked) {
        let text = match args.json {
            true => serde_json::to_string(one).expect("a trace is JSON") + "\n",
            false => told(one, args.stage.is_some()),
        };
        if !printer::data(&text)? {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Tells one step; all its rows, if that is all there is to tell.
fn told(one: &Passage, whole: bool) -> String {
    let step = if one.stage.contains('/') { format!(", step {}", one.step) } else { String::new() };
    let among = if one.is_whole { ", with all other records" } else { "" };
    let mut text = format!("{}{step}{among}\n", one.stage);
    text += &format!("  by    {}\n", brief(&one.ingredients));
    if let Some(made_on) = one.made_on.as_ref().filter(|_| whole) {
        text += &format!("  on    {made_on}\n");
    }
    for input in &one.inputs {
        let digest = input.digest.map(|digest| format!(" ({})", short(&digest.to_string()))).unwrap_or_default();
        text += &format!("  from  {}{digest}\n", input.from);
    }
    text += &one.outputs.iter().map(|output| gave(output, whole)).collect::<String>();
    if let Some(aside) = &one.aside {
        text += &format!("  set aside: {aside}\n");
    }
    text
}

fn gave(output: &Output, whole: bool) -> String {
    if !output.files.is_empty() {
        return format!("  gave  {}: {}\n", output.name, output.files.join(", "));
    }
    let most = if whole { usize::MAX } else { ROWS_MAX };
    let mut text = format!("  gave  {} {}\n", output.rows.len(), output.name);
    for row in output.rows.iter().take(most) {
        text += &format!("          {}\n", value(row, if whole { usize::MAX } else { ROW_CHARS }));
    }
    if output.rows.len() > most {
        text += &format!("          … and {} more; `--stage` prints all\n", output.rows.len() - most);
    }
    text
}

/// Returns ingredients in a line, digests by their first letters.
fn brief(ingredients: &Value) -> String {
    match ingredients {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::Object(_) => format!("{name}: {{{}}}", brief(value)),
                _ => format!("{name}: {}", brief(value)),
            });
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => match items.as_slice() {
            // A file by its name and its content.
            [Value::String(name), Value::String(digest)] if is_digest(digest) => format!("{name} {}", short(digest)),
            _ => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
        },
        Value::String(text) => short(text),
        plain => plain.to_string(),
    }
}

fn short(text: &str) -> String {
    if is_digest(text) { text[..DIGEST_LETTERS].to_owned() } else { text.to_owned() }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
