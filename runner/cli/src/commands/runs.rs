//! `runs`: what ran on a store, the last first.

use sentinel_core::report::wording::past;

use super::{Told, fail, open_store};
use crate::args::StoreArgs;
use crate::exit::Exit;
use crate::printer;

/// Runs told.
const RUNS_MAX: u32 = 100;

pub(super) fn run(args: &StoreArgs) -> Told {
    let store = open_store(args)?;
    let runs = store.runs(None, RUNS_MAX).map_err(|error| fail(&error.into()))?;
    if runs.is_empty() {
        printer::say(&format!("no run has come to its end on the store `{}`", store.folder().display()));
    }
    let mut text = String::new();
    for run in &runs {
        let computed: u64 =
            run.stages.iter().filter(|stage| stage.kind != "loop").map(|stage| stage.counts.computed).sum();
        let aside = run.quarantined();
        let aside = if aside > 0 { format!(", {aside} set aside") } else { String::new() };
        let ago = past(run.since());
        let took = run.wall_ms as f64 / 1000.0;
        text += &format!(
            "{}  {:<24} {ago:>12} ago  seed {}  {computed} units computed in {took:.1} s{aside}\n",
            run.digest.short(),
            run.workflow,
            run.seed
        );
    }
    printer::data(&text)?;
    Ok(Exit::Done)
}
