//! The port `Vlm`: a checkpoint opened once, asked by many. Requests are cut into groups that run side by side; how they are cut
//! changes no bit of an answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sentinel_core::digest::Digest;
use sentinel_core::job::Exec;
use sentinel_core::stage::Fault;
use sentinel_domain::ports::{
    AdapterRef, Captioned, Captioning, EngineError, PerRecord, Prompt, Sampling, SentenceEnd, Vlm, VlmSpec, Watch,
};
use sentinel_domain::records::Sentence;

use crate::config::Config;
use crate::generate::{Drawn, Rules, Start, sentences};
use crate::image::{ImageError, Processor};
use crate::layers::Adapter;
use crate::model::Model;
use crate::prefix::{Prefix, Prefixes};
use crate::sampler::{Stream, Warp};
use crate::text::Text;
use crate::weights::{Checkpoint, Weights};
use crate::{ModelError, adapter};

/// Bytes of prefixes kept between calls; those of a call under way take about as much again.
const PREFIX_ROOM: usize = 1 << 30;
/// Rows that make a token together at most: beyond it, products no longer gain.
const ROWS_MAX: usize = 128;

/// A vision-language model on candle.
pub struct CandleVlm {
    model: Model,
    text: Text,
    images: Box<dyn Processor>,
    device: Device,
    threads: rayon::ThreadPool,
    own_adapter: Option<Arc<Adapter>>,
    adapters: Mutex<BTreeMap<Digest, Arc<Adapter>>>,
    prefixes: Prefixes,
}

/// Opens a model: maps its weights, reads its tokenizer and processor, checks that they fit.
pub fn open(spec: &VlmSpec, exec: &Exec) -> Result<CandleVlm, ModelError> {
    let device = device(exec)?;
    let config = Config::read(&spec.path)?;
    let weights = Weights::Frozen(Checkpoint::open(&spec.path, &device)?);
    let model = Model::take(&weights, &config, &device)?;
    let text = Text::read(&spec.path, config.image_token)?;
    let images = config.family.processor(&spec.path)?;
    let own_adapter = spec.adapter.as_ref().map(|dir| adapter::read(dir, &config.text, &device).map(Arc::new));
    let threads = rayon::ThreadPoolBuilder::new().num_threads(exec.threads.unwrap_or(0) as usize).build();
    Ok(CandleVlm {
        model,
        text,
        images,
        device,
        threads: threads.map_err(|error| ModelError::Unsupported(format!("threads cannot be started: {error}")))?,
        own_adapter: own_adapter.transpose()?,
        adapters: Mutex::default(),
        prefixes: Prefixes::with_room(PREFIX_ROOM),
    })
}

/// Finds the device a workflow asks for.
fn device(exec: &Exec) -> Result<Device, ModelError> {
    match exec.device.as_deref() {
        None | Some("cpu") => Ok(Device::Cpu),
        Some(other) => Err(ModelError::Unsupported(format!("this build has no device `{other}`; there is `cpu`"))),
    }
}

/// A call: what does not change from record to record.
struct Call<'a> {
    vlm: &'a CandleVlm,
    sampling: &'a Sampling,
    adapter: Option<Arc<Adapter>>,
    adapter_digest: Option<Digest>,
    watch: &'a dyn Watch,
    done: AtomicU64,
    total: u64,
}

/// Why a record has no answer.
enum Trouble {
    Fault(Fault),
    Engine(EngineError),
}

impl From<ModelError> for Trouble {
    fn from(error: ModelError) -> Self {
        Self::Engine(EngineError::Refused(error.to_string()))
    }
}

impl From<candle_core::Error> for Trouble {
    fn from(error: candle_core::Error) -> Self {
        ModelError::from(error).into()
    }
}

impl From<ImageError> for Trouble {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Tensor(error) => error.into(),
            error => Self::Fault(Fault { reason: "unreadable-picture".to_owned(), detail: error.to_string() }),
        }
    }
}

