//! Files as bytes without reading them: the room's one use of memory maps.

use std::{fs::File, io, path::Path};

use bytes::Bytes;
use memmap2::MmapOptions;

/// Maps a whole file; an empty file gives no bytes.
pub(crate) fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    map_range(&file, 0, length)
}

/// Maps `length` bytes from `offset`, which the caller has checked to lie inside the file.
pub(crate) fn map_range(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // SAFETY: the map is read-only and its length was taken from the open file. What remains is
    // that another process may shorten or rewrite the file while it is mapped; no program that
    // maps files can rule that out, and Espalier itself only replaces files by rename, which
    // leaves a mapped one as it was.
    let map = unsafe { MmapOptions::new().offset(offset).len(length).map(file)? };
    Ok(Bytes::from_owner(map))
}
