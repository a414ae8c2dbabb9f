//! `cargo xtask demo`: prunes the demo network with the command line itself.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::command::{built, run, workspace};
use crate::install;
use crate::native::{LIBTORCH, ONNXRUNTIME};

/// The run folder, made anew each time.
const RUN: &str = "target/demo";

/// Enough to win back what the cut loses, on pictures this simple.
const EPOCHS: &str = "6";

/// Builds both executables and prunes the demo network to half its work.
pub(crate) fn demo() -> Result<()> {
    LIBTORCH.fetch()?;
    ONNXRUNTIME.fetch()?;
    install::build()?;
    let folder = workspace().join(RUN);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut prune = Command::new(built("espalier"));
    prune.args(["prune", "fixtures/models/procedural-resnet8.onnx", "--data", "procedural"]);
    run(prune.args(["--to", "macs=50%", "--epochs", EPOCHS, "-o", RUN]))
}
