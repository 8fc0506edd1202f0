//! Every family whose pictures have no fixed size against transformers: `tests/reference/families.py` recorded what its processor
//! makes of pictures, features, logits, and what is said. And that no answer depends on its company.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use image::{ImageFormat, RgbImage};
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_domain::ports::{Captioning, Prompt, Sampling, SentenceEnd, Vlm, VlmSpec, Watch};
use sentinel_models::config::Config;
use sentinel_models::families::llama::{KeyValue, Positions};
use sentinel_models::image::{Picture, Processor};
use sentinel_models::layers::causal_mask;
use sentinel_models::model::{Model, Place};
use sentinel_models::text::Text;
use sentinel_models::vlm::{CandleVlm, open};
use sentinel_models::weights::{Checkpoint, Weights};
use serde::Deserialize;

const FAMILIES: [&str; 3] = ["llava-next", "qwen2-vl", "qwen2.5-vl"];

#[derive(Deserialize)]
struct Recorded {
    question: String,
    max_tokens: u32,
    pictures: BTreeMap<String, RecordedPlace>,
    texts: Vec<Said>,
}

#[derive(Deserialize)]
struct RecordedPlace {
    tokens: usize,
    grid: Option<(usize, usize)>,
}

#[derive(Deserialize)]
struct Said {
    picture: String,
    context: Vec<String>,
    text: String,
    tokens: u32,
    ended: bool,
}

struct Fixture {
    dir: PathBuf,
    recorded: Recorded,
    tensors: HashMap<String, Tensor>,
    model: Model,
    images: Box<dyn Processor>,
    text: Text,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn opened(dir: &Path) -> (Model, Box<dyn Processor>, Text) {
    let config = Config::read(dir).unwrap();
    let weights = Weights::Frozen(Checkpoint::open(dir, &Device::Cpu).unwrap());
    let model = Model::take(&weights, &config, &Device::Cpu).unwrap();
    (model, config.family.processor(dir).unwrap(), Text::read(dir, config.image_token).unwrap())
}

/// Calls `check` for every family.
fn of_each(check: impl Fn(&str, &Fixture)) {
    for name in FAMILIES {
        let dir = fixtures().join("families").join(name);
        let (model, images, text) = opened(&dir);
        let recorded = serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
        let tensors = candle_core::safetensors::load(dir.join("expected.safetensors"), &Device::Cpu).unwrap();
        check(name, &Fixture { dir, recorded, tensors, model, images, text });
    }
}

fn bytes(picture: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("pictures").join(format!("{picture}.png"))).unwrap()
}

