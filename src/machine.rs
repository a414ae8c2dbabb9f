//! What did the measuring: versions, threads, instruction set.

use serde::{Deserialize, Serialize};

/// The machine and the program, as a report names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// This program's version.
    pub(crate) espalier: String,
    /// Operating system and architecture.
    pub(crate) platform: String,
    /// The widest vector instructions of the processor.
    pub(crate) instructions: String,
    /// Threads that the processor offers.
    pub(crate) cores: usize,
    /// Threads that were used.
    pub(crate) threads: usize,
}

impl Machine {
    /// This one, using so many threads.
    pub(crate) fn here(threads: usize) -> Self {
        Self {
            espalier: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            instructions: instructions().to_owned(),
            cores: cores(),
            threads,
        }
    }
}

/// Threads that the processor offers to this process.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512"
    } else if std::arch::is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> &'static str {
    std::env::consts::ARCH
}
