//! `plan`: what a run would compute, and why.

use sentinel_core::session::RunOptions;

use super::{Desk, Told, fail, load_all, session};
use crate::args::PlanArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &PlanArgs) -> Told {
    let options = RunOptions { limit: args.limit, ..RunOptions::default() };
    let workflows = load_all(desk, &args.workflow, args.selection.selection().as_ref(), false)?;
    let (is_one, mut is_all_cached) = (workflows.len() == 1, true);
    for workflow in workflows {
        if !is_one {
            printer::data(&format!("{}\n", workflow.name))?;
        }
        let plan = session(desk, &args.workflow, workflow)?.plan(&options).map_err(|error| fail(&error))?;
        printer::data(&plan.to_string())?;
        is_all_cached &= plan.is_all_cached();
    }
    Ok(if args.fail_on_miss && !is_all_cached { Exit::Missing } else { Exit::Done })
}
