//! What a run tells while it goes: bars with rate and estimate where somebody watches, a plain line now and then elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sentinel_core::artifact::Form;
use sentinel_core::report::record::Counts;
use sentinel_core::report::wording::{amount, count};
use sentinel_core::reporter::{Event, Reporter};

use crate::args::Shown;
use crate::pace::{Paces, Reading, significant};
use crate::printer::{bars, say, watched};

/// Between the first two plain lines of one stage; each further pause is twice as long, up to the longest.
const PLAIN_FIRST: Duration = Duration::from_secs(15);
const PLAIN_LONGEST: Duration = Duration::from_secs(600);

/// Shows a run as it goes.
pub(crate) struct Progress {
    watched: bool,
    /// Whether only what is not as it should be is told.
    quiet: bool,
    paces: Paces,
    stages: Mutex<BTreeMap<String, Bar>>,
}

struct Bar {
    bar: ProgressBar,
    /// What is counted; nothing for a stage that does not say how far it is.
    unit: &'static str,
    told: Instant,
    /// How long nothing is told from then on.
    pause: Duration,
}

impl Progress {
    /// Shows bars on a terminal and plain lines elsewhere, if nothing else is asked for.
    pub(crate) fn new(shown: Shown) -> Self {
        let watched = match shown {
            Shown::Auto => watched(),
            Shown::Plain | Shown::Json | Shown::None => false,
        };
        let quiet = matches!(shown, Shown::Json | Shown::None);
        Self { watched, quiet, paces: Paces::default(), stages: Mutex::default() }
    }

    /// Takes every bar off the screen: what is told from now on stays.
    pub(crate) fn close(&self) {
        self.clear(|_| true);
    }

    /// Takes bars off the screen.
    fn clear(&self, which: impl Fn(&str) -> bool) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, shown) in stages.extract_if(.., |name, _| which(name)) {
            shown.bar.finish_and_clear();
        }
    }

    fn bar(&self, stage: &str) -> ProgressBar {
        if !self.watched {
            return ProgressBar::hidden();
        }
        bars().add(ProgressBar::new(0).with_style(style("")).with_prefix(stage.to_owned()))
    }

    /// Shows so many of so many units, and what else there is to tell of them.
    fn advance(&self, stage: &str, (done, total): (u64, u64), unit: &'static str, message: String) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Bar { bar: self.bar(stage), unit: "", told: Instant::now(), pause: PLAIN_FIRST };
        let shown = stages.entry(stage.to_owned()).or_insert_with(fresh);
        if shown.unit != unit {
            shown.unit = unit;
            shown.bar.set_style(style(unit));
        }
        // Two tellers of one work do not agree to the last record; nothing is undone.
        let before = if shown.bar.length() == Some(total) { shown.bar.position() } else { 0 };
        shown.bar.set_length(total);
        shown.bar.set_position(done.max(before));
        if !self.watched && shown.told.elapsed() >= shown.pause {
            (shown.told, shown.pause) = (Instant::now(), PLAIN_LONGEST.min(2 * shown.pause));
            let message = message.replace("  ", ", ");
            let comma = if message.is_empty() { "" } else { ", " };
            say(&format!("{stage:>22}  {} of {} {unit}{comma}{message}", count(done), count(total)));
        }
        shown.bar.set_message(message);
    }

    /// Shows how far a stage is.
    fn show(&self, reading: &Reading<'_>, readings: &[(&str, f64)]) {
        let told = [reading.told(), spell(readings)].into_iter().filter(|part| !part.is_empty());
        let told: Vec<String> = told.collect();
        self.advance(reading.stage, (reading.done, reading.total), reading.unit, told.join("  "));
    }

    fn finish(&self, stage: &str, text: &str) {
        // A loop's body ends with it.
        self.clear(|name| name.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        say(text);
    }
}

/// Returns how the bar of something counted in a unit looks; of no unit it only tells how long it takes.
fn style(unit: &'static str) -> ProgressStyle {
    let counted = format!("{{human_pos}}/{{human_len}} {unit}  {{wide_msg:.dim}}");
    let told = if unit.is_empty() { "{elapsed}" } else { &counted };
    let style = ProgressStyle::with_template(&format!("{{prefix:>22}} {{bar:24}} {told}"));
    style.expect("units are words without braces")
}

impl Reporter for Progress {
    fn hear(&self, event: &Event<'_>) {
        match event {
            // What is not as it should be is told in any case.
            _ if self.quiet && !matches!(event, Event::Warning { .. } | Event::Retry { .. } | Event::Stopping) => {}
            Event::Started { .. } | Event::NothingToDo { .. } => {}
            Event::StageStarted { stage, records, .. } => {
                let unit = if records.is_some() { "records" } else { "" };
                self.advance(stage, (0, records.unwrap_or(1)), unit, String::new());
            }
            Event::Records { .. } | Event::Step { .. } | Event::Progress { .. } => {
                let readings = if let Event::Progress { readings, .. } = event { readings } else { &[][..] };
                if let Some(reading) = self.paces.read(event) {
                    self.show(&reading, readings);
                }
            }
            Event::Retry { stage, error, attempt, attempts } => {
                say(&format!("{stage}: {error}; trying again ({attempt} of {attempts})"));
            }
            Event::Quarantined(unit) => tracing::info!(target: "sentinel", ?unit, "set aside"),
            Event::Warning { text } => say(&format!("warning: {text}")),
            Event::StageFinished { stage, counts, outputs, wall_ms } => {
                self.paces.read(event);
                self.finish(stage, &summary(stage, counts, outputs, *wall_ms));
            }
            Event::Stopping => say("stopping: finishing what is in hand; run again to go on"),
        }
    }
}

fn spell(readings: &[(&str, f64)]) -> String {
    let readings = readings.iter().map(|(name, value)| format!("{name} {}", significant(*value)));
    readings.collect::<Vec<_>>().join(", ")
}

fn summary(stage: &str, counts: &Counts, outputs: &[(&str, Form, u64)], wall_ms: u64) -> String {
    let made: Vec<String> = outputs.iter().map(|(name, form, rows)| amount(*rows, name, *form)).collect();
    let aside: u64 = counts.quarantined.values().sum();
    let aside = if aside > 0 { format!(", {aside} set aside") } else { String::new() };
    let how = match counts.computed {
        0 => "kept".to_owned(),
        _ => format!("{:.1} s", wall_ms as f64 / 1000.0),
    };
    format!("{stage:>22}  {} ({how}{aside})", made.join(", "))
}
