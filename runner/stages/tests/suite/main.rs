//! The stages as the runner meets them: through the registry, with scripted engines and a job in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod loops;
mod mistakes;
mod reading;
mod schemas;
mod seeing;
mod showing;
mod versions;
mod workflows;
mod writing;