fn peak(t: &Tensor) -> f32 {
    t.to_dtype(DType::F32).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// Greatest difference over greatest magnitude.
fn relative(ours: &Tensor, theirs: &Tensor) -> f32 {
    assert_eq!(ours.dims(), theirs.dims());
    peak(&(ours - theirs).unwrap()) / peak(theirs)
}

impl Fixture {
    fn asked(&self) -> impl Iterator<Item = &str> {
        self.recorded
            .pictures
            .keys()
            .map(String::as_str)
            .filter(|name| self.tensors.contains_key(&format!("{name}.prompt")))
    }

    fn tensor(&self, picture: &str, what: &str) -> &Tensor {
        &self.tensors[&format!("{picture}.{what}")]
    }

    fn ids(&self, picture: &str, what: &str) -> Vec<u32> {
        self.tensor(picture, what).to_dtype(DType::U32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn picture(&self, name: &str) -> Picture {
        self.images.prepare(&bytes(name), &Device::Cpu).unwrap()
    }
}

/// Logits behind every token from the prompt's last on, all tokens run at once.
fn logits(model: &Model, picture: &Picture, at: usize, prompt: &[u32], greedy: &[u32]) -> Tensor {
    let ids: Vec<u32> = prompt.iter().chain(greedy).copied().collect();
    let t = ids.len();
    let features = model.features(std::slice::from_ref(picture)).unwrap();
    let embedded = model.splice(&Tensor::from_vec(ids, (1, t), &Device::Cpu).unwrap(), &features, at).unwrap();
    let axes = positions(&picture.place, at, 0..t);
    let mask = causal_mask(t, t, &Device::Cpu).unwrap();
    let positions = standing(model, &axes, &picture.place);
    let hidden = model.decoder.forward(&embedded, positions, Some(&mask), None, None, |_| ()).unwrap();
    model.decoder.logits(&hidden.narrow(1, prompt.len() - 1, greedy.len() + 1).unwrap()).unwrap().squeeze(0).unwrap()
}

fn positions(place: &Place, at: usize, tokens: std::ops::Range<usize>) -> Tensor {
    let count = tokens.len();
    let axis = |axis: usize| tokens.clone().map(move |t| place.position(at, t)[axis] as u32);
    Tensor::from_vec((0..3).flat_map(axis).collect(), (3, 1, count), &Device::Cpu).unwrap()
}

fn standing<'a>(model: &Model, axes: &'a Tensor, place: &Place) -> Positions<'a> {
    assert_eq!(place.grid.is_some(), model.config().text.rope_axes.is_some());
    if place.grid.is_some() { Positions::Axes(axes) } else { Positions::From(0) }
}

#[test]
fn pictures_are_prepared_as_transformers_prepares_them() {
    of_each(|name, f| {
        assert!(f.recorded.pictures.len() > 8);
        for (picture, expected) in &f.recorded.pictures {
            let ours = f.picture(picture);
            let place = Place { tokens: expected.tokens, grid: expected.grid };
            assert_eq!((ours.place, f.images.place(&bytes(picture)).unwrap()), (place, place), "{name} {picture}");
            let theirs = f.tensor(picture, "pixels");
            assert_eq!(ours.pixels.dims(), theirs.dims(), "{name} {picture}");
            // A byte that differs would differ by 1e-2.
            let difference = peak(&(&ours.pixels - theirs).unwrap());
            assert!(difference <= 1e-6, "{name} {picture}: {difference:e}");
        }
    });
}

#[test]
fn features_prompts_and_logits_are_those_of_transformers() {
    of_each(|name, f| {
        assert_eq!(f.asked().count(), 3, "{name}");
        for picture in f.asked() {
            let prepared = f.picture(picture);
            let features = f.model.features(std::slice::from_ref(&prepared)).unwrap().remove(0);
            let difference = relative(&features, f.tensor(picture, "features"));
            assert!(difference < 1e-5, "{name} {picture}: features differ by {difference:e}");
            let prompt = f.text.prompt(&f.recorded.question, prepared.place.tokens).unwrap();
            assert_eq!(prompt.ids, f.ids(picture, "prompt"), "{name} {picture}");
            let ours = logits(&f.model, &prepared, prompt.image_at, &prompt.ids, &f.ids(picture, "greedy"));
            let difference = relative(&ours, f.tensor(picture, "logits"));
            println!("{name} {picture}: logits differ by {difference:e}");
            assert!(difference < 1e-5, "{name} {picture}: logits differ by {difference:e}");
        }
    });
}

#[test]
fn greedy_tokens_over_kept_keys_and_values_are_those_of_transformers() {
    of_each(|name, f| {
        for picture in f.asked() {
            let prepared = f.picture(picture);
            let Model { decoder, .. } = &f.model;
            let prompt = f.text.prompt(&f.recorded.question, prepared.place.tokens).unwrap();
            let features = f.model.features(std::slice::from_ref(&prepared)).unwrap();
            let (mut length, mut t) = (0, prompt.ids.len());
            let ids = Tensor::from_vec(prompt.ids.clone(), (1, t), &Device::Cpu).unwrap();
            let mut embedded = f.model.splice(&ids, &features, prompt.image_at).unwrap();
            let (mut past, mut said): (Option<Vec<KeyValue>>, Vec<u32>) = (None, Vec::new());
            for _ in 0..f.recorded.max_tokens {
                let mask = causal_mask(t, length + t, &Device::Cpu).unwrap();
                let axes = positions(&prepared.place, prompt.image_at, length..length + t);
                let positions = match f.model.config().text.rope_axes {
                    Some(_) => Positions::Axes(&axes),
                    None => Positions::From(length),
                };
                let mut new = Vec::new();
                let hidden = decoder
                    .forward(&embedded, positions, Some(&mask), past.as_deref(), None, |kept| new.push(kept))
                    .unwrap();
                let joined = |(old, new): (&KeyValue, &KeyValue)| {
                    (Tensor::cat(&[&old.0, &new.0], 1).unwrap(), Tensor::cat(&[&old.1, &new.1], 1).unwrap())
                };
                past = Some(past.map_or(new.clone(), |old| old.iter().zip(&new).map(joined).collect()));
                (length, t) = (length + t, 1);
                let last = decoder.logits(&hidden.narrow(1, hidden.dim(1).unwrap() - 1, 1).unwrap()).unwrap();
                let next = last.argmax(D::Minus1).unwrap();
                said.extend(next.flatten_all().unwrap().to_vec1::<u32>().unwrap());
                embedded = decoder.embed(&next).unwrap();
            }
            assert_eq!(said, f.ids(picture, "greedy"), "{name} {picture}");
        }
    });
}

struct Quiet;

impl Watch for Quiet {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: u64, _: u64, _: &'static str, _: &[(&'static str, f64)]) {}
}

