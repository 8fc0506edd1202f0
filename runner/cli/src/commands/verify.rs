//! `verify`: some of what is kept, computed again and compared.

use std::sync::Arc;

use sentinel_core::report::wording::{count, counted};
use sentinel_core::reporter::Reporter;
use sentinel_core::run::{Compared, Repeats, Stop};
use sentinel_core::session::VerifyOptions;
use sentinel_core::workflow::Workflow;

use super::{Desk, Told, fail, open};
use crate::args::{Shown, VerifyArgs};
use crate::exit::Exit;
use crate::printer;
use crate::progress::Progress;

/// Differences told of a stage.
const TOLD_MAX: usize = 3;

pub(super) fn run(desk: &Desk, args: &VerifyArgs) -> Told {
    let session = open(desk, &args.workflow)?;
    let options = VerifyOptions { units: args.units, tolerance: args.tolerance };
    let progress = Arc::new(Progress::new(Shown::Auto));
    let reporter: Arc<dyn Reporter> = progress.clone();
    let repeats = session.verify(&args.stages, &options, &reporter, &Stop::default());
    progress.close();
    let repeats = repeats.map_err(|error| fail(&error))?;
    printer::data(&table(session.workflow(), &repeats))?;
    let again: u64 = repeats.values().map(|one| one.again).sum();
    if again == 0 {
        printer::say("nothing is kept to compare with; `sentinel run` comes first");
        return Ok(Exit::Failed);
    }
    Ok(if repeats.values().all(|one| one.differing.is_empty()) { Exit::Done } else { Exit::Failed })
}

fn table(workflow: &Workflow, repeats: &Repeats) -> String {
    let width = repeats.keys().map(|stage| stage.len()).max().unwrap_or_default();
    let mut text = String::new();
    let in_order = workflow.stage_ids().filter_map(|stage| Some((repeats.get(&stage)?, stage)));
    for (one, stage) in in_order {
        let found = match one.differing.len() {
            _ if one.again == 0 => "nothing to compare with".to_owned(),
            0 => "the same".to_owned(),
            differ => format!("{differ} differ"),
        };
        let of = counted(one.kept, "unit");
        text += &format!("{stage:width$}  {:>6} of {of:<14} {found}\n", count(one.again));
        for compared in one.differing.iter().take(TOLD_MAX) {
            text += &format!("{:width$}  {}\n", "", story(compared));
        }
    }
    text
}

/// Says how a result differs, and what is likely to be the cause.
fn story(compared: &Compared) -> String {
    let Compared { record, step, difference, made_on, .. } = compared;
    let step = if *step == 0 { String::new() } else { format!(" at step {step}") };
    let record = if record.is_empty() { String::new() } else { format!("record `{record}`{step}: ") };
    let cause = match made_on {
        Some(made_on) => {
            format!(
                "it was computed on another machine ({made_on}), whose arithmetic may round otherwise: try `--tolerance 1e-3`"
            )
        }
        None => "it was computed on this kind of machine: what computes it is not deterministic, or was built anew"
            .to_owned(),
    };
    format!("{record}{}; {cause}", difference.as_deref().unwrap_or_default())
}
