//! How fast stages are, how long they take still, and how much memory the process takes: what bars, plain lines and events tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};
use sentinel_core::report::wording::{bytes, count};
use sentinel_core::reporter::Event;

/// Memory is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pace of every stage under way.
#[derive(Default)]
pub(crate) struct Paces {
    stages: Mutex<BTreeMap<String, Track>>,
    memory: Mutex<Option<(Instant, u64)>>,
}

/// One stage: what it computes is counted by a bar nobody sees, which knows rates. What was in the store tells nothing of them.
struct Track {
    bar: ProgressBar,
    kept: u64,
}

/// How far a stage is.
pub(crate) struct Reading<'e> {
    pub(crate) stage: &'e str,
    pub(crate) done: u64,
    pub(crate) total: u64,
    /// What is counted.
    pub(crate) unit: &'static str,
    /// Records in hand, where that is known.
    pub(crate) in_flight: Option<u64>,
    pub(crate) per_second: f64,
    /// How long it takes still, where its end is known.
    pub(crate) left: Option<Duration>,
    /// What the process takes, where the system says so.
    pub(crate) memory_bytes: Option<u64>,
}

impl Paces {
    /// Reads an event that says how far a stage is; others say nothing of it.
    pub(crate) fn read<'e>(&self, event: &Event<'e>) -> Option<Reading<'e>> {
        let (stage, done, kept, total, unit, in_flight) = match *event {
            Event::Records { stage, done, kept, total, in_flight } => {
                (stage, done, Some(kept), total, "records", Some(in_flight))
            }
            Event::Progress { stage, done, total, unit, .. } => (stage, done, None, total, unit, None),
            Event::Step { stage, counts } => {
                (stage, counts.hits + counts.computed, Some(counts.hits), counts.units, "units", None)
            }
            Event::StageFinished { stage, .. } => {
                // A loop's body ends with it.
                let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
                stages.retain(|name, _| {
                    !name.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
                return None;
            }
            _ => return None,
        };
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let track = stages.entry(stage.to_owned()).or_insert_with(|| Track { bar: ProgressBar::hidden(), kept: 0 });
        track.kept = kept.unwrap_or(track.kept);
        track.bar.set_length(total.saturating_sub(track.kept));
        track.bar.set_position(done.saturating_sub(track.kept));
        let per_second = track.bar.per_sec();
        // How often a loop's body will be asked nobody knows.
        let is_known = !stage.contains('/') && per_second > 0.0;
        let left = is_known.then(|| track.bar.eta());
        Some(Reading { stage, done, total, unit, in_flight, per_second, left, memory_bytes: self.memory() })
    }

    fn memory(&self) -> Option<u64> {
        let mut known = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|(looked, _)| looked.elapsed() >= LOOK_EVERY) {
            *known = memory("VmRSS:").map(|bytes| (Instant::now(), bytes));
        }
        known.map(|(_, bytes)| bytes)
    }
}

impl Reading<'_> {
    /// Returns how fast it goes, with three significant digits or all before the point, how long it takes still, and what is in hand.
    pub(crate) fn told(&self) -> String {
        let mut parts = Vec::new();
        if self.per_second > 0.0 {
            let per_second = self.per_second;
            let rate = if per_second < 1000.0 { significant(per_second) } else { count(per_second as u64) };
            parts.push(format!("{rate} {}/s", self.unit));
        }
        parts.extend(self.left.map(|left| format!("{:#} left", HumanDuration(left))));
        parts.extend(
            self.in_flight.filter(|records| *records > 0).map(|records| format!("{} in flight", count(records))),
        );
        parts.extend(self.memory_bytes.map(bytes));
        parts.join("  ")
    }
}

/// Returns the most memory the process took so far, where the system says so.
pub(crate) fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

/// Reads what Linux tells of the process; other systems tell nothing here.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns a number with three significant digits.
pub(crate) fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1e-3 => format!("{value:.2e}"),
        size if size < 100.0 => format!("{value:.*}", (2.0 - size.log10().floor()) as usize),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(done: u64, kept: u64) -> Event<'static> {
        Event::Records { stage: "s", done, kept, total: 1000, in_flight: 3 }
    }

    #[test]
    fn what_was_kept_makes_nobody_fast() {
        let paces = Paces::default();
        for done in [900, 900, 900] {
            std::thread::yield_now();
            let reading = paces.read(&records(done, 900)).unwrap();
            assert!(
                reading.per_second <= 0.0 && reading.left.is_none(),
                "nothing was computed: {}",
                reading.per_second
            );
            assert_eq!((reading.done, reading.total, reading.in_flight), (900, 1000, Some(3)));
        }
    }

    #[test]
    fn of_a_body_no_end_is_known_and_what_ended_begins_anew() {
        let paces = Paces::default();
        let progress = |stage| Event::Progress { stage, done: 4, total: 8, unit: "units", readings: &[] };
        assert!(paces.read(&progress("around/inner")).unwrap().left.is_none());
        paces.read(&progress("around")).unwrap();
        paces.read(&progress("aroundabout")).unwrap();
        let counts = Default::default();
        let ended = Event::StageFinished { stage: "around", counts: &counts, outputs: Vec::new(), wall_ms: 1 };
        assert!(paces.read(&ended).is_none());
        assert_eq!(paces.stages.lock().unwrap().keys().collect::<Vec<_>>(), ["aroundabout"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_how_much_memory_is_taken() {
        let (now, peak) = (memory("VmRSS:").unwrap(), peak_memory().unwrap());
        assert!(now > 1 << 16 && peak >= now / 2, "{now} {peak}");
    }
}
