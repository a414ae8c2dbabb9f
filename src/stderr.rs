//! Lines on stderr.

use std::io::{self, Write};

/// Writes a line to stderr; when that is closed, nothing can be said.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
