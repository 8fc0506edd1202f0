//! What a run tells the outside while it goes. The binary shows it as bars or plain lines, tests collect it; a run never waits
//! for it. Logs are another thing: they are `tracing` events. As JSON, an event is an object whose `event` is its name.

use serde::Serialize;

use crate::artifact::Form;
use crate::report::record::{Counts, Quarantined, RunRecord};

/// Listens to a run. Calls come from several threads and must return soon.
pub trait Reporter: Send + Sync {
    /// Hears of one event.
    fn hear(&self, event: &Event<'_>);
}

/// What happens in a run. Stages are named by id; in a loop's body, `loop/stage`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Keys are made; the run knows its stages, in topological order.
    Started {
        /// Stages and loops outside loop bodies.
        stages: Vec<&'a str>,
    },
    /// A stage or loop begins.
    StageStarted {
        /// Which.
        stage: &'a str,
        /// Its kind; `loop` for a loop.
        kind: &'a str,
        /// Its records, if it works record by record.
        records: Option<u64>,
    },
    /// Records of a stage, or of a loop, are done.
    Records {
        /// Which.
        stage: &'a str,
        /// Records done, those set aside included.
        done: u64,
        /// Of those, found in the store; of a loop not told.
        kept: u64,
        /// All of them.
        total: u64,
        /// Records in hand.
        in_flight: u64,
    },
    /// Stages of a loop's body were asked for a step of some records.
    Step {
        /// Which, for example `bootstrap/sample`.
        stage: &'a str,
        /// Its counts so far.
        counts: &'a Counts,
    },
    /// A stage tells how far its work in hand is.
    Progress {
        /// Which.
        stage: &'a str,
        /// Done.
        done: u64,
        /// Of.
        total: u64,
        /// Of what: records, steps …
        unit: &'static str,
        /// Named readings, for example `loss`.
        readings: &'a [(&'static str, f64)],
    },
    /// The world failed some work, which is tried again after a pause.
    Retry {
        /// The stage.
        stage: &'a str,
        /// What went wrong.
        error: &'a str,
        /// How often it was tried.
        attempt: u32,
        /// How often it may be tried.
        attempts: u32,
    },
    /// A unit is set aside.
    Quarantined(&'a Quarantined),
    /// Something is not as it should be, and the run goes on.
    Warning {
        /// What.
        text: &'a str,
    },
    /// A stage or loop is done, and its results are in their place.
    StageFinished {
        /// Which.
        stage: &'a str,
        /// How it went.
        counts: &'a Counts,
        /// Rows that came out by output; files for files.
        outputs: Vec<(&'a str, Form, u64)>,
        /// How long it took, in milliseconds.
        wall_ms: u64,
    },
    /// Everything was there already; nothing ran.
    NothingToDo {
        /// The run that did it.
        #[serde(skip)]
        run: &'a RunRecord,
    },
    /// The run was asked to stop; work in hand is finished or dropped.
    Stopping,
}

/// Hears nothing.
pub struct Silent;

impl Reporter for Silent {
    fn hear(&self, _: &Event<'_>) {}
}
