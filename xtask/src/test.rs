//! `cargo xtask test`: everything that must hold before a change lands.
//!
//! The rooms that must do without libtorch come first, while libtorch is out of
//! reach: that `espalier` needs none is shown, not promised.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::command::{built, cargo, output, run, workspace};
use crate::native::{LIBTORCH, ONNXRUNTIME};

/// `espalier` and the rooms it is made of.
const WITHOUT_TORCH: &str =
    "-p espalier -p espalier-import -p espalier-images -p espalier-job -p espalier-export -p espalier-certify";

/// The rest, and `espalier` again: with `espalier-torch` beside it, its tests
/// go the whole way.
const WITH_TORCH: &str = "-p espalier -p espalier-csam -p espalier-fixtures -p xtask";

/// A value of `LIBTORCH` that no build can use.
const NOWHERE: &str = "/nonexistent/libtorch";

/// Runs every check, and stops at the first that fails.
pub(crate) fn test() -> Result<()> {
    step("format", || run(&mut cargo("fmt --all --check")))?;
    step("ONNX Runtime", || ONNXRUNTIME.fetch().map(drop))?;
    Absent::begin()?;
    step("espalier without libtorch", without_torch)?;
    step("libtorch", || LIBTORCH.fetch().map(drop))?;
    step("clippy", || run(&mut cargo("clippy --release --workspace --all-targets -- -D warnings")))?;
    step("espalier with libtorch", || run(&mut tests(WITH_TORCH, &["onnxruntime", "torch"])))?;
    step("documentation's examples", || run(cargo("test --release --doc").args(WITHOUT_TORCH.split_whitespace())))?;
    Absent::tell()
}

/// The tests that did not run for lack of something, which they note in a file themselves.
struct Absent;

impl Absent {
    fn file() -> PathBuf {
        built("tests-that-did-not-run")
    }

    fn begin() -> Result<()> {
        let file = Self::file();
        std::fs::create_dir_all(file.with_file_name(""))
            .and_then(|()| std::fs::write(&file, ""))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Says how many there were, by what they lacked.
    fn tell() -> Result<()> {
        let file = Self::file();
        let noted = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (thing, count) in counted(&noted) {
            writeln!(std::io::stderr(), "── {count} tests did not run for lack of {thing}")?;
        }
        Ok(())
    }
}

/// How many tests lacked each thing, by notes of which one test may leave several.
fn counted(noted: &str) -> BTreeMap<&str, usize> {
    let mut lines: Vec<&str> = noted.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    lines.iter().filter_map(|line| line.split(' ').next()).fold(BTreeMap::new(), |mut counts, thing| {
        *counts.entry(thing).or_default() += 1;
        counts
    })
}

/// Builds and tests `espalier` and its rooms with no libtorch to be found, and
/// shows that neither the build nor the executable names it.
fn without_torch() -> Result<()> {
    run(tests(WITHOUT_TORCH, &["onnxruntime"]).env(LIBTORCH.variable, NOWHERE))?;
    let mut tree = cargo("tree --edges normal,build,dev --prefix none");
    let tree = output(tree.args(WITHOUT_TORCH.split_whitespace()))?;
    let torch = tree.lines().find(|line| line.starts_with("torch-sys ") || line.starts_with("tch "));
    ensure!(torch.is_none(), "espalier depends on {torch:?}");
    let libraries = output(Command::new("ldd").arg(built("espalier")))?;
    let torch = libraries.lines().find(|line| line.contains("torch"));
    ensure!(torch.is_none(), "the executable espalier links {torch:?}");
    Ok(())
}

/// The tests of these packages, by nextest where it is installed. Those that need these things fail without them, and so
/// do those that need the folder of other people's files, where that lies beside the repository.
fn tests(packages: &str, needed: &[&str]) -> Command {
    let mut tests = match output(&mut cargo("nextest --version")) {
        Ok(_) => cargo("nextest run --release --no-fail-fast"),
        Err(_) => cargo("test --release --no-fail-fast --lib --bins --tests"),
    };
    let shared = workspace().join("../shared").exists().then_some("shared");
    let needed: Vec<&str> = needed.iter().copied().chain(shared).collect();
    tests.args(packages.split_whitespace());
    tests.env("ESPALIER_TESTS_NEED", needed.join(",")).env("ESPALIER_TESTS_ABSENT", Absent::file());
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

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn a_test_that_lacks_a_thing_counts_once() {
        let noted = "shared 7 ThreadId(1)\nshared 8 ThreadId(1)\nshared 7 ThreadId(1)\ntorch 9 ThreadId(2)\n";
        assert_eq!(counted(noted).into_iter().collect::<Vec<_>>(), [("shared", 2), ("torch", 1)]);
    }
}
