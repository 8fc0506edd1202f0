//! Exit codes. They are documented in `sentinel --help` and are part of the interface.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// The workflow or the command line is wrong.
    Wrong = 1,
    /// A stage failed.
    Failed = 2,
    /// We are wrong: please report it.
    Bug = 3,
    /// Everything was done, but some records were set aside.
    Quarantined = 4,
    /// Something would have had to be computed, and was not asked to: `--fail-on-miss`, `--only`, `--from`.
    Missing = 5,
    /// Stopped by Ctrl-C, a signal or a closed terminal; running again goes on.
    Interrupted = 130,
}

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes: 0 done; 1 the workflow or the command line is wrong; 2 a stage failed; 3 an error of sentinel itself; \
4 done, with quarantined records; 5 something would have to run that was not asked to; 130 interrupted (Ctrl-C, SIGTERM, a closed \
terminal), run again to go on.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
