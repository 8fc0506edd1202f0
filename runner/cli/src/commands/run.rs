//! `run`: a workflow, computed as far as it is not in the store.

use std::sync::Arc;

use sentinel_core::report::{text, wording};
use sentinel_core::reporter::Reporter;
use sentinel_core::run::Stop;
use sentinel_core::session::RunOptions;

use super::{Desk, Told, fail, open_part, shown};
use crate::args::RunArgs;
use crate::exit::Exit;
use crate::printer;
use crate::progress::Progress;

pub(super) fn run(desk: &Desk, args: &RunArgs, verbose: bool) -> Told {
    let session = open_part(desk, &args.workflow, args.selection.selection().as_ref())?;
    let options = RunOptions {
        limit: args.limit,
        fail_on_miss: args.fail_on_miss,
        retry_quarantined: args.retry_quarantined,
        jobs: args.jobs,
    };
    if verbose {
        printer::say(session.plan(&options).map_err(|error| fail(&error))?.to_string().trim_end());
    }
    let progress = Arc::new(Progress::new());
    let reporter: Arc<dyn Reporter> = progress.clone();
    let finished = session.run(&options, &reporter, &Stop::default());
    progress.close();
    let finished = finished.map_err(|error| fail(&error))?;
    let places = [
        ("results", shown(&finished.folder)),
        ("report", shown(&finished.folder.join("report.html"))),
        ("store", shown(session.store().folder())),
    ];
    let past = || format!("the run of {} ago:\n", wording::past(finished.record.since()));
    let head = match finished.nothing_to_do {
        true => format!("{}\n\n{}", text::nothing_to_do(&finished.record), past()),
        false => "\n".to_owned(),
    };
    printer::say(&format!("{head}{}", text::text(&finished.report, &places).trim_end()));
    Ok(if finished.record.quarantined() > 0 { Exit::Quarantined } else { Exit::Done })
}
