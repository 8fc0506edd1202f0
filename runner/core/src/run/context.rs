//! What everything in one run, or one plan, shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::again::Again;
use super::stop::Stop;
use crate::cache::files::UserFiles;
use crate::cache::store::Store;
use crate::digest::Digest;
use crate::reporter::{Event, Reporter};
use crate::workflow::{Workflow, node_of};

/// What everything in one run shares.
pub(crate) struct Context {
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) store: Arc<Store>,
    pub(crate) files: Arc<UserFiles>,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) stop: Stop,
    /// What a miss means where the workflow says no more.
    pub(crate) on_miss: OnMiss,
    /// Whether faults that were kept are tried again.
    pub(crate) retry_quarantined: bool,
    /// Records let out of stages that need none.
    pub(crate) limit: Option<u64>,
    /// What is computed though it is kept.
    pub(crate) again: Option<Again>,
    /// Nodes that work at the same time at most.
    pub(crate) jobs: usize,
    /// Held by whoever computes on the device; the CPU is one device.
    pub(crate) device: Mutex<()>,
    /// Set when a node failed: the others finish what is in hand.
    pub(crate) failed: AtomicBool,
    /// Folders made for engines that load from disk.
    pub(crate) materialised: Mutex<BTreeMap<Digest, PathBuf>>,
}

/// What a miss means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnMiss {
    /// It is computed.
    Compute,
    /// The run ends.
    Fail,
    /// It stays open.
    Tell,
}

impl Context {
    /// Returns what a run shares that goes on with everything it has.
    pub(crate) fn new(
        workflow: Arc<Workflow>,
        store: Arc<Store>,
        files: Arc<UserFiles>,
        reporter: Arc<dyn Reporter>,
        stop: Stop,
        on_miss: OnMiss,
    ) -> Self {
        Self {
            workflow,
            store,
            files,
            reporter,
            stop,
            on_miss,
            retry_quarantined: false,
            limit: None,
            again: None,
            jobs: usize::MAX,
            device: Mutex::new(()),
            failed: AtomicBool::new(false),
            materialised: Mutex::default(),
        }
    }

    /// Returns what a miss of a stage means.
    pub(crate) fn on_miss(&self, stage: &str) -> OnMiss {
        match self.on_miss {
            OnMiss::Compute if self.workflow.kept_only.contains(node_of(stage)) => OnMiss::Fail,
            on_miss => on_miss,
        }
    }

    /// Tells the outside.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.reporter.hear(event);
    }

    /// Whether work should stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_asked() || self.failed.load(Ordering::Relaxed)
    }

    /// Passes the store's warnings on.
    pub(crate) fn pass_warnings(&self) {
        for warning in self.store.warnings() {
            self.tell(&Event::Warning { text: &warning });
        }
    }
}
