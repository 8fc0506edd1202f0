//! The port as a whole, on the model this repository ships: an answer is the same bits whatever its company.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use image::{ImageFormat, Rgb, RgbImage};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{Captioned, Captioning, EngineError, Prompt, Sampling, SentenceEnd, Vlm, VlmSpec, Watch};
use sentinel_domain::records::Sentence;
use sentinel_models::config::Config;
use sentinel_models::text::Text;
use sentinel_models::vlm::{CandleVlm, open};

struct Quiet;

impl Watch for Quiet {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}
}

const QUESTION: &str = "Describe this picture.";

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/tiny-world/model")
}

fn model(threads: u32) -> CandleVlm {
    open(&VlmSpec { path: shipped(), adapter: None }, &Exec { threads: Some(threads), ..Exec::default() }).unwrap()
}

/// A picture of coloured stripes, another for every number.
fn picture(number: u32) -> Arc<Vec<u8>> {
    let picture = RgbImage::from_fn(112, 112, |x, y| {
        let value = |scale: u32| ((x * scale + y * (number + 1)) % 256) as u8;
        Rgb([value(3 + number), value(5), value(7 * number + 1)])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    Arc::new(bytes.into_inner())
}

struct Asked {
    id: String,
    bytes: Arc<Vec<u8>>,
    context: Vec<String>,
}

fn asked(count: u32) -> Vec<Asked> {
    let context = |number: u32| {
        ["In the top left, there is a cat.", "In the middle, there is a dog."][..(number % 3) as usize].to_vec()
    };
    let one = |number| Asked {
        id: format!("r{number}"),
        bytes: picture(number),
        context: context(number).into_iter().map(str::to_owned).collect(),
    };
    (0..count).map(one).collect()
}

fn prompt(asked: &Asked) -> Prompt<'_> {
    Prompt {
        id: &asked.id,
        step: asked.context.len() as u32,
        picture: Digest::of(&asked.bytes),
        bytes: asked.bytes.clone(),
        question: QUESTION,
        context: &asked.context,
    }
}

fn sampling(n: u32, temperature: f32) -> Sampling {
    let (top_p, top_k, max_tokens) = (0.95, 40, 24);
    let (seed, stream, sentence_end) = (7, "sample".to_owned(), SentenceEnd::Text);
    Sampling { n, temperature, top_p, top_k, max_tokens, sentence_end, seed, stream }
}

fn sample(vlm: &CandleVlm, prompts: &[Prompt<'_>], n: u32) -> Vec<Vec<Sentence>> {
    let answers = vlm.sample(prompts, &sampling(n, 1.0), None, &Quiet).unwrap();
    answers.into_iter().map(Result::unwrap).collect()
}

fn caption(vlm: &CandleVlm, prompts: &[Prompt<'_>]) -> Vec<Captioned> {
    let settings = Captioning { sampling: sampling(1, 0.0), max_tokens: 80, max_sentences: 8 };
    vlm.caption(prompts, &settings, None, &Quiet).unwrap().into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_sample_is_the_same_in_any_company() {
    let asked = asked(9);
    let prompts: Vec<Prompt<'_>> = asked.iter().map(prompt).collect();
    let together = sample(&model(1), &prompts, 6);
    assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [6; 9]);
    // Something was said, and not always the same.
    assert!(together.iter().any(|drawn| drawn.iter().any(|one| one.text != drawn[0].text)), "{together:?}");
    let two_threads = model(2);
    assert_eq!(sample(&two_threads, &prompts, 6), together, "other threads");
    assert_eq!(sample(&two_threads, &prompts, 6), together, "remembered prefixes");
    let alone = model(2);
    for (prompt, together) in prompts.iter().zip(&together) {
        assert_eq!(&sample(&alone, std::slice::from_ref(prompt), 6)[0], together, "alone");
        assert_eq!(sample(&alone, std::slice::from_ref(prompt), 2)[0], together[..2], "fewer candidates");
    }
}

#[test]
fn how_requests_are_grouped_changes_no_bit() {
    let asked = asked(9);
    let prompts: Vec<Prompt<'_>> = asked.iter().map(prompt).collect();
    let expected = sample(&model(1), &prompts, 2);
    // Every thread has its share of the requests: 9, 5, 3, 3, 2 and 1 at a time; many candidates make groups of 4, 2 and 1.
    for (threads, candidates) in [(2, 2), (3, 2), (4, 2), (5, 2), (9, 2), (1, 30), (1, 64), (1, 150)] {
        let drawn = sample(&model(threads), &prompts, candidates);
        for (drawn, expected) in drawn.iter().zip(&expected) {
            assert_eq!(drawn[..2], expected[..], "{threads} threads, {candidates} candidates");
        }
    }
}

#[test]
fn a_context_remembered_is_a_context_read() {
    let asked = asked(3);
    let grown = Asked { id: "r2".into(), bytes: asked[2].bytes.clone(), context: asked[2].context.clone() };
    let shorter = Asked { context: grown.context[..1].to_vec(), id: "r2".into(), bytes: grown.bytes.clone() };
    let fresh = sample(&model(1), &[prompt(&grown)], 4);
    let vlm = model(1);
    sample(&vlm, &[prompt(&shorter)], 4);
    assert_eq!(sample(&vlm, &[prompt(&grown)], 4), fresh);
}

#[test]
fn a_caption_is_the_same_in_any_company_and_what_greedy_sampling_says() {
    let asked = asked(7);
    let prompts: Vec<Prompt<'_>> = asked.iter().map(prompt).collect();
    let vlm = model(2);
    let together = caption(&vlm, &prompts);
    let alone = model(1);
    for ((prompt, asked), together) in prompts.iter().zip(&asked).zip(&together) {
        assert_eq!(&caption(&alone, std::slice::from_ref(prompt))[0], together);
        assert_eq!(together.sentences[..asked.context.len()], asked.context);
        let greedy = vlm.sample(std::slice::from_ref(prompt), &sampling(1, 0.0), None, &Quiet).unwrap();
        let greedy = greedy.into_iter().next().unwrap().unwrap();
        match together.sentences.get(asked.context.len()) {
            Some(next) => assert_eq!(&greedy[0].text, next),
            None => assert!(greedy[0].text.is_empty()),
        }
    }
}

#[test]
fn a_record_s_own_fault_costs_only_itself() {
    let mut asked = asked(3);
    asked[1].bytes = Arc::new(b"no picture".to_vec());
    asked[2].context = vec!["In the middle, there is a dog.".to_owned(); 60];
    let prompts: Vec<Prompt<'_>> = asked.iter().map(prompt).collect();
    let answers = model(1).sample(&prompts, &sampling(2, 1.0), None, &Quiet).unwrap();
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().reason, "unreadable-picture");
    assert_eq!(answers[2].as_ref().unwrap_err().reason, "too-long");
}

/// The shipped model with other weights.
fn changed(change: impl Fn(&mut HashMap<String, Tensor>)) -> CandleVlm {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let file = dir.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &file).unwrap();
    open(&VlmSpec { path: dir.path().to_owned(), adapter: None }, &Exec::default()).unwrap()
}

/// Ids of the words that stand before an answer.
fn asked_ids(model: &Path) -> Vec<u32> {
    let config = Config::read(model).unwrap();
    Text::read(model, config.image_token).unwrap().prompt(QUESTION, 1).unwrap().ids
}

#[test]
fn weights_that_overflow_are_told() {
    let scaled = |name: &'static str, by: f64| {
        move |tensors: &mut HashMap<String, Tensor>| {
            let tensor = tensors.get_mut(name).unwrap();
            *tensor = (tensor.to_dtype(DType::F32).unwrap() * by).unwrap();
        }
    };
    // Words that are no numbers, but for those of the question: what is wrong shows when the first of them has been drawn.
    let only_asked = |tensors: &mut HashMap<String, Tensor>| {
        let words = tensors.get_mut("language_model.model.embed_tokens.weight").unwrap();
        let mut rows = words.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        let known = asked_ids(&shipped());
        (0..).zip(&mut rows).filter(|(id, _)| !known.contains(id)).for_each(|(_, row)| row.fill(f32::NAN));
        *words = Tensor::new(rows, &Device::Cpu).unwrap();
    };
    let models = [
        ("inf", changed(scaled("language_model.lm_head.weight", 1e38))),
        ("NaN", changed(scaled("language_model.model.layers.0.self_attn.q_proj.weight", 1e38))),
        ("NaN", changed(scaled("multi_modal_projector.linear_1.weight", 1e38))),
        ("NaN", changed(only_asked)),
    ];
    let asked = asked(1);
    let prompts = [prompt(&asked[0])];
    for (number, (logit, vlm)) in models.iter().enumerate() {
        for temperature in [0.0, 1.0] {
            let drawn = vlm.sample(&prompts, &sampling(3, temperature), None, &Quiet).map(|_| ());
            let settings = Captioning { sampling: sampling(1, temperature), max_tokens: 80, max_sentences: 8 };
            let told = vlm.caption(&prompts, &settings, None, &Quiet).map(|_| ());
            for answer in [drawn, told] {
                let Err(EngineError::Refused(message)) = &answer else { panic!("{number}: {answer:?}") };
                assert!(message.contains(logit) && message.ends_with("overflow"), "{number}: {message}");
            }
        }
    }
}
