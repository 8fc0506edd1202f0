//! `cache`: how much a store keeps, and whether it is whole.

use super::{Told, fail, open_store};
use crate::args::StoreArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(args: &StoreArgs, verify: bool) -> Told {
    let store = open_store(args)?;
    let size = store.size().map_err(|error| fail(&error.into()))?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = format!(
        "{}\n{} units, {} whole results, {} memos in {:.1} MiB; {} files in {:.1} MiB\n",
        store.folder().display(),
        size.units,
        size.wholes,
        size.memos,
        mib(size.index_bytes),
        size.blobs,
        mib(size.blob_bytes),
    );
    let mut exit = Exit::Done;
    if verify {
        let found = store.verify().map_err(|error| fail(&error.into()))?;
        text += &format!(
            "{} entries and {} files are what was written; {} entries and {} files were damaged and are removed\n",
            found.entries, found.blobs, found.entries_damaged, found.blobs_damaged
        );
        if found.entries_damaged + found.blobs_damaged > 0 {
            exit = Exit::Failed;
        }
    }
    printer::data(&text)?;
    Ok(exit)
}
