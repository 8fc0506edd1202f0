//! A model behind a server, as an entry of `models:` declares it.

use std::time::Duration;

use schemars::JsonSchema;
use sentinel_domain::ports::{Continuation, ServerSpec};
use serde::Deserialize;

/// A vision-language model behind a server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Served {
    /// The server.
    pub(crate) server: ServerEntry,
}

/// An OpenAI-compatible chat-completions server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerEntry {
    /// Its address up to the version, for example `http://127.0.0.1:8000/v1`.
    #[schemars(regex(pattern = r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$"), extend("x-sentinel-how" = true))]
    url: String,
    /// The model's name there. Name and `revision` are what results are kept under; that the server has no other weights under
    /// them is taken on trust.
    model: String,
    /// Which weights these are, in your own words; change it when they change.
    #[expect(dead_code, reason = "it enters keys, and nothing else")]
    revision: Option<String>,
    /// Sent as bearer token.
    #[schemars(extend("x-sentinel-how" = true))]
    key: Option<SecretName>,
    /// How the model is asked to go on with a description.
    #[serde(default)]
    continuation: Continuation,
    /// Most requests under way.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1024), extend("x-sentinel-how" = true))]
    concurrency: u32,
    /// Longest silence in seconds before a request is tried again.
    #[serde(default = "two_minutes")]
    #[schemars(range(min = 1, max = 86400), extend("x-sentinel-how" = true))]
    timeout: u32,
    /// Attempts after the first, with growing waits between them.
    #[serde(default = "four")]
    #[schemars(range(min = 0, max = 100), extend("x-sentinel-how" = true))]
    retries: u32,
}

/// A secret by its name; the value never stands in a workflow.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SecretName {
    /// The secret's name in the file given with `--secrets`, else the environment variable of that name.
    secret: String,
}

impl ServerEntry {
    /// Returns what the engines need to open it; the error is half a sentence.
    pub(crate) fn spec(self) -> Result<ServerSpec, String> {
        let place = ["http://", "https://"].into_iter().find_map(|scheme| self.url.strip_prefix(scheme));
        if place.is_none_or(|place| {
            place.is_empty() || place.contains(['@', '?', '#']) || place.contains(char::is_whitespace)
        }) {
            let url = self.url;
            return Err(format!("the address `{url}` is not `http://…` or `https://…` with a host and at most a path"));
        }
        let Self { url, model, revision: _, key, continuation, concurrency, timeout, retries } = self;
        let (secret, timeout) = (key.map(|key| key.secret), Duration::from_secs(timeout.into()));
        Ok(ServerSpec { url, model, secret, continuation, concurrency, timeout, retries })
    }
}

fn four() -> u32 {
    4
}

fn eight() -> u32 {
    8
}

fn two_minutes() -> u32 {
    120
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(url: &str) -> Result<ServerSpec, String> {
        serde_json::from_value::<ServerEntry>(json!({ "url": url, "model": "m" })).unwrap().spec()
    }

    #[test]
    fn an_address_is_a_host_and_a_path() {
        for url in ["http://127.0.0.1:8000/v1", "https://a.b", "http://a/v1/"] {
            assert_eq!(spec(url).unwrap().url, url);
        }
        // What else an address may hold would be sent, kept or printed where nobody expects it: a password, a query.
        for url in
            ["", "a.b/v1", "ftp://a", "http://", "http://me:secret@a/v1", "http://a?key=1", "http://a b", "http://a#b"]
        {
            assert!(spec(url).unwrap_err().contains("address"), "{url}");
        }
    }
}
