//! `cache`: how much a store keeps, and whether it is whole.

use sentinel_core::report::wording::counted;

use super::{Told, fail, open_store};
use crate::args::StoreArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(args: &StoreArgs, verify: bool) -> Told {
    let store = open_store(args)?;
    let size = store.size().map_err(|error| fail(&error.into()))?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = format!(
        "{}\n{}, {}, {} in {:.1} MiB; {} in {:.1} MiB\n",
        store.folder().display(),
        counted(size.units, "unit"),
        counted(size.wholes, "whole result"),
        counted(size.memos, "memo"),
        mib(size.index_bytes),
        counted(size.blobs, "file"),
        mib(size.blob_bytes),
    );
    let mut exit = Exit::Done;
    if verify {
        let found = store.verify().map_err(|error| fail(&error.into()))?;
        let both = |entries, files| format!("{} and {}", counted(entries, "result"), counted(files, "file"));
        text += &format!("checked: {} are what was written\n", both(found.entries, found.blobs));
        if found.entries_damaged + found.blobs_damaged > 0 {
            text += &format!("damaged and removed: {}\n", both(found.entries_damaged, found.blobs_damaged));
            exit = Exit::Failed;
        }
    }
    printer::data(&text)?;
    Ok(exit)
}
