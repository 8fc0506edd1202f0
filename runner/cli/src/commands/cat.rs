//! `cat`: the records of a stage of the last run, one JSON object a line.

use sentinel_core::session;

use super::{Desk, Told, fail, open};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, output: &str) -> Told {
    let session = open(desk, args)?;
    let record = session.last().map_err(|error| fail(&error))?;
    let units = session::rows(session.store(), &record, output).map_err(|error| fail(&error))?;
    for rows in units {
        let rows = rows.map_err(|error| fail(&error.into()))?;
        let text: String = rows.iter().flat_map(|row| [&**row, "\n"]).collect();
        if !printer::data(&text)? {
            break;
        }
    }
    Ok(Exit::Done)
}
