//! Asking a run to stop: once, and the work in hand is finished or dropped within seconds; twice, and nothing is waited for.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle by which a run is asked to stop. Copies ask for the same thing.
#[derive(Clone)]
pub struct Stop(Arc<watch::Sender<u8>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Stop {
    /// Asks; the second time, nothing is waited for.
    pub fn ask(&self) {
        self.0.send_modify(|times| *times = times.saturating_add(1));
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until it has been asked so often.
    pub(crate) async fn asked(&self, times: u8) {
        let mut asked = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = asked.wait_for(|so_far| *so_far >= times).await;
    }

    /// Asks whenever the process is sent SIGINT or SIGTERM, or its terminal is closed, while the returned task lives.
    pub(crate) async fn on_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => self.ask(),
                _ = terminate.recv() => self.ask(),
                Some(()) = async { hangup.as_mut()?.recv().await }, if hangup.is_some() => self.ask(),
            }
        }
    }
}

/// Whether this process was started to outlive its terminal, as by `nohup`; what Linux says of it, and nothing elsewhere.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is the first signal, SIGHUP.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
