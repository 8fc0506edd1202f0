//! What is said, with and without an adapter, against transformers and PEFT: `tests/reference/generate.py` recorded it.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{AdapterRef, Captioned, Captioning, Prompt, Sampling, SentenceEnd, Vlm, VlmSpec, Watch};
use sentinel_models::adapter;
use sentinel_models::config::Config;
use sentinel_models::families::llama::Positions;
use sentinel_models::layers::causal_mask;
use sentinel_models::model::Model;
use sentinel_models::text::Text;
use sentinel_models::vlm::{CandleVlm, open};
use sentinel_models::weights::{Checkpoint, Weights};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    question: String,
    max_tokens: u32,
    sampling: Warped,
    base: Answers,
    lora: Answers,
    rslora: Answers,
}

#[derive(Deserialize)]
struct Warped {
    temperature: f32,
    top_k: u32,
    top_p: f32,
}

#[derive(Deserialize)]
struct Answers {
    texts: Vec<Said>,
    /// Probabilities of the first word after the first text's context.
    first: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Said {
    picture: usize,
    context: Vec<String>,
    text: String,
    tokens: u32,
    ended: bool,
}

struct Quiet;

impl Watch for Quiet {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/generate")
}

fn recorded() -> Recorded {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join("expected.json")).unwrap()).unwrap()
}

fn picture(number: usize) -> Arc<Vec<u8>> {
    Arc::new(std::fs::read(fixtures().join(format!("picture-{number}.png"))).unwrap())
}

/// The adapter, and the same scaled as rsLoRA scales.
fn adapters() -> (PathBuf, tempfile::TempDir) {
    let (plain, scaled) = (fixtures().join("adapter"), tempfile::tempdir().unwrap());
    let file = "adapter_model.safetensors";
    std::fs::copy(plain.join(file), scaled.path().join(file)).unwrap();
    let config = std::fs::read_to_string(plain.join("adapter_config.json")).unwrap();
    let with = config.replace("\"use_rslora\": false", "\"use_rslora\": true");
    assert_ne!(with, config);
    std::fs::write(scaled.path().join("adapter_config.json"), with).unwrap();
    (plain, scaled)
}

/// Calls `check` with the answers recorded of the base, of the adapter, and of the adapter scaled otherwise.
fn of_each(check: impl Fn(&str, &Recorded, &Answers, Option<&Path>)) {
    let (recorded, (plain, scaled)) = (recorded(), adapters());
    check("base", &recorded, &recorded.base, None);
    check("lora", &recorded, &recorded.lora, Some(&plain));
    check("rslora", &recorded, &recorded.rslora, Some(scaled.path()));
}

fn vlm(adapter: Option<&Path>) -> CandleVlm {
    let adapter = adapter.map(Path::to_owned);
    open(&VlmSpec { path: fixtures().join("model"), adapter }, &Exec::default()).unwrap()
}

fn prompt<'a>(recorded: &'a Recorded, said: &'a Said) -> Prompt<'a> {
    let (id, bytes) = ("r", picture(said.picture));
    let (question, context) = (recorded.question.as_str(), said.context.as_slice());
    Prompt { id, step: context.len() as u32, picture: Digest::of(&bytes), bytes, question, context }
}

fn greedy(max_tokens: u32) -> Sampling {
    let (sentence_end, stream) = (SentenceEnd::Text, "s".to_owned());
    Sampling { n: 1, temperature: 0.0, top_p: 1.0, top_k: 0, max_tokens, sentence_end, seed: 1, stream }
}

/// The sentences of a recorded text: every word with a period, a question or exclamation mark at its end closes one, but for a
/// number at the beginning, which counts an item.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = vec![Vec::new()];
    for word in text.split(' ') {
        let words: &mut Vec<&str> = sentences.last_mut().unwrap();
        words.push(word);
        let counts = words.len() == 1 && word.starts_with(|c: char| c.is_ascii_digit());
        if word.ends_with(['.', '!', '?']) && !counts {
            sentences.push(Vec::new());
        }
    }
    sentences.into_iter().filter(|words| !words.is_empty()).map(|words| words.join(" ")).collect()
}

#[test]
fn greedy_captions_are_those_of_transformers_and_peft() {
    of_each(|name, recorded, answers, adapter| {
        let settings =
            Captioning { sampling: greedy(512), max_tokens: recorded.max_tokens, max_sentences: recorded.max_tokens };
        let prompts: Vec<Prompt<'_>> = answers.texts.iter().map(|said| prompt(recorded, said)).collect();
        // An adapter reaches a model by its entry in the workflow or with the call.
        let by_entry = vlm(adapter).caption(&prompts, &settings, None, &Quiet).unwrap();
        let given = adapter.map(|dir| AdapterRef { dir: dir.to_owned(), digest: Digest::of(name.as_bytes()) });
        let by_call = vlm(None).caption(&prompts, &settings, given.as_ref(), &Quiet).unwrap();
        for ((by_entry, by_call), said) in by_entry.into_iter().zip(by_call).zip(&answers.texts) {
            let expected = Captioned {
                sentences: said.context.iter().cloned().chain(sentences(&said.text)).collect(),
                cut: !said.ended,
                tokens: said.tokens,
            };
            assert_eq!(by_entry.unwrap(), expected, "{name}");
            assert_eq!(by_call.unwrap(), expected, "{name}");
        }
    });
}

