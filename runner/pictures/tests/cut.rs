//! JPEG files that were cut: read or refused as Pillow does, which `tests/reference/pictures.py` recorded.

use std::collections::BTreeMap;
use std::path::Path;

use sentinel_pictures::{Transparency, decode};

/// How many bytes were cut off, what was put there instead (hexadecimal), and whether Pillow reads that.
type Judged = BTreeMap<String, Vec<(usize, String, bool)>>;

#[test]
fn a_cut_picture_is_refused_as_pillow_refuses_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pictures");
    let judged: Judged = serde_json::from_slice(&std::fs::read(dir.join("cut.json")).unwrap()).unwrap();
    let mut seen = [0, 0];
    for (name, cases) in judged {
        let whole = std::fs::read(dir.join(format!("{name}.jpg"))).unwrap();
        for (cut, end, is_read) in cases {
            let end = (0..end.len() / 2).map(|at| u8::from_str_radix(&end[2 * at..2 * at + 2], 16).unwrap());
            let bytes: Vec<u8> = whole[..whole.len() - cut].iter().copied().chain(end).collect();
            let ours = decode(&bytes, Transparency::Dropped);
            assert_eq!(ours.is_ok(), is_read, "{name}, {cut} bytes less: {:?}", ours.err());
            seen[usize::from(is_read)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}
