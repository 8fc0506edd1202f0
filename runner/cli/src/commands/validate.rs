//! `validate`: every mistake of a workflow, with its place. No model is opened and no plugin is run.

use sentinel_core::diag::{Diagnostics, render};
use sentinel_core::workflow::{Combination, Workflow};

use super::{Desk, Told, load};
use crate::args::{FileArgs, Format};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &FileArgs, format: Format) -> Told {
    let (found, exit) = match every_combination(desk, args) {
        Ok(workflow) => (Diagnostics { list: workflow.warnings, omitted: 0 }, Exit::Done),
        Err(found) => (found, Exit::Wrong),
    };
    match format {
        Format::Human => printer::say(&render::human(&found, printer::colour())),
        Format::Json => drop(printer::data(&format!("{:#}\n", render::json(&found)))?),
        Format::Github => drop(printer::data(&render::github(&found))?),
    }
    Ok(exit)
}

/// Loads every combination, for what is wrong with one may be right with the others; returns the first.
fn every_combination(desk: &Desk, args: &FileArgs) -> Result<Workflow, Diagnostics> {
    let first = load(desk, args, Combination::First, true)?;
    for combination in first.combinations().skip(1) {
        load(desk, args, combination, true)?;
    }
    Ok(first)
}
