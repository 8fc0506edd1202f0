//! `list`: what a workflow may name.

use sentinel_core::diag::advice;
use sentinel_core::reference;

use super::{Desk, Told};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, kind: Option<&str>) -> Told {
    let registry = desk.registry();
    if let Some(name) = kind {
        let Some(kind) = registry.stage(name) else {
            printer::say(&format!("error: there is no stage kind `{name}`"));
            let names = registry.stages.iter().map(|kind| kind.name());
            printer::say(&format!("hint: {}", advice(name, "there are", names)));
            return Err(Exit::Wrong);
        };
        printer::data(&reference::stage(kind))?;
        return Ok(Exit::Done);
    }
    let stages = registry.stages.iter().map(|kind| (kind.name(), kind.summary()));
    let models = registry.assets.iter().map(|kind| (kind.name, kind.summary));
    let kinds = registry.kinds.iter().map(|kind| (kind.name, kind.summary));
    let mut text = section("stages", stages) + &section("models", models) + &section("records", kinds);
    let catalogue = desk.engines.catalogue();
    for (title, names) in [
        ("model families", &catalogue.families),
        ("detector families", &catalogue.detectors),
        ("losses", &catalogue.losses),
    ] {
        text += &format!("{title}: {}\n", names.join(", "));
    }
    printer::data(&text)?;
    Ok(Exit::Done)
}

fn section<'a>(title: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let lines: String = entries.map(|(name, summary)| format!("  {name:<14} {summary}\n")).collect();
    format!("{title}\n{lines}\n")
}
