//! `doctor`: what this machine offers.

use std::path::Path;

use super::{Desk, Told};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, store: Option<&Path>) -> Told {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let catalogue = desk.engines.catalogue();
    let search = sentinel_detect::search();
    let store =
        store.map_or_else(|| ".sentinel beside the repository's root".to_owned(), |path| path.display().to_string());
    let mut text = format!(
        "sentinel {}\nthreads: {threads}\nmodels: {}\ndetectors: {}\nplugins: {}\nstore: {store}\n\n{search}\n",
        env!("CARGO_PKG_VERSION"),
        catalogue.model_engine,
        catalogue.detector_engine,
        catalogue.plugin_engine,
    );
    if let Some(note) = search.note() {
        text += &format!("note: {note}\n");
    }
    printer::data(&text)?;
    Ok(Exit::Done)
}
