//! `cargo xtask test`: everything that must hold before a change lands.
//!
//! The rooms that must do without libtorch come first, while libtorch is out of
//! reach: that `espalier` needs none is shown, not promised.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::command::{built, cargo, output, run};
use crate::native::{LIBTORCH, ONNXRUNTIME};

/// `espalier` and the rooms it is made of.
const WITHOUT_TORCH: &str = "-p espalier -p espalier-import -p espalier-images -p espalier-export -p espalier-certify";

/// The rest, and `espalier` again: with `espalier-torch` beside it, its tests
/// go the whole way.
const WITH_TORCH: &str = "-p espalier -p espalier-csam -p espalier-fixtures -p xtask";

/// A value of `LIBTORCH` that no build can use.
const NOWHERE: &str = "/nonexistent/libtorch";

/// Runs every check, and stops at the first that fails.
pub(crate) fn test() -> Result<()> {
    step("format", || run(&mut cargo("fmt --all --check")))?;
    step("ONNX Runtime", || ONNXRUNTIME.fetch().map(drop))?;
    step("espalier without libtorch", without_torch)?;
    step("libtorch", || LIBTORCH.fetch().map(drop))?;
    step("clippy", || run(&mut cargo("clippy --release --workspace --all-targets -- -D warnings")))?;
    step("espalier with libtorch", || run(&mut tests(WITH_TORCH)))?;
    step("documentation's examples", || run(cargo("test --release --doc").args(WITHOUT_TORCH.split_whitespace())))
}

/// Builds and tests `espalier` and its rooms with no libtorch to be found, and
/// shows that neither the build nor the executable names it.
fn without_torch() -> Result<()> {
    run(tests(WITHOUT_TORCH).env(LIBTORCH.variable, NOWHERE))?;
    let mut tree = cargo("tree --edges normal,build,dev --prefix none");
    let tree = output(tree.args(WITHOUT_TORCH.split_whitespace()))?;
    let torch = tree.lines().find(|line| line.starts_with("torch-sys ") || line.starts_with("tch "));
    ensure!(torch.is_none(), "espalier depends on {torch:?}");
    let libraries = output(Command::new("ldd").arg(built("espalier")))?;
    let torch = libraries.lines().find(|line| line.contains("torch"));
    ensure!(torch.is_none(), "the executable espalier links {torch:?}");
    Ok(())
}

/// The tests of these packages, by nextest where it is installed.
fn tests(packages: &str) -> Command {
    let mut tests = match output(&mut cargo("nextest --version")) {
        Ok(_) => cargo("nextest run --release --no-fail-fast"),
        Err(_) => cargo("test --release --no-fail-fast --lib --bins --tests"),
    };
    tests.args(packages.split_whitespace());
    tests
}

/// Runs one step under its name and says how long it took.
fn step(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut log = std::io::stderr();
    writeln!(log, "── {name}")?;
    let start = Instant::now();
    body().with_context(|| format!("{name}: this check did not hold"))?;
    writeln!(log, "── {name}: good, {:.0} s", start.elapsed().as_secs_f64())?;
    Ok(())
}
