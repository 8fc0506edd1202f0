//! `why`: which ingredient changed.

use super::{Desk, Told, fail, open};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, stage: &str, record: Option<&str>) -> Told {
    let session = open(desk, args)?;
    let lines = session.why(stage, record).map_err(|error| fail(&error))?;
    printer::data(&(lines.join("\n") + "\n"))?;
    Ok(Exit::Done)
}
