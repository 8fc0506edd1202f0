//! `validate`: every mistake of a workflow, with its place. No model is opened and no plugin is run.

use sentinel_core::diag::{Diagnostics, render};

use super::{Desk, Told, load};
use crate::args::{Format, WorkflowArgs};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, format: Format) -> Told {
    let (found, exit) = match load(desk, args) {
        Ok(workflow) => {
            let missing = workflow.missing_paths();
            let exit = if missing.has_errors() { Exit::Wrong } else { Exit::Done };
            let mut found = Diagnostics { list: workflow.warnings, omitted: 0 };
            found.extend(missing);
            (found.sorted(), exit)
        }
        Err(found) => (found, Exit::Wrong),
    };
    match format {
        Format::Human => printer::say(&render::human(&found, printer::colour())),
        Format::Json => drop(printer::data(&format!("{:#}\n", render::json(&found)))?),
        Format::Github => drop(printer::data(&render::github(&found))?),
    }
    Ok(exit)
}
