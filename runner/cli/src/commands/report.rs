//! `report`: the page of the last run, written again.

use super::{Desk, Told, fail, last, open, shown};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs) -> Told {
    let written = last(desk, args)?.report().map_err(|error| fail(&error))?;
    let path = match written {
        Some(path) => path,
        // What it showed is gone: it takes the stages to make it anew.
        None => open(desk, args)?.report().map_err(|error| fail(&error))?,
    };
    printer::data(&(shown(&path) + "\n"))?;
    Ok(Exit::Done)
}
