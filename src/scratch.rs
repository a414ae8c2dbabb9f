//! One folder for everything temporary of this process. It goes with the process, interrupted or not; after a kill that
//! nothing can notice it goes when the program is next started.
//!
//! Whether a folder found is still in use is told by a lock that ends with its process, however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

const PREFIX: &str = "espalier-";
const LOCK: &str = ".lock";
/// The lock before it is held.
const UNLOCKED: &str = ".new";

static FOLDER: Mutex<Option<Folder>> = Mutex::new(None);

/// A folder and the lock that says it is in use.
struct Folder {
    place: TempDir,
    _lock: File,
}

/// Has everything temporary made in one folder from now on, and removes those of processes that were killed. Where there
/// can be none, whoever needs one will say so.
pub(crate) fn gather() {
    // Held from here on: a signal that comes meanwhile waits until there is something to remove.
    let mut slot = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    let all = std::env::temp_dir();
    remove_abandoned(&all);
    let Ok(folder) = Folder::within(&all) else { return };
    // Refused only where it was done before.
    let _ = tempfile::env::override_temp_dir(folder.place.path());
    *slot = Some(folder);
}

/// Removes that folder with everything in it.
pub(crate) fn remove() {
    drop(FOLDER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Folder {
    fn within(all: &Path) -> io::Result<Self> {
        let place = TempDir::with_prefix_in(PREFIX, all)?;
        // Held before it has its name, so that nobody finds it free.
        let lock = File::create_new(place.path().join(UNLOCKED))?;
        match lock.try_lock() {
            // Where the file system knows no locks, nothing is ever taken for abandoned either.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            locked => locked?,
        }
        fs::rename(place.path().join(UNLOCKED), place.path().join(LOCK))?;
        Ok(Self { place, _lock: lock })
    }
}

/// Removes folders whose lock nobody holds. What cannot be read or removed belongs to somebody else.
fn remove_abandoned(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
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
        let all = tempfile::tempdir().unwrap();
        let held = Folder::within(all.path()).unwrap();
        let [abandoned, foreign] = ["espalier-old", "espalier-of-somebody"].map(|name| all.path().join(name));
        for folder in [&abandoned, &foreign] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(abandoned.join(LOCK), "").unwrap();
        remove_abandoned(all.path());
        assert!(held.place.path().exists() && foreign.exists() && !abandoned.exists());
    }
}
