//! A run as JSON lines, for programs that watch it: an object an event, on standard output. Where an event says how far a stage is,
//! `per_second`, `left_ms` and `memory_bytes` say how fast it is, how long it takes still, and what the process takes; `null` where
//! that is not known.

use std::time::{Duration, Instant};

use sentinel_core::reporter::{Event, Reporter};
use serde_json::Value;

use crate::pace::Paces;
use crate::printer;

/// Prints every event.
pub(crate) struct Lines {
    began: Instant,
    paces: Paces,
}

impl Lines {
    /// Times count from now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), paces: Paces::default() }
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
        let mut line = serde_json::to_value(event).expect("an event is JSON");
        if let Some(reading) = self.paces.read(event) {
            line["per_second"] = reading.per_second.into();
            let left = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            line["left_ms"] = reading.left.map(left).into();
            line["memory_bytes"] = reading.memory_bytes.into();
        }
        self.line(line);
    }
}

/// Passes events to several listeners.
pub(crate) struct All(pub(crate) Vec<std::sync::Arc<dyn Reporter>>);

impl Reporter for All {
    fn hear(&self, event: &Event<'_>) {
        self.0.iter().for_each(|one| one.hear(event));
    }
}
