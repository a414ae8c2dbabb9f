//! Where ONNX Runtime's library is: the environment, beside this program as installed, or the cache of
//! `cargo xtask native`.

use std::path::{Path, PathBuf};

/// The environment variable that wins.
pub(crate) const VARIABLE: &str = "ORT_DYLIB_PATH";
/// The folder of `cargo xtask native` in the user's cache; the version is the one this program was tried with.
const CACHED: &str = "espalier/onnxruntime-1.31.1/libonnxruntime.so";
/// Relative to the program's own folder, as `cargo xtask install` lays it out.
const INSTALLED: &str = "../lib/espalier";

/// Where the library was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// What led to it, in words.
    pub(crate) by: &'static str,
}

/// Finds the library; an environment variable is believed without a look.
pub(crate) fn find() -> Option<Found> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    if let Some(path) = named {
        return Some(Found { path: path.into(), by: "ORT_DYLIB_PATH" });
    }
    installed()
        .map(|path| Found { path, by: "installed with this program" })
        .or_else(|| cached().map(|path| Found { path, by: "the cache of cargo xtask native" }))
}

/// What led to this library, in brackets.
pub(crate) fn found_by(path: &Path) -> String {
    find().filter(|found| found.path == path).map(|found| format!(" ({})", found.by)).unwrap_or_default()
}

/// Tells the runtimes where the library is, if it is anywhere.
pub(crate) fn announce() {
    if let Some(found) = find() {
        certify::runtimes::ort::init(&found.path);
    }
}

fn installed() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?.join(INSTALLED);
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| name(path).starts_with("libonnxruntime.so"));
    found.sort();
    found.into_iter().next_back()
}

fn cached() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".cache")))?;
    Some(cache.join(CACHED)).filter(|path| path.exists())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
