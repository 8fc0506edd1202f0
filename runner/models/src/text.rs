//! From a question and a list of sentences to token ids: the checkpoint's chat template and tokenizer. Sampling, captioning and
//! training all go through here, so that a text has one tokenisation.
//!
//! The prompt is rendered once and tokenised once; every sentence after it is a piece of its own, tokenised as it reads after a
//! sentence end, the first as it reads after the prompt. So the ids of a context never depend on what follows it, and a sentence's place is known by position.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::ModelError;
use crate::config::read_text;

/// What stands before a sentence while it is tokenised, and is taken off again: it makes sentence-piece and byte-level
/// tokenizers alike see a word after a sentence end.
const ANCHOR: &str = ".";

/// The tokens at which the released code ends a sentence.
const STOPS: [&str; 3] = [".", "!", "?"];

/// A checkpoint's tokenizer and chat template.
pub struct Text {
    tokenizer: Tokenizer,
    template: String,
    /// `bos_token`, `eos_token` and others by name, for the template.
    special: BTreeMap<String, String>,
    anchor: Vec<u32>,
    /// White space at the end of every prompt.
    tail: String,
    image: u32,
    ends: Vec<u32>,
    stops: Vec<u32>,
}

/// A prompt in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptIds {
    /// Ids; the picture's place is held by one `<image>` id a feature.
    pub ids: Vec<u32>,
    /// Position of the first `<image>` id.
    pub image_at: usize,
}

impl Text {
    /// Reads `tokenizer.json` and the chat template; `image` is the id that holds a picture's place.
    pub fn read(dir: &Path, image: u32) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let fail = |message: String| ModelError::Format { path: path.clone(), message };
        let tokenizer: Tokenizer = read_text(&path)?.parse().map_err(|error| fail(format!("{error}")))?;
        let special = special_tokens(dir)?;
        let ends = end_tokens(dir, &tokenizer, &special)?;
        let stops = STOPS.iter().filter_map(|stop| tokenizer.token_to_id(stop)).collect();
        let (template, anchor, tail) = (template(dir)?, Vec::new(), String::new());
        let mut text = Self { tokenizer, template, special, anchor, tail, image, ends, stops };
        text.anchor = text.encode(ANCHOR, false)?;
        // A template that cannot be rendered is told when a question is.
        let prompt = text.render("?").unwrap_or_default();
        text.tail = prompt[prompt.trim_end().len()..].to_owned();
        Ok(text)
    }

    /// Returns the end-of-sequence id that is learnt.
    pub fn end(&self) -> u32 {
        self.ends[0]
    }

    /// Whether a token ends the text.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// Whether a token is `.`, `!` or `?` by itself, without a space.
    pub fn is_stop(&self, id: u32) -> bool {
        self.stops.contains(&id)
    }

    /// Renders a question with its picture up to where the assistant speaks.
    pub fn render(&self, question: &str) -> Result<String, ModelError> {
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unsupported)?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let refuse = |message: String| Err::<String, _>(Error::new(ErrorKind::InvalidOperation, message));
        environment.add_function("raise_exception", refuse);
        let turn = context! {
            role => "user",
            content => [context! { type => "image" }, context! { type => "text", text => question }],
        };
        let conversation = context! { messages => [turn], add_generation_prompt => true };
        environment
            .render_str(
                &self.template,
                context! { ..conversation, ..minijinja::Value::from_pairs(self.special.clone()) },
            )
            .map_err(unsupported)
    }

    /// Tokenises the prompt of a question with a picture of so many tokens.
    pub fn prompt(&self, question: &str, picture: usize) -> Result<PromptIds, ModelError> {
        let rendered = self.render(question)?;
        // A template that writes the first token has written it.
        let begun = self.special.get("bos_token").is_some_and(|begin| rendered.starts_with(begin.as_str()));
        let rendered = self.encode(&rendered, !begun)?;
        let places: Vec<usize> = (0..rendered.len()).filter(|i| rendered[*i] == self.image).collect();
        let [image_at] = places[..] else {
            let message = format!("the prompt has {} picture places, one expected: {question:.80}", places.len());
            return Err(ModelError::Unsupported(message));
        };
        let mut ids = rendered[..image_at].to_vec();
        ids.extend(std::iter::repeat_n(self.image, picture));
        ids.extend_from_slice(&rendered[image_at + 1..]);
        Ok(PromptIds { ids, image_at })
    }

    /// Tokenises the first sentence as it reads after the prompt: without a space where the prompt ends with one or with a line.
    pub fn opening(&self, sentence: &str) -> Result<Vec<u32>, ModelError> {
        if self.tail.is_empty() {
            return self.sentence(sentence);
        }
        let joined = self.encode(&format!("{}{sentence}", self.tail), false)?;
        match joined.strip_prefix(self.encode(&self.tail, false)?.as_slice()) {
            Some(ids) => Ok(ids.to_vec()),
            None => self.encode(sentence, false),
        }
    }

    /// Tokenises one sentence as it reads after another sentence.
    pub fn sentence(&self, sentence: &str) -> Result<Vec<u32>, ModelError> {
        let joined = self.encode(&format!("{ANCHOR} {sentence}"), false)?;
        match joined.strip_prefix(self.anchor.as_slice()) {
            Some(ids) => Ok(ids.to_vec()),
            None => self.encode(&format!(" {sentence}"), false),
        }
    }

    /// Returns the text of generated ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        self.tokenizer.decode(ids, true).map_err(|error| ModelError::Unsupported(error.to_string()))
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, ModelError> {
        let encoding = self.tokenizer.encode_fast(text, special);
        Ok(encoding.map_err(|error| ModelError::Unsupported(error.to_string()))?.get_ids().to_vec())
    }
}

