//! From a question and a list of sentences to token ids: the checkpoint's chat template and tokenizer. Sampling, captioning and
//! training all go through here, so that a text has one tokenisation.
//!
//! The prompt is rendered once and tokenised once; every sentence after it is a piece of its own, tokenised as it reads after a
//! sentence end. So the ids of a context never depend on what follows it, and a sentence's place is known by position.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use tokenizers::Tokenizer;

use crate::ModelError;
use crate::config::read_text;

/// What stands before a sentence while it is tokenised, and is taken off again: it makes sentence-piece and byte-level
/// tokenizers alike see a word after a sentence end.
const ANCHOR: &str = ".";

/// A checkpoint's tokenizer and chat template.
pub struct Text {
    tokenizer: Tokenizer,
    template: String,
    anchor: Vec<u32>,
    image: u32,
    features: usize,
    end: u32,
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
    /// Reads `tokenizer.json` and the chat template; `image` is the `<image>` id, `features` how many a picture has.
    pub fn read(dir: &Path, image: u32, features: usize) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let fail = |message: String| ModelError::Format { path: path.clone(), message };
        let tokenizer: Tokenizer = read_text(&path)?.parse().map_err(|error| fail(format!("{error}")))?;
        let end = end_token(dir, &tokenizer)?;
        let mut text = Self { tokenizer, template: template(dir)?, anchor: Vec::new(), image, features, end };
        text.anchor = text.encode(ANCHOR, false)?;
        Ok(text)
    }

    /// Returns the end-of-sequence id.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Renders a question with its picture up to where the assistant speaks.
    pub fn render(&self, question: &str) -> Result<String, ModelError> {
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unsupported)?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let turn = context! {
            role => "user",
            content => [context! { type => "image" }, context! { type => "text", text => question }],
        };
        environment
            .render_str(&self.template, context! { messages => [turn], add_generation_prompt => true })
            .map_err(unsupported)
    }

    /// Tokenises the prompt of a question.
    pub fn prompt(&self, question: &str) -> Result<PromptIds, ModelError> {
        let rendered = self.encode(&self.render(question)?, true)?;
        let places: Vec<usize> = (0..rendered.len()).filter(|i| rendered[*i] == self.image).collect();
        let [image_at] = places[..] else {
            let message = format!("the prompt has {} picture places, one expected: {question:.80}", places.len());
            return Err(ModelError::Unsupported(message));
        };
        let mut ids = rendered[..image_at].to_vec();
        ids.extend(std::iter::repeat_n(self.image, self.features));
        ids.extend_from_slice(&rendered[image_at + 1..]);
        Ok(PromptIds { ids, image_at })
    }

    /// Tokenises one sentence as it reads after the prompt or another sentence.
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

fn unsupported(error: minijinja::Error) -> ModelError {
    ModelError::Unsupported(format!("the chat template cannot be rendered: {error:#}"))
}

/// Finds the chat template where transformers 4 and 5 put it, less the two tags only training code of theirs reads.
fn template(dir: &Path) -> Result<String, ModelError> {
    let file = dir.join("chat_template.jinja");
    let text = if file.is_file() {
        read_text(&file)?
    } else {
        let in_json = |name: &str| {
            let path = dir.join(name);
            let json = path.is_file().then(|| read_text(&path)).transpose()?;
            let value = json.and_then(|json| serde_json::from_str::<serde_json::Value>(&json).ok());
            Ok::<_, ModelError>(value.and_then(|value| Some(value.get("chat_template")?.as_str()?.to_owned())))
        };
        let found = match in_json("chat_template.json")? {
            None => in_json("tokenizer_config.json")?,
            found => found,
        };
        let message =
            "no chat template: `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json` expected";
        found.ok_or_else(|| ModelError::Format { path: dir.to_owned(), message: message.to_owned() })?
    };
    Ok(text.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
}

/// Finds the end-of-sequence token by `generation_config.json` or `tokenizer_config.json`.
fn end_token(dir: &Path, tokenizer: &Tokenizer) -> Result<u32, ModelError> {
    let read = |name: &str| {
        let path = dir.join(name);
        path.is_file()
            .then(|| read_text(&path).ok())
            .flatten()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
    };
    if let Some(id) = read("generation_config.json").and_then(|value| value.get("eos_token_id")?.as_u64()) {
        return Ok(id as u32);
    }
    let token = read("tokenizer_config.json").and_then(|value| {
        let token = value.get("eos_token")?;
        Some(token.as_str().or_else(|| token.get("content")?.as_str())?.to_owned())
    });
    token.and_then(|token| tokenizer.token_to_id(&token)).ok_or_else(|| {
        let message = "no end-of-sequence token in `generation_config.json` or `tokenizer_config.json`".to_owned();
        ModelError::Format { path: dir.to_owned(), message }
    })
}
