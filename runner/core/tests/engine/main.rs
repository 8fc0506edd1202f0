//! The engine under test: made-up stages that really compute, run, stopped, killed, damaged and run again, compared with a plain
//! simulation and with what was computed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod again;
mod kinds;
mod project;
mod results;
mod simulation;
mod texts;
