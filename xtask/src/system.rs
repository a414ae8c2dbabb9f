//! What this room asks of the operating system. No other file here names a system.

use std::io;
use std::path::Path;

/// Makes a symbolic link.
#[cfg(unix)]
pub(crate) fn link(target: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
pub(crate) fn link(_: impl AsRef<Path>, _: impl AsRef<Path>) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "native parts are fetched for Linux; set LIBTORCH and ORT_DYLIB_PATH",
    ))
}
