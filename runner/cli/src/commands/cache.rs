//! `cache`: how much a store keeps and of what, how runs on it differ, whether it is whole, and room in it.

use std::time::{Duration, SystemTime};

use sentinel_core::cache::prune::{Room, prune};
use sentinel_core::diff;
use sentinel_core::report::record::RunRecord;
use sentinel_core::report::wording::{counted, past};

use super::{Told, fail, open_store, store_folder};
use crate::args::{CacheCommand, StoreArgs};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(what: Option<&CacheCommand>, store: &StoreArgs) -> Told {
    match what {
        None => size(store),
        Some(CacheCommand::List { store }) => list(store),
        Some(CacheCommand::Diff { was, now, store }) => difference(was, now.as_deref(), store),
        Some(CacheCommand::Verify { store }) => verify(store),
        Some(CacheCommand::Prune { store, older_than, max_size, dry_run }) => {
            make_room(store, Room { older_than: *older_than, max_bytes: *max_size }, *dry_run)
        }
    }
}

fn size(args: &StoreArgs) -> Told {
    let store = open_store(args)?;
    let size = store.size().map_err(|error| fail(&error.into()))?;
    printer::data(&format!(
        "{}\n{}, {}, {} in {}; {} in {}\n",
        store.folder().display(),
        counted(size.units, "unit"),
        counted(size.wholes, "whole result"),
        counted(size.memos, "memo"),
        mib(size.index_bytes),
        counted(size.blobs, "file"),
        mib(size.blob_bytes),
    ))?;
    Ok(Exit::Done)
}

fn list(args: &StoreArgs) -> Told {
    let listed = open_store(args)?.list().map_err(|error| fail(&error.into()))?;
    let mut text = String::new();
    for listed in &listed {
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(listed.used);
        let ago = past(SystemTime::now().duration_since(used).unwrap_or_default());
        let of: Vec<String> = listed.stages.iter().map(|(workflow, stage)| format!("{workflow} {stage}")).collect();
        let of = if of.is_empty() { "of no run that came to its end".to_owned() } else { of.join(", ") };
        text += &format!(
            "{}  {:<10} {:>9} results {:>10}  used {ago:>10} ago  {of}\n",
            listed.fingerprint.short(),
            listed.kind,
            listed.results,
            mib(listed.bytes),
        );
    }
    printer::data(&text)?;
    Ok(Exit::Done)
}

fn difference(was: &str, now: Option<&str>, args: &StoreArgs) -> Told {
    let store = open_store(args)?;
    let find = |name: &str| diff::find(&store, name).map_err(|error| fail(&error));
    let was = find(was)?;
    let now = find(now.unwrap_or(&was.workflow))?;
    let found = diff::diff(&store, &was, &now).map_err(|error| fail(&error))?;
    let named = |run: &RunRecord| format!("{} {} ({} ago)", run.workflow, run.digest.short(), past(run.since()));
    let mut text = format!("{} → {}\n", named(&was), named(&now));
    found.causes.iter().for_each(|line| text += &format!("  {line}\n"));
    text += &match (found.results.as_slice(), found.same) {
        ([], same) => format!("all results both have are the same: {}\n", counted(same as u64, "output")),
        (other, same) => format!("other results: {}; the same: {}\n", other.join(", "), counted(same as u64, "output")),
    };
    printer::data(&text)?;
    Ok(Exit::Done)
}

fn verify(args: &StoreArgs) -> Told {
    let found = open_store(args)?.verify().map_err(|error| fail(&error.into()))?;
    let both = |entries, files| format!("{} and {}", counted(entries, "result"), counted(files, "file"));
    printer::data(&format!("checked: {} are what was written\n", both(found.entries, found.blobs)))?;
    if found.entries_damaged + found.blobs_damaged == 0 {
        return Ok(Exit::Done);
    }
    printer::data(&format!("damaged and removed: {}\n", both(found.entries_damaged, found.blobs_damaged)))?;
    Ok(Exit::Failed)
}

fn make_room(args: &StoreArgs, room: Room, dry_run: bool) -> Told {
    let pruned = prune(&store_folder(args)?, room, dry_run).map_err(|error| fail(&error.into()))?;
    printer::data(&format!(
        "{}: {}, {} and {} of {}; {} {}\n",
        if dry_run { "would be removed" } else { "removed" },
        counted(pruned.runs, "run"),
        counted(pruned.entries, "result"),
        counted(pruned.blobs, "file"),
        mib(pruned.bytes),
        mib(pruned.bytes_left),
        if dry_run { "would stay" } else { "stay" },
    ))?;
    Ok(Exit::Done)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
