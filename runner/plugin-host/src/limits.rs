//! What one call may use, and what is said of a call that wanted more. Whether a call stays inside its limits depends on what it
//! does, never on how fast the machine is or what else it does.

use sentinel_core::stage::Fault;
use wasmtime::{ResourceLimiter, Trap};

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of a call, about a billion a second.
    pub fuel: u64,
    /// Instructions more for each row of the call.
    pub fuel_a_row: u64,
    /// Bytes of memory, all memories together.
    pub memory: usize,
    /// Bytes that may come back from a call.
    pub copied: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 2_000_000_000, fuel_a_row: 50_000_000, memory: 1 << 30, copied: 1 << 30 }
    }
}

impl Limits {
    /// Returns the instructions of a call about so many rows.
    pub(crate) fn fuel_of(&self, rows: usize) -> u64 {
        self.fuel.saturating_add(self.fuel_a_row.saturating_mul(rows as u64))
    }
}

/// Core instances, tables and memories of a component; those that compilers make have a handful.
const PARTS_MAX: usize = 64;
/// Elements of all tables together.
const ELEMENTS_MAX: usize = 1 << 20;

/// What an instance has taken of its memory. A component may have several memories, so that a limit for each would be none.
pub(crate) struct Cell {
    limit: usize,
    bytes: usize,
    elements: usize,
}

impl Cell {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limit: limits.memory, bytes: 0, elements: 0 }
    }
}

/// A plugin wants more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("it wants {wanted} {what}; {limit} are the limit")]
struct TooMuch {
    wanted: usize,
    limit: usize,
    what: &'static str,
}

/// Adds a growth to what was taken, or says that it is too much.
fn take(taken: &mut usize, growth: usize, limit: usize, what: &'static str) -> wasmtime::Result<bool> {
    let wanted = taken.saturating_add(growth);
    if wanted > limit {
        return Err(TooMuch { wanted, limit, what }.into());
    }
    *taken = wanted;
    Ok(true)
}

/// Too much is the end of the call: a plugin that went on without the memory would answer by the limit, not by the record.
impl ResourceLimiter for Cell {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.bytes, desired.saturating_sub(current), self.limit, "bytes of memory")
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.elements, desired.saturating_sub(current), ELEMENTS_MAX, "elements of tables")
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

/// What is kept of a long message.
const DETAIL_CHARS_MAX: usize = 2000;

/// Says in one stable word why a call failed, and the whole story.
pub(crate) fn fault(error: &wasmtime::Error) -> Fault {
    let detail = format!("{error:#}");
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => "plugin-too-slow",
        Some(_) => "plugin-trap",
        // The sandbox has no type for an answer that is too long.
        None if error.is::<TooMuch>() || detail.contains("fuel allocated for hostcalls") => "plugin-too-large",
        None => "plugin-wrong-answer",
    };
    Fault { reason: reason.to_owned(), detail: shortened(&detail) }
}

/// Returns the fault of a record that the plugin itself refuses, or of which it says something that cannot be.
pub(crate) fn refused(detail: &str) -> Fault {
    Fault { reason: "plugin-refused".to_owned(), detail: shortened(detail) }
}

/// Returns a plugin's own words, of which there may be too many.
pub(crate) fn shortened(words: &str) -> String {
    words.chars().take(DETAIL_CHARS_MAX).collect()
}
