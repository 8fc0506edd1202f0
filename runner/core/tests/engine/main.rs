//! The engine under test: made-up stages that really compute, run, stopped, killed, damaged and run again, compared with a plain
//! simulation and with what was computed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod again;
mod aside;
mod asked;
mod beside;
mod damaged;
mod hindered;
mod kinds;
mod locked;
mod part;
mod pilot;
mod plain;
mod planned;
mod project;
mod pruned;
mod reasons;
mod results;
mod shaken;
mod shown;
mod simulation;
mod stopping;
mod tested;
mod texts;
mod timed;
mod trying;
mod verified;
