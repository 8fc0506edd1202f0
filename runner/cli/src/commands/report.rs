//! `report`: the page of the last run, written again, or a page that compares two runs.

use sentinel_core::diff;

use super::{Desk, Told, fail, last, open, open_store, shown};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, other: Option<&str>) -> Told {
    let path = match other {
        Some(now) => {
            let store = open_store(&args.store)?;
            let was = args.file.workflow.to_string_lossy();
            let find = |name: &str| diff::find(&store, name).map_err(|error| fail(&error));
            diff::page(&store, &find(&was)?, &find(now)?, &args.out).map_err(|error| fail(&error))?
        }
        None => match last(desk, args)?.report().map_err(|error| fail(&error))? {
            Some(path) => path,
            // What it showed is gone: it takes the stages to make it anew.
            None => open(desk, args)?.report().map_err(|error| fail(&error))?,
        },
    };
    printer::data(&(shown(&path) + "\n"))?;
    Ok(Exit::Done)
}
