//! Any vision-language model behind an OpenAI-compatible chat-completions server (vLLM, SGLang, llama.cpp, transformers serve), as
//! a [`Vlm`](sentinel_domain::ports::Vlm). The only crate that opens connections, and only to the address a workflow declares.
//!
//! Reading order: [`server`] (the port), [`programs`] (what is known of server programs), `ask` (a request), `events` (its streamed
//! answer), `send` (attempts and faults), `sentences` (what of an answer is a sentence).

mod ask;
mod events;
pub mod programs;
mod send;
mod sentences;
pub mod server;

pub use server::open;

/// Identity of this engine: enters the keys of what a server says. The model behind it is taken on trust: its name and revision stand
/// in the key as written.
pub const ENGINE: &str = "server 1, taken on trust";
