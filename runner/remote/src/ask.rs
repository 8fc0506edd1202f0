//! A request to a chat-completions server: the picture as a data URL, the question, and the description so far.
//!
//! Where the server goes on with an unfinished assistant turn, the description so far *is* that turn, as in native sampling. Elsewhere
//! it is quoted in the question, and the model is asked for what comes next: close, but another prompt than a trained model knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sentinel_core::digest::Digest;
use sentinel_domain::ports::{Prompt, Sampling};
use serde_json::{Map, Value, json};

/// A request, and how many answers it draws.
pub(crate) struct Ask {
    pub(crate) body: Value,
    pub(crate) answers: u32,
}

/// How the description so far is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// As an unfinished assistant turn.
    Turn,
    /// Quoted in the question.
    Quoted,
}

/// Returns a request for `answers` answers, of which the first is candidate number `candidate`.
pub(crate) fn ask(
    model: &str,
    prompt: &Prompt<'_>,
    context: Context,
    settings: &Sampling,
    max_tokens: u32,
    candidate: u32,
    answers: u32,
) -> Ask {
    let said = prompt.context.join(" ");
    let is_turn = context == Context::Turn && !said.is_empty();
    let question = match said.is_empty() || is_turn {
        true => prompt.question.to_owned(),
        false => quoted(prompt.question, &said),
    };
    let picture = json!({ "type": "image_url", "image_url": { "url": data_url(&prompt.bytes) } });
    let mut messages = vec![json!({ "role": "user", "content": [picture, { "type": "text", "text": question }] })];
    let mut body = Map::new();
    if is_turn {
        messages.push(json!({ "role": "assistant", "content": said }));
        body.insert("add_generation_prompt".to_owned(), false.into());
        body.insert("continue_final_message".to_owned(), true.into());
    }
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), true.into());
    body.insert("max_tokens".to_owned(), max_tokens.into());
    body.insert("temperature".to_owned(), settings.temperature.into());
    body.insert("seed".to_owned(), seed(settings, prompt, candidate).into());
    // Servers refuse what they do not know, so nothing is said that is a default anyway.
    if settings.top_p < 1.0 {
        body.insert("top_p".to_owned(), settings.top_p.into());
    }
    if settings.top_k > 0 {
        body.insert("top_k".to_owned(), settings.top_k.into());
    }
    if answers > 1 {
        body.insert("n".to_owned(), answers.into());
    }
    Ask { body: Value::Object(body), answers }
}

/// Returns a question with the description so far inside.
fn quoted(question: &str, said: &str) -> String {
    format!(
        "{question}\n\nThe answer has been begun: \"{said}\"\nGo on where it ends. Write only what comes next, and repeat nothing of it."
    )
}

fn data_url(bytes: &[u8]) -> String {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, ..] => "jpeg",
        _ => "octet-stream",
    };
    let kind = if kind == "octet-stream" { "application/octet-stream".to_owned() } else { format!("image/{kind}") };
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

/// Returns the seed of a candidate, of 31 bits, which every server takes: a stream of its own for each record, step and candidate.
fn seed(settings: &Sampling, prompt: &Prompt<'_>, candidate: u32) -> u32 {
    let name = json!([settings.seed, settings.stream, prompt.id, prompt.step, candidate]);
    let digest = Digest::of(name.to_string().as_bytes());
    let first: [u8; 4] = digest.as_bytes()[..4].try_into().expect("a digest has 32 bytes");
    u32::from_le_bytes(first) >> 1
}
