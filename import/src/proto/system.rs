//! What this room asks of the operating system, and does without on one that has no such thing. No other file here names
//! a system.

use std::fs::Metadata;

/// What there is in the place of a file, in a word.
#[cfg(unix)]
pub(crate) fn kind(found: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    match () {
        () if kind.is_dir() => "folder",
        () if kind.is_fifo() => "pipe",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}

#[cfg(not(unix))]
pub(crate) fn kind(found: &Metadata) -> &'static str {
    if found.is_dir() { "folder" } else { "device" }
}

/// Temporary files are private by default, and this one becomes the user's file: the usual
/// permissions, less the process's own mask.
#[cfg(unix)]
pub(crate) fn world_readable<'a, 'b, 'c>(
    builder: &'a mut tempfile::Builder<'b, 'c>,
) -> &'a mut tempfile::Builder<'b, 'c> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
pub(crate) fn world_readable<'a, 'b, 'c>(
    builder: &'a mut tempfile::Builder<'b, 'c>,
) -> &'a mut tempfile::Builder<'b, 'c> {
    builder
}
