//! The host as engines meet it: plugins that mean well (those shipped under `plugins/dist`), and plugins that do not (written here
//! as text, so that no toolchain is needed).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod dist;
mod extractor;
mod formats;
mod hostile;
mod manifests;
mod own_plugin;
mod pair_filter;
