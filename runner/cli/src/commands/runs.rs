//! `runs`: what ran on a store, the last first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Told, fail, open_store};
use crate::args::StoreArgs;
use crate::exit::Exit;
use crate::printer;

/// Runs told.
const RUNS_MAX: u32 = 100;

pub(super) fn run(args: &StoreArgs) -> Told {
    let store = open_store(args)?;
    let runs = store.runs(None, RUNS_MAX).map_err(|error| fail(&error.into()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut text = String::new();
    for run in &runs {
        let computed: u64 =
            run.stages.iter().filter(|stage| stage.kind != "loop").map(|stage| stage.counts.computed).sum();
        let aside = run.quarantined();
        let aside = if aside > 0 { format!(", {aside} set aside") } else { String::new() };
        let ago = humantime(Duration::from_secs(now.saturating_sub(run.started)));
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

fn humantime(since: Duration) -> String {
    let seconds = since.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}
