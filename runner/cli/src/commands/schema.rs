//! `schema`: the JSON Schema of a workflow file or of a record.

use sentinel_core::diag::advice;
use sentinel_core::schema;

use super::{Desk, Told};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, kind: Option<&str>) -> Told {
    let registry = desk.registry();
    let found = match kind {
        None => Some(schema::workflow(&registry)),
        Some(name) => registry.kind(name).and_then(schema::record),
    };
    match (found, kind) {
        (Some(schema), _) => {
            printer::data(&format!("{schema:#}\n"))?;
            Ok(Exit::Done)
        }
        (None, kind) => {
            let name = kind.unwrap_or_default();
            printer::say(&format!("error: there is no record kind `{name}`"));
            let rows = registry.kinds.iter().filter(|kind| kind.schema.is_some()).map(|kind| kind.name);
            printer::say(&format!("hint: {}", advice(name, "there are", rows)));
            Err(Exit::Wrong)
        }
    }
}
