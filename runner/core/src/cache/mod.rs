//! What is kept, and what decides a hit. A unit of work is looked up by a key made of everything that can change its result
//! ([`key`]); results are kept in a store that several runs may use at once ([`store`]), big things as files named by content
//! ([`blobs`]); the user's own files are known by content, too ([`files`]). What flows between stages is not rows but where they
//! are kept ([`kept`]).
//!
//! Nothing here decides what runs: that is [`crate::run`]'s.

pub(crate) mod blobs;
pub(crate) mod codec;
pub mod files;
pub mod kept;
pub mod key;
pub mod list;
mod notes;
mod place;
pub(crate) mod process;
pub mod prune;
mod stock;
pub mod store;
mod tables;
pub mod verify;
mod wholes;

/// The version of the way keys are made and results are kept. It is part of the store's path: a new version starts afresh and
/// says so; it never reinterprets what an older one kept.
pub const KEY_SCHEMA: u32 = 1;
