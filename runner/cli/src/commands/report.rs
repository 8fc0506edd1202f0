//! `report`: the page of the last run, written again.

use super::{Desk, Told, fail, open, shown};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs) -> Told {
    let session = open(desk, args)?;
    let path = session.report().map_err(|error| fail(&error))?;
    printer::data(&(shown(&path) + "\n"))?;
    Ok(Exit::Done)
}
