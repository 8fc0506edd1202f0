//! The port `Vlm` over a connection: requests of many records side by side, answers in their order.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, redirect};
use sentinel_core::stage::Fault;
use sentinel_domain::ports::{
    AdapterRef, Captioned, Captioning, Continuation, EngineError, PerRecord, Prompt, Sampling, ServerSpec, Vlm, Watch,
};
use sentinel_domain::records::Sentence;
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use crate::ask::{Context, ask};
use crate::events::{Finish, Reply};
use crate::programs::{OTHER, Program, known};
use crate::send::{Line, Trouble};
use crate::sentences::{all, first};

/// How often it is asked whether to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// A model behind a server.
pub struct Server {
    line: Line,
    model: String,
    concurrency: usize,
    context: Context,
    several: bool,
    runtime: Runtime,
}

/// Opens a model behind a server: asks what models there are, which also shows what program it is. `secret` is sent as bearer token.
///
/// # Errors
/// [`EngineError::World`] where the server cannot be reached, [`EngineError::Refused`] where it does not have the model.
pub fn open(spec: &ServerSpec, secret: Option<String>) -> Result<Server, EngineError> {
    let world = |message: String| EngineError::World(message);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| world(format!("no thread for connections: {error}")))?;
    let line = Line {
        client: client(secret.as_deref())?,
        url: spec.url.trim_end_matches('/').to_owned(),
        secret,
        timeout: spec.timeout,
        retries: spec.retries,
    };
    let program = runtime.block_on(program(&line, &spec.model))?;
    let context = match spec.continuation {
        Continuation::Turn => Context::Turn,
        Continuation::Quoted => Context::Quoted,
        Continuation::Auto if program.continues => Context::Turn,
        Continuation::Auto => Context::Quoted,
    };
    let (model, concurrency) = (spec.model.clone(), spec.concurrency as usize);
    Ok(Server { line, model, concurrency, context, several: program.several, runtime })
}

