//! Files that appear whole or not at all.

use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file could not be written; nothing was left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}` ({source}); give a folder that exists, with space and permission to write", path.display())]
pub struct WriteError {
    /// The file to be written.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Writes a file through a temporary one beside it: written, synchronised, then renamed.
/// What was at `path` stays until the new file is whole.
///
/// # Errors
/// When the folder is missing or cannot be written, or `content` fails; the temporary file is
/// removed.
pub fn write_atomic(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    replace(path, content).map_err(|source| WriteError { path: path.to_owned(), source })
}

fn replace(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".espalier-");
    let temporary = world_readable(&mut builder).tempfile_in(folder)?;
    let mut writer = BufWriter::new(temporary.as_file());
    content(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The rename itself lasts once the folder does; not every file system can say so.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Temporary files are private by default, and this one becomes the user's file: the usual
/// permissions, less the process's own mask.
#[cfg(unix)]
fn world_readable<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn world_readable<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    builder
}
