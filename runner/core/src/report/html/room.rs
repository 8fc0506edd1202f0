//! How much a page may still grow. What does not fit is left out by whoever asked, and counted there.

use super::element::Element;

/// What is left of a page's bytes.
pub(super) struct Room {
    left: usize,
}

impl Room {
    /// Has room for this many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self { left: bytes }
    }

    /// Returns the element if there is room for it, and takes that room.
    pub(super) fn take(&mut self, element: Element) -> Option<Element> {
        self.left = self.left.checked_sub(element.bytes())?;
        Some(element)
    }
}
