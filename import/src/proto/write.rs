//! Outputs that appear whole or not at all, and never in place of something else that is needed.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::system::{kind, world_readable};

/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Links that lead to links are followed so far, as by the system.
const LINKS: usize = 40;

/// A file could not be written; nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error("cannot write `{}` ({source}); give a folder that exists, with space and permission to write", path.display())]
    System {
        /// The file to be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is something that is no file.
    #[error("cannot write `{}`, which is a {what}; give the name of a file, or - for standard output", path.display())]
    NotAFile {
        /// The path given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There is a data file of other content.
    #[error(
        "`{}` has other content than the data file that the model needs there, and another model may need it; \
         write to another folder",
        path.display()
    )]
    Taken {
        /// The data file.
        path: PathBuf,
    },
    /// The model needs data files beside it.
    #[error("a model with data files beside it cannot go to standard output; give a file")]
    NeedsFolder,
}

impl WriteError {
    pub(crate) fn system(path: &Path) -> impl Fn(io::Error) -> Self {
        |source| Self::System { path: path.to_owned(), source }
    }
}

/// Whether a path stands for standard output.
pub fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == STANDARD_OUTPUT
}

/// The file that an output to `path` replaces or becomes: behind symbolic links, which stay.
///
/// # Errors
/// When there is a folder, a device, a pipe or a socket.
pub fn destination(path: &Path) -> Result<PathBuf, WriteError> {
    let failed = WriteError::system(path);
    match fs::metadata(path) {
        Ok(found) if found.is_file() => path.canonicalize().map_err(failed),
        Ok(found) => Err(WriteError::NotAFile { path: path.to_owned(), what: kind(&found) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(end_of_links(path)),
        Err(error) => Err(failed(error)),
    }
}

/// What a link that leads nowhere yet leads to.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = fs::read_link(&end) else { break };
        end = end.parent().unwrap_or(Path::new("")).join(next);
    }
    end
}

/// Writes a file through a temporary one beside it: written, synchronised, then renamed.
/// What was at `path` stays until the new file is whole; a symbolic link there stays, and what it leads to is replaced.
/// The path `-` is standard output, which is written as it comes.
///
/// # Errors
/// When the folder is missing or cannot be written, `path` is something else than a file, or `content` fails; the
/// temporary file is removed.
pub fn write_atomic(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    if is_standard_output(path) {
        let mut out = io::stdout().lock();
        return content(&mut out).and_then(|()| out.flush()).map_err(WriteError::system(path));
    }
    replace(&destination(path)?, content).map_err(WriteError::system(path))
}

/// Moves a finished file to its place, as [`write_atomic`] would write it there.
///
/// # Errors
/// As [`write_atomic`].
pub fn move_to(source: &Path, path: &Path) -> Result<(), WriteError> {
    if !is_standard_output(path) && fs::rename(source, destination(path)?).is_ok() {
        return Ok(());
    }
    // Another file system, or standard output.
    let mut reader = File::open(source).map_err(WriteError::system(source))?;
    write_atomic(path, |writer| io::copy(&mut reader, writer).map(drop))?;
    fs::remove_file(source).map_err(WriteError::system(source))
}

fn replace(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
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
