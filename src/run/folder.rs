//! The folder of a run: made, locked against other runs, emptied, and taken away again when nothing came of it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// A folder that no other run can work in while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// The folders that were made for it, outermost first.
    made: Vec<PathBuf>,
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder where it is missing and locks it; nothing is written in it.
    ///
    /// # Errors
    /// When it cannot be made, or another run is at work in it.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let mut made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        made.reverse();
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        let folder = Self { path: path.to_path_buf(), made, _lock: None };
        Ok(Self { _lock: Some(locked(path)?), ..folder })
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn is_empty(&self) -> Result<bool> {
        let mut entries = fs::read_dir(&self.path).map_err(|error| cannot_write(&self.path, &error))?;
        Ok(entries.next().is_none())
    }

    /// Takes everything out of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(super) fn clear(&self) -> Result<()> {
        let entries = fs::read_dir(&self.path).map_err(|error| cannot_write(&self.path, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| cannot_write(&self.path, &error))?.path();
            remove(&path).map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(())
    }

    /// Takes away what was made and written; a folder that was there before stays, empty.
    pub(super) fn undo(&self) {
        // The run has failed already, and its own reason is the one to tell.
        let _ = self.clear();
        self.made.iter().rev().for_each(|made| drop(fs::remove_dir(made)));
    }

    /// The same, where the folder was made; one that was there before may hold what is not ours, and is left alone.
    pub(super) fn undo_made(&self) {
        if !self.made.is_empty() {
            self.undo();
        }
    }
}

/// Removes a file or a folder; what is gone already is no error.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A lock on the folder itself: nothing is written before it is held, and it goes with the process, however that ends.
fn locked(path: &Path) -> Result<File> {
    let folder = File::open(path).map_err(|error| cannot_write(path, &error))?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(anyhow!("another run is at work in `{}`; wait for it, or choose another --out", path.display()))
        }
        // Where the file system knows no locks of folders, one run at a time is up to the user.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(folder),
    }
}

pub(super) fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("cannot write in `{}` ({error}); choose another --out", path.display())
}
