//! `list`: what a workflow may name.

use super::{Desk, Told};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk) -> Told {
    let registry = desk.registry();
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