fn vlm(dir: &Path, threads: u32) -> CandleVlm {
    let exec = Exec { threads: Some(threads), ..Exec::default() };
    open(&VlmSpec { path: dir.to_owned(), adapter: None }, &exec).unwrap()
}

fn prompts(f: &Fixture) -> Vec<Prompt<'_>> {
    let one = |said: &'_ Said| {
        let (bytes, step) = (Arc::new(bytes(&said.picture)), said.context.len() as u32);
        (Digest::of(&bytes), bytes, step)
    };
    let prompt = |said| {
        let (picture, bytes, step) = one(said);
        Prompt { id: &said.picture, step, picture, bytes, question: &f.recorded.question, context: &said.context }
    };
    f.recorded.texts.iter().map(prompt).collect()
}

fn sampling(n: u32, temperature: f32) -> Sampling {
    let (top_p, top_k, max_tokens) = (0.95, 40, 24);
    let (seed, stream, sentence_end) = (7, "sample".to_owned(), SentenceEnd::Text);
    Sampling { n, temperature, top_p, top_k, max_tokens, sentence_end, seed, stream }
}

#[test]
fn greedy_captions_are_those_of_transformers() {
    of_each(|name, f| {
        let most = f.recorded.max_tokens;
        let sampling = Sampling { top_p: 1.0, top_k: 0, max_tokens: 512, ..sampling(1, 0.0) };
        let settings = Captioning { sampling, max_tokens: most, max_sentences: most };
        let prompts = prompts(f);
        let together = vlm(&f.dir, 2).caption(&prompts, &settings, None, &Quiet).unwrap();
        let alone = vlm(&f.dir, 1);
        for ((prompt, ours), said) in prompts.iter().zip(together).zip(&f.recorded.texts) {
            let ours = ours.unwrap();
            let after = &ours.sentences[said.context.len()..];
            assert_eq!(ours.sentences[..said.context.len()], said.context, "{name} {}", said.picture);
            assert_eq!(after.join(" "), said.text, "{name} {}", said.picture);
            assert_eq!((ours.tokens, ours.cut), (said.tokens, !said.ended), "{name} {}", said.picture);
            let again = alone.caption(std::slice::from_ref(prompt), &settings, None, &Quiet).unwrap().remove(0);
            assert_eq!(again.unwrap(), ours, "{name} {}: alone", said.picture);
        }
    });
}

