//! A run as JSON lines, for programs that watch it: an object an event, on standard output.

use std::time::Instant;

use sentinel_core::reporter::{Event, Reporter};
use serde_json::Value;

use crate::printer;

/// Prints every event.
pub(crate) struct Lines {
    began: Instant,
}

impl Lines {
    /// Times count from now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// Prints an object with when it happened, in milliseconds since the run began.
    pub(crate) fn line(&self, mut event: Value) {
        event["at_ms"] = self.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX).into();
        // Who watches may have gone; the run goes on.
        let _ = printer::data(&format!("{event}\n"));
    }
}

impl Reporter for Lines {
    fn hear(&self, event: &Event<'_>) {
        self.line(serde_json::to_value(event).expect("an event is JSON"));
    }
}

/// Passes events to several listeners.
pub(crate) struct All(pub(crate) Vec<std::sync::Arc<dyn Reporter>>);

impl Reporter for All {
    fn hear(&self, event: &Event<'_>) {
        self.0.iter().for_each(|one| one.hear(event));
    }
}
