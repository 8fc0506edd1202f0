//! Big things as files named by the BLAKE3 digest of their content: written aside, synced, renamed into place, checked when they
//! are read. A file is thus never half there, and a damaged one is never mistaken for its content.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::process::ProcessFolder;
use crate::digest::Digest;

/// Bytes read at once while a file is digested.
const CHUNK_BYTES: usize = 1 << 20;

/// The folder of blobs.
pub(crate) struct Blobs {
    folder: PathBuf,
}

/// A blob as it was found.
pub(crate) enum Found {
    /// Its content.
    Whole(Vec<u8>),
    /// Something else was in its place, and has been removed.
    Damaged,
    /// Nothing is there.
    Missing,
}

/// Files of this size are worth a sync.
const SYNC_BYTES_MIN: u64 = 1 << 20;

impl Blobs {
    /// Returns the blobs in a folder.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns where a blob is or would be.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Whether something is in a blob's place, of the right size if that is known.
    pub(crate) fn has(&self, digest: &Digest, bytes: Option<u64>) -> bool {
        let there = std::fs::metadata(self.path(digest));
        there.is_ok_and(|there| there.is_file() && bytes.is_none_or(|bytes| bytes == there.len()))
    }

    /// Keeps content.
    pub(crate) fn put(&self, bytes: &[u8], work: &ProcessFolder) -> io::Result<Digest> {
        let digest = Digest::of(bytes);
        if self.has(&digest, Some(bytes.len() as u64)) {
            return Ok(digest);
        }
        let aside = work.fresh();
        let mut file = File::create_new(&aside)?;
        file.write_all(bytes)?;
        self.settle(&file, &aside, &digest)?;
        Ok(digest)
    }

    /// Keeps a file's content; returns its digest and size.
    pub(crate) fn put_file(&self, path: &Path, work: &ProcessFolder) -> io::Result<(Digest, u64)> {
        let aside = work.fresh();
        let mut copy = File::create_new(&aside)?;
        let (digest, bytes) = digest_of(File::open(path)?, |chunk| copy.write_all(chunk))?;
        if self.has(&digest, Some(bytes)) {
            std::fs::remove_file(&aside)?;
        } else {
            self.settle(&copy, &aside, &digest)?;
        }
        Ok((digest, bytes))
    }

    /// Puts a finished file in its place. It can no longer be written to: folders made for engines link to it. Big files are synced
    /// first; a small one that a power failure leaves torn is found by its digest and made again, which costs less than syncing
    /// every picture.
    fn settle(&self, file: &File, aside: &Path, digest: &Digest) -> io::Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
        if file.metadata()?.len() >= SYNC_BYTES_MIN {
            file.sync_all()?;
        }
        let place = self.path(digest);
        std::fs::create_dir_all(place.parent().expect("a blob lies in a folder"))?;
        std::fs::rename(aside, place)
    }

    /// Returns a blob; removes it if it is damaged.
    pub(crate) fn get(&self, digest: &Digest) -> io::Result<Found> {
        let path = self.path(digest);
        match std::fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => Ok(Found::Whole(bytes)),
            Ok(_) => std::fs::remove_file(&path).map(|()| Found::Damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }

    /// Returns every blob with its size, in no order.
    pub(crate) fn list(&self) -> io::Result<Vec<(Digest, u64)>> {
        let mut found = Vec::new();
        for shard in std::fs::read_dir(&self.folder)? {
            let shard = shard?.path();
            let start = shard.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for entry in std::fs::read_dir(&shard)? {
                let entry = entry?;
                let name = format!("{start}{}", entry.file_name().to_string_lossy());
                if let Ok(digest) = name.parse() {
                    found.push((digest, entry.metadata()?.len()));
                }
            }
        }
        Ok(found)
    }
}

/// Returns the digest and size of what a reader gives, passing every chunk on.
pub(crate) fn digest_of(
    mut from: impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut buffer, mut total) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), total)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                each(&buffer[..count])?;
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found_removed_and_healed() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, work) =
            (Blobs::at(dir.path().join("blobs")), ProcessFolder::make(&dir.path().join("tmp")).unwrap());
        let digest = blobs.put(b"content", &work).unwrap();
        assert!(matches!(blobs.get(&digest).unwrap(), Found::Whole(bytes) if bytes == b"content"));
        let path = blobs.path(&digest);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"kontent").unwrap();
        assert!(matches!(blobs.get(&digest).unwrap(), Found::Damaged));
        assert!(matches!(blobs.get(&digest).unwrap(), Found::Missing));
        std::fs::write(&path, b"con").unwrap();
        assert_eq!(blobs.put(b"content", &work).unwrap(), digest, "a torn file is written anew");
        assert!(matches!(blobs.get(&digest).unwrap(), Found::Whole(_)));
        let (same, bytes) = blobs.put_file(&path, &work).unwrap();
        assert_eq!((same, bytes, blobs.list().unwrap()), (digest, 7, vec![(digest, 7)]));
    }
}
