//! `graph`: a workflow drawn.

use sentinel_core::graph::draw;

use super::{Desk, Told, look};
use crate::args::{Drawing, FileArgs};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(desk: &Desk, args: &FileArgs, drawing: Drawing) -> Told {
    let workflow = look(desk, args)?;
    printer::data(&match drawing {
        Drawing::Text => draw::text(&workflow),
        Drawing::Mermaid => draw::mermaid(&workflow),
        Drawing::Dot => draw::dot(&workflow),
    })?;
    Ok(Exit::Done)
}
