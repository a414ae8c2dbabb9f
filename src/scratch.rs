//! One folder for everything temporary of this process. It goes with the process, interrupted or not.

use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

static FOLDER: Mutex<Option<TempDir>> = Mutex::new(None);

/// Has everything temporary made in one folder from now on. Where there can be none, whoever needs one will say so.
pub(crate) fn gather() {
    let Ok(folder) = tempfile::Builder::new().prefix("espalier-").tempdir() else { return };
    // Refused only where it was done before.
    let _ = tempfile::env::override_temp_dir(folder.path());
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
}

/// Removes that folder with everything in it.
pub(crate) fn remove() {
    drop(FOLDER.lock().unwrap_or_else(PoisonError::into_inner).take());
}
