//! Temporary folders that go: at the end of their use, when a signal ends the program, and, after a kill that nothing
//! can notice, when the program next makes one.
//!
//! Whether a folder found is still in use is told by a lock that ends with its process, however that ends.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::error::CertifyError;

const PREFIX: &str = "espalier-";
const LOCK: &str = ".lock";
/// The lock before it is held.
const UNLOCKED: &str = ".new";

/// The folders of this process.
static IN_USE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder for files that are only needed on the way.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one in the system's place for temporary files, and removes those of processes that have ended.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self, CertifyError> {
        let place = std::env::temp_dir();
        remove_abandoned(&place);
        Self::within(&place).map_err(|source| CertifyError::File { path: place, source })
    }

    fn within(place: &Path) -> io::Result<Self> {
        let folder = TempDir::with_prefix_in(PREFIX, place)?;
        // Held before it has its name, so that nobody finds it free.
        let lock = File::create_new(folder.path().join(UNLOCKED))?;
        match lock.try_lock() {
            // Where the file system knows no locks, nothing is ever taken for abandoned either.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            locked => locked?,
        }
        fs::rename(folder.path().join(UNLOCKED), folder.path().join(LOCK))?;
        in_use().insert(folder.path().to_path_buf());
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        in_use().remove(self.folder.path());
    }
}

/// Removes the folders of this process; for a program that is about to end without dropping them.
pub fn clear() {
    for folder in std::mem::take(&mut *in_use()) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(folder);
    }
}

fn in_use() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes folders whose lock nobody holds. What cannot be read or removed belongs to somebody else.
fn remove_abandoned(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let lock = ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten();
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn abandoned_folders_go_and_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let held = Scratch::within(place.path()).unwrap();
        let abandoned = place.path().join("espalier-old");
        let foreign = place.path().join("espalier-of-somebody");
        for folder in [&abandoned, &foreign] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(abandoned.join(LOCK), "").unwrap();
        remove_abandoned(place.path());
        assert!(held.path().exists() && foreign.exists() && !abandoned.exists());
        let path = held.path().to_path_buf();
        drop(held);
        assert!(!path.exists());
    }
}