#[test]
fn a_greedy_sample_is_the_first_sentence() {
    of_each(|name, recorded, answers, adapter| {
        let prompts: Vec<Prompt<'_>> = answers.texts.iter().map(|said| prompt(recorded, said)).collect();
        for rule in [SentenceEnd::Text, SentenceEnd::Tokens] {
            let settings = Sampling { n: 3, sentence_end: rule, ..greedy(recorded.max_tokens) };
            let drawn = vlm(adapter).sample(&prompts, &settings, None, &Quiet).unwrap();
            for (drawn, said) in drawn.into_iter().zip(&answers.texts) {
                let drawn = drawn.unwrap();
                assert_eq!(drawn.len(), 3);
                // No word of this model is a lone period, so by tokens its first sentence is all it says.
                let first = match rule {
                    SentenceEnd::Text => sentences(&said.text).swap_remove(0),
                    SentenceEnd::Tokens => said.text.clone(),
                };
                let (is_whole, ends) = (first == said.text, first.ends_with(['.', '!', '?']));
                for (number, sentence) in (0..).zip(drawn) {
                    assert_eq!((sentence.candidate, &sentence.text), (number, &first), "{name} {rule:?}");
                    assert_eq!(sentence.ended, is_whole && said.ended && (rule == SentenceEnd::Tokens || !ends));
                    assert_eq!(sentence.cut, is_whole && !said.ended, "{name} {rule:?}");
                }
            }
        }
    });
}

#[test]
fn first_words_are_drawn_as_often_as_transformers_would() {
    const DRAWS: u32 = 20_000;
    of_each(|name, recorded, answers, adapter| {
        let Warped { temperature, top_k, top_p } = recorded.sampling;
        let settings = Sampling { n: DRAWS, temperature, top_k, top_p, ..greedy(1) };
        let prompts = [prompt(recorded, &answers.texts[0])];
        let drawn = vlm(adapter).sample(&prompts, &settings, None, &Quiet).unwrap().swap_remove(0).unwrap();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for sentence in &drawn {
            *counts.entry(&sentence.text).or_default() += 1;
        }
        assert!(counts.keys().all(|word| answers.first.contains_key(*word)), "{name}");
        // Pearson's statistic; the chance of five standard deviations is one in a million.
        let terms = answers.first.iter().map(|(word, p)| {
            let expected = p * f64::from(DRAWS);
            (f64::from(counts.get(word.as_str()).copied().unwrap_or(0)) - expected).powi(2) / expected
        });
        let (statistic, freedom) = (terms.sum::<f64>(), answers.first.len() as f64 - 1.0);
        assert!((statistic - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "{name}: {statistic} of {freedom}");
    });
}

#[test]
fn logits_are_those_of_transformers_and_peft() {
    let dir = fixtures().join("model");
    let config = Config::read(&dir).unwrap();
    let weights = Weights::Frozen(Checkpoint::open(&dir, &Device::Cpu).unwrap());
    let model = Model::take(&weights, &config, &Device::Cpu).unwrap();
    let text = Text::read(&dir, config.image_token).unwrap();
    let images = config.family.processor(&dir).unwrap();
    let expected = candle_core::safetensors::load(fixtures().join("logits.safetensors"), &Device::Cpu).unwrap();
    of_each(|name, recorded, answers, adapter| {
        let adapter = adapter.map(|dir| adapter::read(dir, &config.text, &Device::Cpu).unwrap());
        for (row, said) in answers.texts.iter().enumerate() {
            let picture = images.prepare(&picture(said.picture), &Device::Cpu).unwrap();
            let prompt = text.prompt(&recorded.question, picture.place.tokens).unwrap();
            let mut ids = prompt.ids;
            for sentence in &said.context {
                ids.extend(text.sentence(sentence).unwrap());
            }
            let t = ids.len();
            let features = model.features(&[picture]).unwrap();
            let ids = Tensor::from_vec(ids, (1, t), &Device::Cpu).unwrap();
            let embedded = model.splice(&ids, &features, prompt.image_at).unwrap();
            let mask = causal_mask(t, t, &Device::Cpu).unwrap();
            let from = Positions::From(0);
            let hidden = model.decoder.forward(&embedded, from, Some(&mask), None, adapter.as_ref(), |_| ()).unwrap();
            let ours = model.decoder.logits(&hidden.narrow(1, t - 1, 1).unwrap()).unwrap().flatten_all().unwrap();
            let theirs = expected[name].get(row).unwrap().to_dtype(DType::F32).unwrap();
            let peak = |t: &Tensor| t.abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
            let difference = peak(&(&ours - &theirs).unwrap()) / peak(&theirs);
            assert!(difference < 1e-5, "{name} {row}: relative difference {difference:e}");
        }
    });
}
