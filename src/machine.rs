//! What did the measuring: versions, libraries, threads, the processor and what it can do.

use certify::runtimes::{Home, Kind};
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::system;

/// The machine and the programs, as a report names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// This program's version.
    pub(crate) espalier: String,
    /// Operating system and architecture.
    pub(crate) platform: String,
    /// The processor's name; absent where the system does not say.
    pub(crate) processor: Option<String>,
    /// What its vector units can do, by the system's names; the kernels that a runtime chooses depend on it.
    pub(crate) instructions: String,
    /// Threads that the processor offers.
    pub(crate) cores: usize,
    /// Threads that were used.
    pub(crate) threads: usize,
    /// The runtimes of this program, as far as they are there.
    pub(crate) runtimes: Vec<Runtime>,
}

/// A runtime's code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Its name on the command line.
    pub(crate) name: String,
    /// Its release.
    pub(crate) version: String,
    /// SHA-256 of the library; absent for one that is part of this program.
    pub(crate) library: Option<String>,
}

/// Features that inference and training kernels are chosen by, on x86-64 and on ARM.
const FEATURES: [&str; 26] = [
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx_vnni",
    "avx_vnni_int8",
    "avx_ne_convert",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "asimd",
    "fphp",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
];

impl Machine {
    /// This one, using so many threads.
    pub(crate) fn here(threads: usize) -> Self {
        let described = system::processor();
        Self {
            espalier: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            processor: entry(&described, &["model name"]).map(str::to_owned),
            instructions: instructions(&described),
            cores: cores(),
            threads,
            runtimes: runtimes(),
        }
    }
}

/// Threads that the processor offers to this process.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The runtimes of this program that load.
fn runtimes() -> Vec<Runtime> {
    let found = |kind: Kind| match kind.home {
        Home::Here { version, library, .. } => Some(Runtime {
            name: kind.name().to_owned(),
            version: version().ok()?,
            library: library().and_then(|path| digest::file(&path).ok()),
        }),
        Home::Torch => None,
    };
    Kind::ALL.into_iter().filter_map(found).collect()
}

/// Bytes that one piece of work may take unless somebody says more: half of what is free.
pub(crate) fn spare_memory() -> u64 {
    /// Where the system does not say.
    const USUAL: u64 = 4 << 30;
    system::free_memory().map_or(USUAL, |free| free / 2)
}

/// The features that matter here, of those that the system lists; where it lists none, the architecture.
fn instructions(described: &str) -> String {
    let listed = entry(described, &["flags", "Features"]).unwrap_or_default();
    let known: Vec<&str> = FEATURES.into_iter().filter(|feature| listed.split(' ').any(|l| l == *feature)).collect();
    if known.is_empty() { std::env::consts::ARCH.to_owned() } else { known.join(" ") }
}

/// The first value of one of these names, in `name : value` lines.
fn entry<'a>(described: &'a str, names: &[&str]) -> Option<&'a str> {
    let fields = described.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| names.contains(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_by_whole_names() {
        let described =
            "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu avx avx2 avx512f amx_bf16 avx512f_other\n";
        assert_eq!(instructions(described), "avx avx2 avx512f amx_bf16");
        assert_eq!(entry(described, &["model name"]), Some("A Processor"));
        assert_eq!(instructions("Features : fp asimd bf16"), "asimd bf16");
        assert_eq!(instructions(""), std::env::consts::ARCH);
    }
}
