//! `lock`: what a workflow is made of, written down or compared.

use sentinel_core::lock::place;
use sentinel_core::session::Session;

use super::{Desk, Told, fail, load_all, session, shown};
use crate::args::WorkflowArgs;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &WorkflowArgs, only_check: bool) -> Told {
    let mut path = None;
    for workflow in load_all(desk, args, None, false)? {
        let session = session(desk, args, workflow)?;
        match only_check {
            true => check(&session)?,
            false => path = Some(session.lock().map_err(|error| fail(&error))?),
        }
    }
    if let Some(path) = path {
        printer::data(&(shown(&path) + "\n"))?;
    }
    Ok(Exit::Done)
}

/// Tells what differs from what is written down, if anything does.
pub(super) fn check(session: &Session) -> Result<(), Exit> {
    let differ = session.unlike_lock().map_err(|error| fail(&error))?;
    if differ.is_empty() {
        return Ok(());
    }
    let lines: String = differ.iter().map(|line| format!("\n  {line}")).collect();
    printer::say(&format!("error: the workflow is not what `{}` says:{lines}", shown(&place(session.workflow()))));
    printer::say("hint: `sentinel lock` writes down what is");
    Err(Exit::Wrong)
}
