//! A folder of this process's own inside the store: things under construction. It goes when the process ends well, and is swept
//! by the next process if it did not; a lock that dies with its holder tells the two apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// This process's folder.
pub(crate) struct ProcessFolder {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held while the process lives.
    _lock: File,
    next: AtomicU64,
}

impl ProcessFolder {
    /// Makes a folder below `parent`, and removes those whose process is gone.
    pub(crate) fn make(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        sweep(parent);
        for attempt in 0_u32.. {
            let name = format!("{}-{attempt}", std::process::id());
            let (path, lock_path) = (parent.join(&name), parent.join(format!("{name}.lock")));
            let lock = match File::create_new(&lock_path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            lock.lock()?;
            // A sweeper may have taken the lock between the two steps above, and the file with it.
            if is_at(&lock, &lock_path) {
                std::fs::create_dir(&path)?;
                return Ok(Self { path, lock_path, _lock: lock, next: AtomicU64::new(0) });
            }
        }
        unreachable!("the loop above has no end of its own")
    }

    /// Returns a path in the folder at which nothing is.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for ProcessFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process.
        let _ = std::fs::remove_dir_all(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// Removes the folders of processes that are gone. What cannot be removed is left to the next sweep.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&lock_path) else { continue };
        // Another sweeper may have been here since it was opened; then this name is another process's by now.
        if lock.try_lock().is_ok() && is_at(&lock, &lock_path) {
            let _ = std::fs::remove_dir_all(lock_path.with_extension(""));
            let _ = std::fs::remove_file(&lock_path);
        }
    }
}

/// Whether an open file is the one at a path: a lock on a file that was removed keeps nobody out.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let place = |data: std::fs::Metadata| (data.dev(), data.ino());
    file.metadata().and_then(|open| Ok(place(open) == place(std::fs::metadata(path)?))).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let alive = ProcessFolder::make(parent.path()).unwrap();
        std::fs::write(alive.fresh(), "in work").unwrap();
        let (dead, dead_lock) = (parent.path().join("1-0"), parent.path().join("1-0.lock"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("half"), "a torn file").unwrap();
        std::fs::write(&dead_lock, "").unwrap();
        let other = ProcessFolder::make(parent.path()).unwrap();
        assert!(!dead.exists() && !dead_lock.exists());
        assert!(alive.path.exists() && other.path.exists() && alive.path != other.path);
        drop((alive, other));
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