/// Returns a client that follows no redirect and asks no proxy: it speaks to the declared address alone.
fn client(secret: Option<&str>) -> Result<Client, EngineError> {
    let mut headers = HeaderMap::new();
    if let Some(secret) = secret {
        let value = HeaderValue::from_str(&format!("Bearer {secret}"));
        let mut value = value.map_err(|_| EngineError::Refused("the secret cannot stand in a header".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let client = Client::builder().default_headers(headers).redirect(redirect::Policy::none()).no_proxy().build();
    client.map_err(|error| EngineError::World(error.to_string()))
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    #[serde(default)]
    owned_by: String,
}

/// Looks for the model; returns what is known of the program.
async fn program(line: &Line, model: &str) -> Result<Program, EngineError> {
    let Some(told) = line.get("/models").await? else { return Ok(OTHER) };
    let Ok(models) = serde_json::from_value::<Models>(told) else { return Ok(OTHER) };
    let own = models.data.iter().find(|there| there.id == model);
    match (own, models.data.first()) {
        (Some(own), _) => Ok(known(&own.owned_by)),
        // A server that loads what it is asked for lists what it has at hand.
        (None, None) => Ok(OTHER),
        (None, Some(other)) if known(&other.owned_by) == OTHER => Ok(OTHER),
        (None, Some(_)) => {
            let there: Vec<&str> = models.data.iter().map(|there| there.id.as_str()).take(8).collect();
            let there = there.join("`, `");
            Err(EngineError::Refused(format!("{} has no model `{model}`; it has `{there}`", line.url)))
        }
    }
}

impl Vlm for Server {
    fn sample(
        &self,
        requests: &[Prompt<'_>],
        settings: &Sampling,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<Sentence>>>, EngineError> {
        no_adapter(adapter)?;
        let at_once = if self.several { settings.n } else { 1 };
        let rule = settings.sentence_end;
        let parts = (0..settings.n).step_by(at_once as usize).map(|from| (from, at_once.min(settings.n - from)));
        let parts: Vec<(u32, u32)> = parts.collect();
        let work = requests.iter().flat_map(|prompt| parts.iter().map(move |part| (prompt, *part)));
        let replies = self.all(work, settings, settings.max_tokens, watch, |reply| first(reply, rule).is_some())?;
        let mut replies = replies.into_iter();
        Ok(requests.iter().map(|_| candidates(replies.by_ref().take(parts.len()), settings)).collect())
    }

    fn caption(
        &self,
        requests: &[Prompt<'_>],
        settings: &Captioning,
        adapter: Option<&AdapterRef>,
        watch: &dyn Watch,
    ) -> Result<Vec<PerRecord<Captioned>>, EngineError> {
        no_adapter(adapter)?;
        let work = requests.iter().map(|prompt| (prompt, (0, 1)));
        let replies = self.all(work, &settings.sampling, settings.max_tokens, watch, |_| false)?;
        let captioned = |(prompt, replies): (&Prompt<'_>, PerRecord<Vec<Reply>>)| {
            replies.map(|mut replies| captioned(prompt, replies.swap_remove(0), settings))
        };
        Ok(requests.iter().zip(replies).map(captioned).collect())
    }
}

impl Server {
    /// Sends requests side by side; returns their answers in order. A record's own fault costs only itself, anything else stops all.
    fn all<'a>(
        &self,
        work: impl Iterator<Item = (&'a Prompt<'a>, (u32, u32))>,
        settings: &Sampling,
        max_tokens: u32,
        watch: &dyn Watch,
        enough: impl Fn(&Reply) -> bool,
    ) -> Result<Vec<PerRecord<Vec<Reply>>>, EngineError> {
        let work: Vec<_> = work.collect();
        let total = work.len() as u64;
        let answer = async |number: usize| {
            let (prompt, (candidate, answers)) = work[number];
            let ask = ask(&self.model, prompt, self.context, settings, max_tokens, candidate, answers);
            let replies = match self.line.ask(&ask, &enough).await {
                Ok(replies) => Ok(replies),
                Err(Trouble::Request(detail)) => Err(Fault { reason: "server-refused".to_owned(), detail }),
                Err(trouble) => return Err(EngineError::from(trouble)),
            };
            Ok((number, replies))
        };
        let everything = async {
            let mut answers = stream::iter(0..work.len()).map(answer).buffer_unordered(self.concurrency);
            let mut replies: Vec<_> = work.iter().map(|_| None).collect();
            let mut done = 0;
            while let Some(answered) = answers.next().await {
                let (number, reply) = answered?;
                replies[number] = Some(reply);
                done += 1;
                watch.progress(done, total, "requests", &[]);
            }
            Ok(replies.into_iter().map(|reply| reply.expect("every request was answered")).collect())
        };
        let stopped = async {
            while !watch.cancelled() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                answered = everything => answered,
                () = stopped => Err(EngineError::Cancelled),
            }
        })
    }
}

/// Returns a record's candidates from the answers to its requests, in order.
fn candidates(replies: impl Iterator<Item = PerRecord<Vec<Reply>>>, settings: &Sampling) -> PerRecord<Vec<Sentence>> {
    let mut sentences = Vec::new();
    for reply in replies {
        for (candidate, reply) in (sentences.len() as u32..).zip(reply?) {
            let first = first(&reply, settings.sentence_end).expect("an answer is finished or enough");
            let (text, ended, cut, tokens) = (first.text, first.ended, first.cut, reply.pieces);
            sentences.push(Sentence { candidate, text, ended, cut, tokens });
        }
    }
    Ok(sentences)
}

fn captioned(prompt: &Prompt<'_>, reply: Reply, settings: &Captioning) -> Captioned {
    let new = all(&reply.text, settings.sampling.sentence_end);
    let mut sentences: Vec<String> = prompt.context.iter().cloned().chain(new).collect();
    let is_long = sentences.len() > settings.max_sentences as usize;
    sentences.truncate(settings.max_sentences as usize);
    Captioned { sentences, cut: is_long || reply.finish == Some(Finish::Length), tokens: reply.pieces }
}

/// A server's model is what it is.
fn no_adapter(adapter: Option<&AdapterRef>) -> Result<(), EngineError> {
    match adapter {
        None => Ok(()),
        Some(_) => Err(EngineError::Refused(
            "a model behind a server takes no adapter; serve the tuned model, and declare it as another entry"
                .to_owned(),
        )),
    }
}
