//! The two streams: data goes to standard output, everything else to standard error. Nothing else in the program prints.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::LazyLock;

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;

use crate::exit::Exit;

/// Writes data; returns whether somebody still reads, as `head` does not after ten lines. What cannot be written is told.
pub(crate) fn data(text: &str) -> Result<bool, Exit> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            say(&format!("error: standard output cannot be written: {error}"));
            Err(Exit::Failed)
        }
    }
}

/// Returns the bars at the foot of the terminal; where nobody watches they are never drawn.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
    &BARS
}

/// Writes a message, above the bars.
pub(crate) fn say(text: &str) {
    let _ = writeln!(AboveBars, "{text}");
}

/// Standard error, without what is written getting between the bars.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bars().suspend(|| stderr().lock().write(bytes))
    }

    fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        bars().suspend(|| stderr().lock().write_fmt(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// Whether messages may be coloured (<https://no-color.org>).
pub(crate) fn colour() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether somebody watches.
pub(crate) fn watched() -> bool {
    stderr().is_terminal()
}

/// Starts logging to standard error: warnings by default, more with each `-v`, or as `SENTINEL_LOG` says.
pub(crate) fn log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter =
        EnvFilter::try_from_env("SENTINEL_LOG").unwrap_or_else(|_| EnvFilter::new(format!("sentinel={level}")));
    // A second subscriber in one process is a test's doing; the first stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| AboveBars).with_ansi(colour()).try_init();
}
