//! The language of workflows, tested through data: every file below `tests/suite/language` at the repository's root holds cases
//! of workflow text with the exact diagnostics expected, checked against a small registry of made-up kinds.
//!
//! `UPDATE=1 cargo test -p sentinel-core --test suite` rewrites the expectations; read the diff.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cases;
mod fakes;
mod hostile;
mod mutations;
mod outputs;
