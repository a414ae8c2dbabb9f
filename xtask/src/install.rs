//! `cargo xtask install`: a copy that runs from anywhere, without the repository
//! and without environment variables.
//!
//! `DIR/bin` gets the two executables, `DIR/lib/espalier` the native parts:
//! `espalier-torch` looks for libtorch there by its rpath, and `espalier` for
//! `libonnxruntime.so` by the place of its own file. A libtorch that the user
//! named stays where it is, since it may lean on libraries beside it; the rpath
//! holds its folder too.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{built, cargo, run};
use crate::native::{LIBTORCH, ONNXRUNTIME};

/// The executables, which are the same ones that `demo` runs.
const PROGRAMS: [&str; 2] = ["espalier", "espalier-torch"];

/// Builds the release executables; libtorch must have been fetched.
pub(crate) fn build() -> Result<()> {
    run(&mut cargo("build --release -p espalier -p espalier-csam"))
}

/// Builds and installs into `root`.
pub(crate) fn install(root: &Path) -> Result<()> {
    let libtorch = LIBTORCH.fetch()?;
    let onnxruntime = ONNXRUNTIME.fetch()?;
    build()?;
    let bin = root.join("bin");
    let lib = root.join("lib/espalier");
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&lib)?;
    place(&onnxruntime.path, &lib.join("libonnxruntime.so"), link)?;
    if libtorch.ours {
        for file in fs::read_dir(libtorch.path.join("lib"))? {
            let file = file?;
            place(&file.path(), &lib.join(file.file_name()), link)?;
        }
    }
    for program in PROGRAMS {
        place(&built(program), &bin.join(program), copy)?;
    }
    Ok(())
}

/// Puts a file in place whole, over an older one, which may be in use.
fn place(from: &Path, to: &Path, put: fn(&Path, &Path) -> std::io::Result<()>) -> Result<()> {
    let folder = to.parent().context("an installed file has a folder")?;
    let scratch = tempfile::tempdir_in(folder)?;
    let whole: PathBuf = scratch.path().join("whole");
    put(from, &whole)
        .and_then(|()| fs::rename(&whole, to))
        .with_context(|| format!("could not install {} as {}", from.display(), to.display()))
}

/// A hard link, which costs nothing; across file systems, a copy.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    let from = fs::canonicalize(from)?;
    fs::hard_link(&from, to).or_else(|_| copy(&from, to))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for (put, content) in [(copy as fn(&_, &_) -> _, "old"), (copy, "new"), (link, "linked")] {
            let from = folder.path().join(content);
            fs::write(&from, content).unwrap();
            place(&from, &bin.join("program"), put).unwrap();
            assert_eq!(fs::read_to_string(bin.join("program")).unwrap(), content);
            assert_eq!(fs::read_dir(&bin).unwrap().count(), 1);
        }
    }
}
