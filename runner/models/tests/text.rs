//! Conversations and tokens against transformers: `tests/reference/text.py` recorded them.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::path::{Path, PathBuf};

use sentinel_models::text::Text;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    image: u32,
    features: usize,
    /// Ids that end a text, the one that is learnt first.
    ends: Vec<u32>,
    /// Ids of `.`, `!` and `?`.
    stops: Vec<u32>,
    conversations: Vec<Conversation>,
    decoded: Vec<Decoded>,
}

#[derive(Deserialize)]
struct Conversation {
    question: String,
    context: Vec<String>,
    rendered: String,
    /// Of the whole conversation as one text.
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Decoded {
    ids: Vec<u32>,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check(name: &str, model: &Path) {
    let file = root().join("tests/fixtures/text").join(name).with_extension("json");
    let recorded: Recorded = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let text = Text::read(model, recorded.image).unwrap();
    assert_eq!(text.end(), recorded.ends[0]);
    for id in 0..512 {
        assert_eq!(text.is_end(id), recorded.ends.contains(&id), "{name}: id {id}");
        assert_eq!(text.is_stop(id), recorded.stops.contains(&id), "{name}: id {id}");
    }
    assert!(recorded.conversations.len() > 8);
    for Conversation { question, context, rendered, ids } in recorded.conversations {
        assert_eq!(text.render(&question).unwrap(), rendered, "{name}");
        let mut ours = text.prompt(&question, recorded.features).unwrap().ids;
        for sentence in &context {
            let is_first = std::ptr::eq(sentence, &context[0]);
            ours.extend(if is_first { text.opening(sentence) } else { text.sentence(sentence) }.unwrap());
        }
        assert_eq!(ours, ids, "{name}: {question:?} {context:?}");
    }
    assert!(recorded.decoded.len() > 8);
    for Decoded { ids, text: expected } in recorded.decoded {
        assert_eq!(text.decode(&ids).unwrap(), expected, "{name}: {ids:?}");
    }
}

#[test]
fn whole_words_of_the_tiny_world() {
    check("tiny-world", &root().join("examples/tiny-world/model"));
}

#[test]
fn sentence_pieces_as_llama_2_has_them() {
    check("llama", &root().join("tests/fixtures/text/llama"));
}

#[test]
fn bytes_as_llama_3_and_qwen_have_them() {
    check("byte-level", &root().join("tests/fixtures/text/byte-level"));
}

#[test]
fn bytes_after_a_prompt_that_ends_with_a_line_as_qwen2_vl_has_them() {
    check("chatml", &root().join("tests/fixtures/text/chatml"));
}

#[test]
fn a_question_with_a_picture_of_its_own_is_refused() {
    let text = Text::read(&root().join("tests/fixtures/text/llama"), 440).unwrap();
    let error = text.prompt("What is <image> to you?", 3).unwrap_err().to_string();
    assert!(error.contains("2 picture places"), "{error}");
}
