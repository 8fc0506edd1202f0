//! Sending a request: attempts, waiting between them, and what each way of failing means.
//!
//! | what happens | what it means |
//! |---|---|
//! | no connection, silence beyond the time limit, 408, 425, 429, 5xx, an answer that breaks off or cannot be read | it may pass: tried again, then the stage fails and can be resumed |
//! | 400, 413, 415, 422 | this request cannot be answered: its record is set aside |
//! | any other status | the workflow is wrong (key, model, address): the stage fails |

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, header};
use sentinel_domain::ports::EngineError;
use serde_json::Value;

use crate::ask::Ask;
use crate::events::{Events, Garbled, Reply, add, short};

/// Waits between attempts: the first, doubled each time, and the longest.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that is not streamed, or that tells an error.
const BODY_MAX: usize = 1 << 22;

/// What is often wrong where nothing is found.
const ADDRESS: &str = " (`url` is the address up to `/v1`, `model` one of the models the server lists)";

/// Where requests go.
pub(crate) struct Line {
    pub(crate) client: Client,
    /// Up to `/v1`, without a slash at the end.
    pub(crate) url: String,
    /// What must never be printed.
    pub(crate) secret: Option<String>,
    /// Longest silence.
    pub(crate) timeout: Duration,
    /// Attempts after the first.
    pub(crate) retries: u32,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("{0}")]
    Passing(String, Option<Duration>),
    #[error("{0}")]
    Request(String),
    #[error("{0}")]
    Refused(String),
}

impl From<Trouble> for EngineError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing(message, _) => Self::World(message),
            Trouble::Request(message) | Trouble::Refused(message) => Self::Refused(message),
        }
    }
}

impl Line {
    /// Sends a request until it is answered; drops the connection when `enough` holds of every choice.
    pub(crate) async fn ask(&self, ask: &Ask, enough: impl Fn(&Reply) -> bool) -> Result<Vec<Reply>, Trouble> {
        self.patiently(async || {
            let request = self.client.post(format!("{}/chat/completions", self.url)).json(&ask.body);
            let response = self.answered(request).await?;
            self.replies(response, ask.answers, &enough).await
        })
        .await
    }

    /// Returns what the server tells at a path; `None` where it tells nothing there, as not every server does.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, Trouble> {
        self.patiently(async || {
            let response = self.in_time(self.client.get(format!("{}{path}", self.url)).send()).await?;
            match response.status() {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.trouble(response).await),
                status if status.is_success() => Ok(serde_json::from_str(&self.body(response).await?).ok()),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Tries until it works or cannot.
    async fn patiently<T>(&self, attempt: impl AsyncFn() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut wait = WAIT;
        for left in (0..=self.retries).rev() {
            match attempt().await {
                Err(Trouble::Passing(_, asked)) if left > 0 => {
                    tokio::time::sleep(asked.unwrap_or(wait).min(WAIT_MAX)).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Sends a request; an answer that is not a success is trouble.
    async fn answered(&self, request: reqwest::RequestBuilder) -> Result<Response, Trouble> {
        let response = self.in_time(request.send()).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.trouble(response).await),
        }
    }

    /// Says what an answer means that is not a success.
    async fn trouble(&self, response: Response) -> Trouble {
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let (path, told) = (response.url().path().to_owned(), self.body(response).await.unwrap_or_default());
        let hint = if status == StatusCode::NOT_FOUND { ADDRESS } else { "" };
        let message = self.clean(&format!("{} says {status} to {path}: {}{hint}", self.url, short(&told)));
        match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Trouble::Passing(message, wait)
            }
            _ if status.is_server_error() => Trouble::Passing(message, wait),
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Trouble::Request(message),
            _ => Trouble::Refused(message),
        }
    }

    /// Reads an answer piece by piece.
    async fn replies(
        &self,
        mut response: Response,
        answers: u32,
        enough: &impl Fn(&Reply) -> bool,
    ) -> Result<Vec<Reply>, Trouble> {
        let mut replies = vec![Reply::default(); answers as usize];
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") {
            let body = self.body(response).await?;
            add(&mut replies, &body).map_err(|garbled| self.garbled(&garbled))?;
            return self.complete(replies, enough);
        }
        if kind.starts_with("text/html") {
            let story = format!("{} answers with a page, not with a chat completion{ADDRESS}", self.url);
            return Err(Trouble::Refused(self.clean(&story)));
        }
        let mut events = Events::default();
        while let Some(bytes) = self.in_time(response.chunk()).await? {
            for data in events.take(&bytes).map_err(|garbled| self.garbled(&garbled))? {
                if data == "[DONE]" {
                    return self.complete(replies, enough);
                }
                add(&mut replies, &data).map_err(|garbled| self.garbled(&garbled))?;
            }
            if replies.iter().all(enough) {
                return Ok(replies);
            }
        }
        self.complete(replies, enough)
    }

    /// Checks that every choice was finished, or is enough as it is.
    fn complete(&self, replies: Vec<Reply>, enough: &impl Fn(&Reply) -> bool) -> Result<Vec<Reply>, Trouble> {
        match replies.iter().all(|reply| reply.finish.is_some() || enough(reply)) {
            true => Ok(replies),
            false => Err(self.passing("the answer broke off".to_owned())),
        }
    }

    /// Reads a body whole.
    async fn body(&self, mut response: Response) -> Result<String, Trouble> {
        let mut body = Vec::new();
        while let Some(bytes) = self.in_time(response.chunk()).await? {
            body.extend_from_slice(&bytes);
            if body.len() > BODY_MAX {
                return Err(self.passing(format!("the answer has more than {BODY_MAX} bytes")));
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn in_time<T>(&self, step: impl Future<Output = reqwest::Result<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(self.timeout, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.passing(causes(&error.without_url()))),
            Err(_) => Err(self.passing(format!("nothing came for {} s", self.timeout.as_secs()))),
        }
    }

    fn garbled(&self, garbled: &Garbled) -> Trouble {
        self.passing(garbled.to_string())
    }

    fn passing(&self, what: String) -> Trouble {
        Trouble::Passing(self.clean(&format!("{}: {what}", self.url)), None)
    }

    /// Returns a text without the secret: a server may repeat it.
    fn clean(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) if !secret.is_empty() => text.replace(secret.as_str(), "[redacted]"),
            _ => text.to_owned(),
        }
    }
}

/// Returns an error with what caused it: reqwest's own words say little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
