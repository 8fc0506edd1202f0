//! `test`: the tests of a workflow.

use std::path::Path;

use sentinel_core::report::wording::counted;
use sentinel_core::run::{Stop, test};

use super::{Desk, Told, fail, look};
use crate::args::FileArgs;
use crate::ci;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &FileArgs, junit: Option<&Path>) -> Told {
    let workflow = look(desk, args)?;
    let (name, file) = (workflow.name.clone(), args.workflow.display());
    if workflow.cases.is_empty() {
        printer::say(&format!("error: `{file}` has no tests"));
        printer::say(
            "hint: `tests:` lists stages with given and expected records; `sentinel explain E0512` says which can be tested",
        );
        return Ok(Exit::Wrong);
    }
    let outcomes = test(workflow, &Stop::default()).map_err(|error| fail(&error))?;
    let mut failed = 0;
    for outcome in &outcomes {
        let text = match &outcome.failure {
            None => format!("ok      {}\n", outcome.name),
            Some(failure) => {
                failed += 1;
                format!("FAILED  {}\n        {file}:{}: {failure}\n", outcome.name, outcome.line)
            }
        };
        printer::data(&text)?;
    }
    if let Some(path) = junit {
        ci::tests_junit(&name, &outcomes, path).map_err(|error| {
            printer::say(&format!("error: the JUnit file `{}` cannot be written: {error}", path.display()));
            Exit::Failed
        })?;
    }
    printer::data(&format!("{}, {failed} failed\n", counted(outcomes.len() as u64, "test")))?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}
