//! A streamed answer: server-sent events, each a piece of some choices' text. Everything here comes from outside and has a limit.

use serde::Deserialize;

/// Bytes of one event.
const EVENT_MAX: usize = 1 << 20;
/// Bytes of one choice's text; a caption has some thousand.
const TEXT_MAX: usize = 1 << 18;

/// What one request was answered with so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reply {
    pub(crate) text: String,
    /// Pieces that brought text: about as many as tokens.
    pub(crate) pieces: u32,
    pub(crate) finish: Option<Finish>,
}

/// Why the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The model ended its turn.
    Ended,
    /// The token limit.
    Length,
}

/// What cannot be read of an answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Garbled {
    #[error("the server reports `{0}`")]
    Reported(String),
    #[error("an event of the answer is no chat completion: {0}")]
    Event(String),
    #[error("the answer has more than {0} bytes")]
    Long(usize),
}

/// Splits bytes into events.
#[derive(Default)]
pub(crate) struct Events {
    held: Vec<u8>,
}

impl Events {
    /// Takes bytes as they come; returns the data of every event that is whole.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<String>, Garbled> {
        let mut whole = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(line);
            if self.held.len() > EVENT_MAX {
                return Err(Garbled::Long(EVENT_MAX));
            }
            if self.held.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.held);
                let line = String::from_utf8_lossy(&line);
                // Data of several lines does not occur: JSON is written in one. Other fields and comments say nothing here.
                if let Some(data) = line.trim_end().strip_prefix("data:") {
                    whole.push(data.trim_start().to_owned());
                }
            }
        }
        Ok(whole)
    }
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    /// Of a streamed answer.
    #[serde(default)]
    delta: Option<Piece>,
    /// Of one in one piece.
    #[serde(default)]
    message: Option<Piece>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Piece {
    #[serde(default)]
    content: Option<String>,
}

/// Adds an event's data, or a whole answer in one piece, to the replies.
pub(crate) fn add(replies: &mut [Reply], data: &str) -> Result<(), Garbled> {
    let completion: Completion =
        serde_json::from_str(data).map_err(|error| Garbled::Event(format!("{error} in `{}`", short(data))))?;
    if let Some(error) = completion.error {
        let message = error.get("message").and_then(serde_json::Value::as_str).map(str::to_owned);
        return Err(Garbled::Reported(short(&message.unwrap_or_else(|| error.to_string()))));
    }
    for Choice { index, delta, message, finish_reason } in completion.choices {
        let Some(reply) = replies.get_mut(index) else {
            return Err(Garbled::Event(format!("choice {index} was not asked for")));
        };
        let content = delta.or(message).unwrap_or_default().content.unwrap_or_default();
        if !content.is_empty() {
            reply.text.push_str(&content);
            reply.pieces += 1;
        }
        if reply.text.len() > TEXT_MAX {
            return Err(Garbled::Long(TEXT_MAX));
        }
        reply.finish = match finish_reason.as_deref() {
            None => reply.finish,
            Some("length") => Some(Finish::Length),
            Some(_) => Some(Finish::Ended),
        };
    }
    Ok(())
}

/// Returns the beginning of a text from outside, for a message.
pub(crate) fn short(text: &str) -> String {
    const SHOWN: usize = 200;
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
