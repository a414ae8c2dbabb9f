//! `cargo xtask`: what the repository needs beyond plain cargo commands.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

mod command;
mod demo;
mod install;
mod native;
mod system;
mod test;
mod wheel;

/// What the repository needs beyond plain cargo commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Fetch libtorch and ONNX Runtime once; print the variables that name them.
    Native,
    /// Build both executables and install them so that they run from anywhere.
    Install {
        /// Where to: DIR/bin gets the executables, DIR/lib/espalier the native parts.
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
    },
    /// Prune the demo network to half its work on the procedural images.
    Demo,
    /// Run every check and test there is.
    Test,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Native => print_native(),
        Task::Install { root } => install::install(&root),
        Task::Demo => demo::demo(),
        Task::Test => test::test(),
    }
}

fn print_native() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for part in [native::ONNXRUNTIME, native::LIBTORCH] {
        let found = part.fetch()?;
        writeln!(out, "export {}={}", part.variable, found.path.display())?;
    }
    Ok(())
}
