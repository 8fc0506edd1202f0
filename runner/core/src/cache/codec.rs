//! The bytes of what the store keeps: lengths and numbers little-endian, texts and lists preceded by their length. It is not a
//! format for other programs, and has no version of its own: that of the store stands in its path.

use std::sync::Arc;

use crate::artifact::Rows;
use crate::digest::Digest;

/// Appends values to bytes.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a length; lists and texts of 4 GiB and more do not occur, for their parts are bounded far below.
    pub(crate) fn length(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("lists and texts stay below 4 GiB"));
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        self.0.extend_from_slice(value);
    }

    pub(crate) fn digest(&mut self, value: &Digest) {
        self.0.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn rows(&mut self, rows: &[Box<str>]) {
        self.length(rows.len());
        rows.iter().for_each(|row| self.bytes(row.as_bytes()));
    }
}

/// Takes values from bytes. Every method gives `None` when the bytes are not what was written.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Reads the length of a list whose items take at least `item` bytes each, so that no damaged length reserves memory.
    pub(crate) fn length(&mut self, item: usize) -> Option<usize> {
        let length = self.u32()? as usize;
        (length.checked_mul(item)? <= self.0.len()).then_some(length)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length(1)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn digest(&mut self) -> Option<Digest> {
        self.take(32)?.try_into().ok().map(Digest::from_bytes)
    }

    pub(crate) fn rows(&mut self) -> Option<Rows> {
        let count = self.length(4)?;
        (0..count).map(|_| self.text().map(Box::from)).collect()
    }

    pub(crate) fn id(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    /// Returns `value` if nothing is left.
    pub(crate) fn done<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Writes a list of encoded items.
pub(crate) fn write_list(items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.length(items.len());
    items.for_each(|item| writer.bytes(&item));
    writer.0
}

/// Reads a list of encoded items.
pub(crate) fn read_list<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    let mut reader = Reader(bytes);
    let count = reader.length(4)?;
    let items = (0..count).map(|_| decode(reader.bytes()?)).collect::<Option<Vec<_>>>()?;
    reader.done(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let mut writer = Writer::default();
        let rows: Rows = vec!["{\"a\":1}".into(), "{}".into()];
        writer.u8(7);
        writer.rows(&rows);
        writer.digest(&Digest::of(b"x"));
        let read = |bytes: &[u8]| {
            let mut reader = Reader(bytes);
            let value = (reader.u8()?, reader.rows()?, reader.digest()?);
            reader.done(value)
        };
        assert_eq!(read(&writer.0), Some((7, rows, Digest::of(b"x"))));
        for end in 0..writer.0.len() {
            assert_eq!(read(&writer.0[..end]), None, "cut at {end}");
        }
        let mut huge = writer.0.clone();
        huge[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&huge), None, "a damaged length");
        writer.u8(0);
        assert_eq!(read(&writer.0), None, "something is left");
    }
}
