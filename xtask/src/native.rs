//! The native parts: libtorch and ONNX Runtime, taken from their Python wheels.
//!
//! Each part is unpacked once into `$XDG_CACHE_HOME/espalier` (or
//! `~/.cache/espalier`), and `target/native` links to it: `.cargo/config.toml`
//! points `LIBTORCH` and `ORT_DYLIB_PATH` there. When the shell sets one of
//! these variables to something else, that part is the user's and nothing is
//! fetched for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::workspace;
use crate::wheel::Wheel;

/// One native part: a folder of the cache, and the variable that names it.
pub(crate) struct Part {
    /// The folder's name in the cache; it ends with the version.
    folder: &'static str,
    /// The link's name in `target/native`.
    link: &'static str,
    /// The environment variable that the build or the program reads.
    pub(crate) variable: &'static str,
    /// The file that the variable names; without one it names the folder.
    entry: Option<&'static str>,
    wheels: &'static [Wheel],
    /// Small files that are written rather than fetched: name and content.
    written: &'static [(&'static str, &'static str)],
}

/// An available part.
pub(crate) struct Found {
    /// What the part's variable is to name.
    pub(crate) path: PathBuf,
    /// Whether it came from the cache, rather than from the user's variable.
    pub(crate) ours: bool,
}

/// The CPU part of libtorch. The wheel is a CUDA build, but as long as
/// `libtorch_cuda.so` is not beside them its CPU libraries stand alone, given
/// the two small CUDA libraries that they name. The wheel's own `libtorch.so`
/// asks for CUDA, so a linker script takes its place.
pub(crate) const LIBTORCH: Part = Part {
    folder: "libtorch-2.13.0",
    link: "libtorch",
    variable: "LIBTORCH",
    entry: None,
    wheels: &[
        Wheel {
            pin: "torch==2.13.0 --hash=sha256:60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
            members: &[
                "torch/include/=include/",
                "torch/lib/libtorch_cpu.so=lib/libtorch_cpu.so",
                "torch/lib/libc10.so=lib/libc10.so",
                "torch/lib/libgomp.so.1=lib/libgomp.so.1",
            ],
        },
        Wheel {
            pin: "nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            members: &["nvidia/cu13/lib/libcupti.so.13=lib/libcupti.so.13"],
        },
        Wheel {
            pin: "nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            members: &["nvidia/cu13/lib/libcudart.so.13=lib/libcudart.so.13"],
        },
    ],
    written: &[("lib/libtorch.so", "INPUT(-ltorch_cpu -lc10)\n"), ("build-version", "2.13.0\n")],
};

/// ONNX Runtime for CPUs.
pub(crate) const ONNXRUNTIME: Part = Part {
    folder: "onnxruntime-1.31.1",
    link: "onnxruntime",
    variable: "ORT_DYLIB_PATH",
    entry: Some("libonnxruntime.so"),
    wheels: &[Wheel {
        pin: "onnxruntime==1.31.1 --hash=sha256:5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        members: &["onnxruntime/capi/libonnxruntime.so.1.31.1=libonnxruntime.so"],
    }],
    written: &[],
};

impl Part {
    /// Makes the part available, fetching it unless the user has named one.
    pub(crate) fn fetch(&self) -> Result<Found> {
        let link = self.link();
        // Word for word what cargo makes of the entry in `.cargo/config.toml`,
        // or torch-sys would see another value and be compiled again.
        let linked = self.entry.map_or_else(|| link.clone(), |entry| link.join(entry));
        if let Some(own) = std::env::var_os(self.variable).map(PathBuf::from)
            && own != linked
        {
            return Ok(Found { path: own, ours: false });
        }
        let cached = cache()?.join(self.folder);
        if !cached.exists() {
            self.unpack(&cached)?;
        }
        point(&link, &cached)?;
        Ok(Found { path: linked, ours: true })
    }

    /// Fetches the wheels and unpacks them. The folder appears whole or not at all.
    fn unpack(&self, cached: &Path) -> Result<()> {
        let cache = cached.parent().context("the cache folder has no parent")?;
        fs::create_dir_all(cache)?;
        let scratch = tempfile::tempdir_in(cache)?;
        let whole = scratch.path().join("whole");
        for wheel in self.wheels {
            wheel.unpack(scratch.path(), &whole)?;
        }
        for (name, content) in self.written {
            fs::write(whole.join(name), content)?;
        }
        match fs::rename(&whole, cached) {
            // Another run of this program got there first.
            Err(_) if cached.exists() => Ok(()),
            renamed => renamed.with_context(|| format!("could not write {}", cached.display())),
        }
    }

    fn link(&self) -> PathBuf {
        workspace().join("target/native").join(self.link)
    }
}

/// Where unpacked parts are kept, outside the repository.
fn cache() -> Result<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match (named("XDG_CACHE_HOME"), named("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => bail!("set XDG_CACHE_HOME to a folder for libtorch and ONNX Runtime"),
    };
    Ok(base.join("espalier"))
}

/// Makes `link` a symbolic link to `target`, replacing an older one.
fn point(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    crate::system::link(target, link)
        .with_context(|| format!("could not link {} to {}", link.display(), target.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_old_link_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("native/part");
        for version in ["part-1", "part-2", "part-2"] {
            point(&link, &folder.path().join(version)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), folder.path().join(version));
        }
    }
}