impl Vlm for CandleVlm {
    fn sample(
        &self,
        requests: &[Prompt<'_>],
        settings: &Sampling,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<Sentence>>>, EngineError> {
        let call = self.call(settings, adapter, watch, requests.len())?;
        let rows = settings.n.max(1) as usize;
        self.in_groups(requests, rows, |group| call.sample(group))
    }

    fn caption(
        &self,
        requests: &[Prompt<'_>],
        settings: &Captioning,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Captioned>>, EngineError> {
        let call = self.call(&settings.sampling, adapter, watch, requests.len())?;
        self.in_groups(requests, 1, |group| call.caption(group, settings))
    }
}

impl CandleVlm {
    fn call<'a>(
        &'a self,
        sampling: &'a Sampling,
        given: Option<&AdapterRef>,
        watch: &'a dyn Watch,
        requests: usize,
    ) -> Result<Call<'a>, EngineError> {
        let adapter = match given {
            Some(given) => Some(self.adapter(&given.dir, given.digest)?),
            None => self.own_adapter.clone(),
        };
        Ok(Call {
            vlm: self,
            sampling,
            adapter,
            adapter_digest: given.map(|given| given.digest),
            watch,
            done: AtomicU64::new(0),
            total: requests as u64,
        })
    }

    fn adapter(&self, dir: &Path, digest: Digest) -> Result<Arc<Adapter>, EngineError> {
        let mut adapters = self.adapters.lock().expect("no holder of the lock panics");
        if let Some(adapter) = adapters.get(&digest) {
            return Ok(adapter.clone());
        }
        let adapter = adapter::read(dir, &self.model.config().text, &self.device);
        let adapter = Arc::new(adapter.map_err(|error| EngineError::Refused(error.to_string()))?);
        adapters.insert(digest, adapter.clone());
        Ok(adapter)
    }

    /// Returns what the keys and values of a request's picture take at most, in bytes: the bulk of a prompt.
    fn prompt_bytes(&self, requests: &[Prompt<'_>]) -> usize {
        let text = &self.model.config().text;
        let a_token = 2 * size_of::<f32>() * text.layers * text.kv_heads * text.head_dim;
        let tokens = |request: &Prompt<'_>| self.images.place(&request.bytes).map_or(0, |place| place.tokens);
        requests.iter().map(tokens).max().unwrap_or(0).max(1) * a_token
    }

    /// Answers requests group by group, `rows` rows a request.
    fn in_groups<'r, T: Send>(
        &self,
        requests: &[Prompt<'r>],
        rows: usize,
        answer: impl Fn(&[Prompt<'r>]) -> Result<Vec<PerRecord<T>>, EngineError> + Sync + Send,
    ) -> Result<Vec<PerRecord<T>>, EngineError> {
        let threads = self.threads.current_num_threads();
        let fair = requests.len().div_ceil(threads);
        let size = fair.min(ROWS_MAX / rows).min(PREFIX_ROOM / threads / self.prompt_bytes(requests)).max(1);
        let groups: Result<Vec<Vec<PerRecord<T>>>, EngineError> =
            self.threads.install(|| requests.par_chunks(size).map(&answer).collect());
        Ok(groups?.into_iter().flatten().collect())
    }
}

impl Call<'_> {
    fn rules(&self) -> Rules {
        let Sampling { temperature, top_p, top_k, sentence_end, .. } = *self.sampling;
        Rules { warp: Warp { temperature, top_p, top_k }, by_token: sentence_end == SentenceEnd::Tokens }
    }

    fn streams(&self, request: &Prompt<'_>) -> Vec<Stream> {
        let Sampling { n, seed, stream, .. } = self.sampling;
        (0..*n).map(|candidate| Stream::of(*seed, stream, request.id, request.step, candidate)).collect()
    }

    fn sample(&self, group: &[Prompt<'_>]) -> Result<Vec<PerRecord<Vec<Sentence>>>, EngineError> {
        let prefixes = self.prefixes(group)?;
        let ready = group.iter().zip(&prefixes).filter_map(|(request, prefix)| Some((request, prefix.as_ref().ok()?)));
        let starts: Vec<Start<'_>> = ready
            .map(|(request, prefix)| Start {
                prefix,
                streams: self.streams(request),
                drawn: 0,
                max_tokens: self.sampling.max_tokens,
            })
            .collect();
        let mut drawn = self.draw(&starts)?.into_iter();
        let answer = |prefix: Result<Arc<Prefix>, Fault>| {
            let drawn = prefix.map(|_| drawn.next().expect("one list a prefix"))?;
            Ok((0..).zip(drawn).map(|(candidate, drawn)| sentence(candidate, drawn)).collect())
        };
        let answers: Vec<_> = prefixes.iter().cloned().map(answer).collect();
        self.tell(group.len());
        Ok(answers)
    }

    fn caption(&self, group: &[Prompt<'_>], settings: &Captioning) -> Result<Vec<PerRecord<Captioned>>, EngineError> {
        let mut answers: Vec<PerRecord<Captioned>> = Vec::with_capacity(group.len());
        let mut going: Vec<(usize, Arc<Prefix>)> = Vec::new();
        for (index, (request, prefix)) in group.iter().zip(self.prefixes(group)?).enumerate() {
            answers.push(prefix.map(|prefix| {
                going.push((index, prefix));
                Captioned { sentences: request.context.to_vec(), cut: false, tokens: 0 }
            }));
        }
        while !going.is_empty() {
            let start = |(index, prefix): &(usize, Arc<Prefix>)| {
                let tokens = answers[*index].as_ref().map_or(0, |so_far| so_far.tokens);
                (*index, prefix.clone(), tokens)
            };
            let starts: Vec<(usize, Arc<Prefix>, u32)> = going.iter().map(start).collect();
            let starts: Vec<Start<'_>> = starts
                .iter()
                .map(|(index, prefix, tokens)| Start {
                    prefix,
                    streams: self.streams(&group[*index]),
                    drawn: *tokens,
                    max_tokens: settings.max_tokens.saturating_sub(*tokens).max(1),
                })
                .collect();
            let drawn = self.draw(&starts)?;
            let mut on = Vec::with_capacity(going.len());
            for ((index, prefix), mut drawn) in going.into_iter().zip(drawn) {
                let Ok(so_far) = &mut answers[index] else { continue };
                let drawn = drawn.swap_remove(0);
                let (text, is_first) = (drawn.text.clone(), so_far.sentences.is_empty());
                if is_done(so_far, drawn, settings) {
                    continue;
                }
                match self.extended(&prefix, &text, is_first) {
                    Ok(longer) => on.push((index, longer)),
                    Err(Trouble::Fault(_)) => so_far.cut = true,
                    Err(Trouble::Engine(error)) => return Err(error),
                }
            }
            going = on;
        }
        self.tell(group.len());
        Ok(answers)
    }

    fn draw(&self, starts: &[Start<'_>]) -> Result<Vec<Vec<Drawn>>, EngineError> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let CandleVlm { model, text, .. } = self.vlm;
        let cancelled = || self.watch.cancelled();
        let drawn = sentences(&model.decoder, text, self.adapter.as_deref(), starts, &self.rules(), &cancelled);
        drawn.map_err(|error| EngineError::Refused(error.to_string()))?.ok_or(EngineError::Cancelled)
    }

    fn tell(&self, records: usize) {
        let done = self.done.fetch_add(records as u64, Ordering::Relaxed) + records as u64;
        self.watch.progress(done, self.total, "records", &[]);
    }

    /// Makes every request's prefix; a request's own fault stands in its place.
    fn prefixes(&self, group: &[Prompt<'_>]) -> Result<Vec<Result<Arc<Prefix>, Fault>>, EngineError> {
        let one = |request| match self.prefix(request) {
            Ok(prefix) => Ok(Ok(prefix)),
            Err(Trouble::Fault(fault)) => Ok(Err(fault)),
            Err(Trouble::Engine(error)) => Err(error),
        };
        group.iter().map(one).collect()
    }

    /// Goes on from the longest part of a request's context that is remembered.
    fn prefix(&self, request: &Prompt<'_>) -> Result<Arc<Prefix>, Trouble> {
        if self.watch.cancelled() {
            return Err(Trouble::Engine(EngineError::Cancelled));
        }
        let keys: Vec<Digest> = (0..=request.context.len()).map(|count| self.key(request, count)).collect();
        let prefixes = &self.vlm.prefixes;
        let known = (0..keys.len()).rev().find_map(|count| Some((count, prefixes.get(&keys[count])?)));
        let (mut count, mut prefix) = match known {
            Some((count, prefix)) => (count, prefix),
            None => (0, self.prompt(request)?),
        };
        let began_at = known_key(&keys, count);
        while count < request.context.len() {
            prefix = self.extended(&prefix, &request.context[count], count == 0)?;
            count += 1;
        }
        prefixes.put(keys[count], &prefix, began_at);
        Ok(prefix)
    }

    /// Names a prefix by everything it is made of.
    fn key(&self, request: &Prompt<'_>, sentences: usize) -> Digest {
        let adapter = self.adapter_digest.map_or([0; 32], |digest| *digest.as_bytes());
        let head = [adapter.as_slice(), request.picture.as_bytes(), request.question.as_bytes()];
        let context = request.context[..sentences].iter().map(|sentence| sentence.as_bytes());
        Digest::of_parts(head.into_iter().chain(context))
    }

    fn prompt(&self, request: &Prompt<'_>) -> Result<Arc<Prefix>, Trouble> {
        let CandleVlm { model, text, images, device, .. } = self.vlm;
        let place = images.place(&request.bytes)?;
        let prompt = text.prompt(request.question, place.tokens)?;
        self.fits(prompt.ids.len())?;
        let features = model.features(&[images.prepare(&request.bytes, device)?])?;
        let length = prompt.ids.len();
        let ids = Tensor::from_vec(prompt.ids, (1, length), device)?;
        let embedded = model.splice(&ids, &features, prompt.image_at)?;
        let picture = Some((prompt.image_at, place));
        Ok(Arc::new(Prefix::extend(&model.decoder, None, &embedded, picture, self.adapter.as_deref())?))
    }

    fn extended(&self, prefix: &Prefix, sentence: &str, is_first: bool) -> Result<Arc<Prefix>, Trouble> {
        let CandleVlm { model, text, device, .. } = self.vlm;
        let ids = if is_first { text.opening(sentence)? } else { text.sentence(sentence)? };
        self.fits(prefix.length + ids.len())?;
        let length = ids.len();
        let embedded = model.decoder.embed(&Tensor::from_vec(ids, (1, length), device)?)?;
        Ok(Arc::new(Prefix::extend(&model.decoder, Some(prefix), &embedded, None, self.adapter.as_deref())?))
    }

    /// Checks that a prefix leaves room for a token.
    fn fits(&self, length: usize) -> Result<(), Trouble> {
        let positions = self.vlm.model.config().text.max_positions;
        if length < positions {
            return Ok(());
        }
        let detail = format!("{length} tokens stand before the next sentence; the model knows {positions} positions");
        Err(Trouble::Fault(Fault { reason: "too-long".to_owned(), detail }))
    }
}

/// Returns the key of the prefix that a longer one takes the place of.
fn known_key(keys: &[Digest], count: usize) -> Option<&Digest> {
    (count + 1 < keys.len()).then(|| &keys[count])
}

/// Takes a drawn sentence; returns whether the caption is done.
fn is_done(so_far: &mut Captioned, drawn: Drawn, settings: &Captioning) -> bool {
    so_far.tokens += drawn.tokens;
    let is_empty = drawn.text.is_empty();
    if !is_empty {
        so_far.sentences.push(drawn.text);
    }
    let is_full = so_far.tokens >= settings.max_tokens || so_far.sentences.len() >= settings.max_sentences as usize;
    so_far.cut = drawn.cut || (is_full && !drawn.ended);
    // A sentence without a word says nothing that a next one could follow.
    drawn.ended || so_far.cut || is_empty
}

fn sentence(candidate: u32, drawn: Drawn) -> Sentence {
    let Drawn { text, ended, cut, tokens } = drawn;
    Sentence { candidate, text, ended, cut, tokens }
}
