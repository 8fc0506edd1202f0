//! `plan`: what a run would compute, and why.

use sentinel_core::session::RunOptions;

use super::{Desk, Told, fail, open_part};
use crate::args::PlanArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &PlanArgs) -> Told {
    let session = open_part(desk, &args.workflow, args.selection.selection().as_ref(), false)?;
    let options = RunOptions { limit: args.limit, ..RunOptions::default() };
    let plan = session.plan(&options).map_err(|error| fail(&error))?;
    printer::data(&plan.to_string())?;
    Ok(if args.fail_on_miss && !plan.is_all_cached() { Exit::Missing } else { Exit::Done })
}