#[test]
fn a_picture_the_model_s_own_processor_refuses_costs_only_its_record() {
    of_each(|name, f| {
        let line = |length: u32| {
            let (picture, mut bytes) = (RgbImage::new(1, length), Cursor::new(Vec::new()));
            picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
            Arc::new(bytes.into_inner())
        };
        let asked: Vec<Arc<Vec<u8>>> = [200, 201, 9].map(line).into();
        let prompt = |bytes: &Arc<Vec<u8>>| Prompt {
            id: "r",
            step: 0,
            picture: Digest::of(bytes),
            bytes: bytes.clone(),
            question: &f.recorded.question,
            context: &[],
        };
        let prompts: Vec<Prompt<'_>> = asked.iter().map(prompt).collect();
        let answers = vlm(&f.dir, 1).sample(&prompts, &sampling(1, 0.0), None, &Quiet).unwrap();
        let refused: Vec<Option<&str>> =
            answers.iter().map(|one| one.as_ref().err().map(|f| f.detail.as_str())).collect();
        let is_told = refused[1].is_some_and(|why| why.contains("1 × 201 pixels is too narrow"));
        assert_eq!(is_told, f.recorded.pictures["odd"].grid.is_some(), "{name}: {refused:?}");
        assert_eq!((refused[0], refused[2]), (None, None), "{name}");
    });
}

#[test]
fn a_sample_is_the_same_in_any_company() {
    of_each(|name, f| {
        let prompts = prompts(f);
        let sample = |vlm: &CandleVlm, prompts: &[Prompt<'_>], n| {
            let drawn = vlm.sample(prompts, &sampling(n, 1.0), None, &Quiet).unwrap();
            drawn.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        let together = sample(&vlm(&f.dir, 1), &prompts, 5);
        assert!(together.iter().any(|drawn| drawn.iter().any(|one| one.text != drawn[0].text)), "{name}");
        let two_threads = vlm(&f.dir, 2);
        assert_eq!(sample(&two_threads, &prompts, 5), together, "{name}: other threads");
        assert_eq!(sample(&two_threads, &prompts, 5), together, "{name}: remembered prefixes");
        for (prompt, together) in prompts.iter().zip(&together) {
            let alone = sample(&vlm(&f.dir, 2), std::slice::from_ref(prompt), 2);
            assert_eq!(alone[0], together[..2], "{name}: alone, fewer candidates");
        }
    });
}

#[test]
fn names_and_files_of_every_version_of_transformers_are_one_model() {
    of_each(|name, f| {
        let dir = tempfile::tempdir().unwrap();
        for file in ["preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            std::fs::copy(f.dir.join(file), dir.path().join(file)).unwrap();
        }
        // As files were before 4.52, with the language model's settings outside; names as in memory since then.
        let mut config: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(f.dir.join("config.json")).unwrap()).unwrap();
        if f.model.config().text.rope_axes.is_some() {
            let text = config.as_object_mut().unwrap().remove("text_config").unwrap();
            for (key, value) in text.as_object().unwrap() {
                if !["model_type", "rope_parameters"].contains(&key.as_str()) {
                    config[key] = value.clone();
                }
            }
            let rope = &text["rope_parameters"];
            config["rope_theta"] = rope["rope_theta"].clone();
            config["rope_scaling"] = serde_json::json!({"type": "mrope", "mrope_section": rope["mrope_section"]});
        }
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let stored = candle_core::safetensors::load(f.dir.join("model.safetensors"), &Device::Cpu).unwrap();
        let in_memory = |name: &str| match sentinel_models::weights::canonical(name) {
            name if name.starts_with("lm_head") => name,
            name => format!("model.{name}"),
        };
        let renamed: HashMap<String, Tensor> =
            stored.into_iter().map(|(name, tensor)| (in_memory(&name), tensor)).collect();
        candle_core::safetensors::save(&renamed, dir.path().join("model.safetensors")).unwrap();
        let (again, ..) = opened(dir.path());
        assert_eq!(again.config(), f.model.config(), "{name}");
        let picture = f.picture("odd");
        let bits = |model: &Model| {
            let (prompt, greedy) = (f.ids("odd", "prompt"), f.ids("odd", "greedy"));
            logits(model, &picture, 4, &prompt, &greedy).flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(bits(&again), bits(&f.model), "{name}");
    });
}
