//! Whether a JPEG is whole. Decoders fill what is missing of a cut file with gray and say nothing; Pillow refuses it, and so do we.

const END: u8 = 0xd9;

/// Whether a JPEG goes on to its end marker (ITU-T T.81, annex B). What follows that does not matter.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let Some(marker) = rest.iter().position(|byte| *byte == 0xff) else { return false };
        rest = &rest[marker..];
        // Any number of fill bytes may stand before a marker's second byte.
        let Some(fill) = rest.iter().position(|byte| *byte != 0xff) else { return false };
        let marker = rest[fill];
        rest = &rest[fill + 1..];
        match marker {
            END => return true,
            // A byte of the picture itself, a restart, or the start of the file: nothing follows that has a length.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let [high, low, ..] = *rest else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(after) = rest.get(length..) else { return false };
                rest = after;
            }
        }
    }
}
