//! `cat`: the records of a stage of the last run, one JSON object a line, or a text file that it wrote.

use sentinel_core::last::Content;
use sentinel_core::report::ReportUnit;

use super::{Desk, Told, fail, last};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, output: &str, with_id: bool) -> Told {
    let last = last(desk, args)?;
    let units = match last.content(output).map_err(|error| fail(&error))? {
        Content::Units(units) => units,
        Content::Text(text) => {
            printer::data(&text)?;
            return Ok(Exit::Done);
        }
    };
    // Only in a loop's body rows belong to a step.
    let in_loop = output.split('.').next().is_some_and(|id| id.contains('/'));
    for unit in units.iter() {
        let unit = unit.map_err(|error| fail(&error.into()))?;
        let text: String = match with_id {
            true => unit.rows.iter().map(|row| joinable(&unit, in_loop, row)).collect(),
            false => unit.rows.iter().flat_map(|row| [&**row, "\n"]).collect(),
        };
        if !printer::data(&text)? {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Returns a row with the record it belongs to, and the step.
fn joinable(unit: &ReportUnit, in_loop: bool, row: &str) -> String {
    let id = serde_json::Value::from(&*unit.id);
    let step = if in_loop { format!("\"step\":{},", unit.step) } else { String::new() };
    format!("{{\"record\":{id},{step}\"row\":{row}}}\n")
}
