//! Evidence on real runtimes: small models from `fixtures`, through ONNX Runtime and tract.
//!
//! Needs ONNX Runtime's library, named by `ORT_DYLIB_PATH`.

#![allow(clippy::unwrap_used)]

mod accuracy;
mod answers;
mod certificate;
mod child;
mod gate;
mod runtimes;
mod twin;

use std::path::PathBuf;

use certify::runtimes::Batch;
use tempfile::TempDir;

/// A folder of model files that goes with the test.
pub(crate) struct Models(TempDir);

impl Models {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file of that name and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// `n` samples of seeded noise.
pub(crate) fn noise(sample: &[usize], n: usize) -> Batch {
    certify::agreement::twin::noise(sample, n, 1.0, 5).unwrap()
}