fn unsupported(error: Error) -> ModelError {
    ModelError::Unsupported(format!("the chat template cannot be rendered: {error:#}"))
}

/// Finds the chat template where transformers 4 and 5 put it, less the two tags only training code of theirs reads.
fn template(dir: &Path) -> Result<String, ModelError> {
    let file = dir.join("chat_template.jinja");
    let in_json = |name: &str| {
        let template = read_json(dir, name)?.and_then(|json| Some(json.get("chat_template")?.as_str()?.to_owned()));
        Ok::<_, ModelError>(template)
    };
    let found = match file.is_file() {
        true => Some(read_text(&file)?),
        false => match in_json("chat_template.json")? {
            None => in_json("tokenizer_config.json")?,
            found => found,
        },
    };
    let message = "no chat template: `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json` expected";
    let text = found.ok_or_else(|| ModelError::Format { path: dir.to_owned(), message: message.to_owned() })?;
    Ok(text.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
}

/// Reads the special tokens that have a name: `bos_token`, `eos_token`, …
fn special_tokens(dir: &Path) -> Result<BTreeMap<String, String>, ModelError> {
    let mut special = BTreeMap::new();
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let Some(Value::Object(entries)) = read_json(dir, file)? else { continue };
        special.extend(entries.into_iter().filter(|(name, _)| name.ends_with("_token")).filter_map(|(name, token)| {
            let token = token.as_str().or_else(|| token.get("content")?.as_str())?;
            Some((name, token.to_owned()))
        }));
    }
    Ok(special)
}

/// Finds the ids that end a text: those of `generation_config.json`, or the tokenizer's.
fn end_tokens(dir: &Path, tokenizer: &Tokenizer, special: &BTreeMap<String, String>) -> Result<Vec<u32>, ModelError> {
    let ids = read_json(dir, "generation_config.json")?.and_then(|config| config.get("eos_token_id").cloned());
    let mut ends: Vec<u32> = match ids {
        Some(Value::Array(ids)) => ids.iter().filter_map(as_id).collect(),
        Some(id) => as_id(&id).into_iter().collect(),
        None => Vec::new(),
    };
    if ends.is_empty() {
        ends.extend(special.get("eos_token").and_then(|token| tokenizer.token_to_id(token)));
    }
    if ends.is_empty() {
        let message = "no end-of-sequence token in `generation_config.json` or `tokenizer_config.json`".to_owned();
        return Err(ModelError::Format { path: dir.to_owned(), message });
    }
    Ok(ends)
}

fn as_id(id: &Value) -> Option<u32> {
    u32::try_from(id.as_u64()?).ok()
}

fn read_json(dir: &Path, name: &str) -> Result<Option<Value>, ModelError> {
    let path = dir.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let value = serde_json::from_str(&read_text(&path)?);
    value.map(Some).map_err(|error| ModelError::Format { path, message: error.to_string() })
}
