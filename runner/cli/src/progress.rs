//! What a run tells while it goes: bars with rate and estimate where somebody watches, a plain line now and then elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sentinel_core::report::record::Counts;
use sentinel_core::reporter::{Event, Reporter};

use crate::printer::{say, watched};

/// Between two plain lines of one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// Shows a run as it goes.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    stages: Mutex<BTreeMap<String, Shown>>,
}

struct Shown {
    bar: ProgressBar,
    told: Instant,
}

impl Progress {
    /// Shows bars on a terminal and plain lines elsewhere.
    pub(crate) fn new() -> Self {
        Self { bars: watched().then(MultiProgress::new), stages: Mutex::default() }
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

    fn line(&self, text: &str) {
        match &self.bars {
            // A bar that is gone cannot carry a line; nothing is lost but the line.
            Some(bars) => drop(bars.println(text)),
            None => say(text),
        }
    }

    fn with(&self, stage: &str, work: impl FnOnce(&mut Shown)) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let shown =
            stages.entry(stage.to_owned()).or_insert_with(|| Shown { bar: self.bar(stage), told: Instant::now() });
        work(shown);
    }

    fn bar(&self, stage: &str) -> ProgressBar {
        let Some(bars) = &self.bars else { return ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix:>22} {bar:30} {pos}/{len} {per_sec} {eta} {wide_msg:.dim}")
            .expect("the template is a constant");
        bars.add(ProgressBar::new(0).with_style(style).with_prefix(stage.to_owned()))
    }

    fn advance(&self, stage: &str, done: u64, total: u64, message: String) {
        self.with(stage, |shown| {
            shown.bar.set_length(total);
            shown.bar.set_position(done);
            if self.bars.is_none() && shown.told.elapsed() >= PLAIN_EVERY {
                shown.told = Instant::now();
                say(format!("{stage}: {done} of {total} {message}").trim_end());
            }
            shown.bar.set_message(message);
        });
    }

    fn finish(&self, stage: &str, text: &str) {
        // A loop's body ends with it.
        self.clear(|name| name.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        self.line(text);
    }
}

impl Reporter for Progress {
    fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Started { .. } | Event::NothingToDo(_) => {}
            Event::StageStarted { stage, records, .. } => self.advance(stage, 0, records.unwrap_or(1), String::new()),
            Event::Records { stage, done, total } => self.advance(stage, *done, *total, String::new()),
            Event::Step { stage, counts } => {
                let message = format!("{} computed, {} kept", counts.computed, counts.hits);
                self.advance(stage, counts.hits + counts.computed, counts.units, message);
            }
            Event::Progress { stage, done, total, unit, readings } => {
                self.advance(stage, *done, *total, spell(unit, readings));
            }
            Event::Retry { stage, error, attempt, attempts } => {
                self.line(&format!("{stage}: {error}; trying again ({attempt} of {attempts})"));
            }
            Event::Quarantined(unit) => tracing::info!(target: "sentinel", ?unit, "set aside"),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
            Event::StageFinished { stage, counts, outputs, wall_ms } => {
                self.finish(stage, &summary(stage, counts, outputs, *wall_ms));
            }
            Event::Stopping => self.line("stopping: finishing what is in hand; run again to go on"),
        }
    }
}

fn spell(unit: &str, readings: &[(&str, f64)]) -> String {
    let readings: Vec<String> =
        readings.iter().map(|(name, value)| format!("{name} {}", significant(*value))).collect();
    format!("{unit} {}", readings.join(", "))
}

/// Returns a number with three significant digits.
fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1e-3 => format!("{value:.2e}"),
        size if size < 100.0 => format!("{value:.*}", (2.0 - size.log10().floor()) as usize),
        _ => format!("{value:.0}"),
    }
}

fn summary(stage: &str, counts: &Counts, outputs: &[(&str, u64)], wall_ms: u64) -> String {
    let made: Vec<String> = outputs.iter().map(|(name, rows)| format!("{rows} {name}")).collect();
    let aside: u64 = counts.quarantined.values().sum();
    let aside = if aside > 0 { format!(", {aside} set aside") } else { String::new() };
    let how = match counts.computed {
        0 => "kept".to_owned(),
        _ => format!("{:.1} s", wall_ms as f64 / 1000.0),
    };
    format!("{stage:>22}  {} ({how}{aside})", made.join(", "))
}
