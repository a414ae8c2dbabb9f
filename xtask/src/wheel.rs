//! One pinned wheel: downloaded by pip, and the wanted files taken out of it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command;

/// A wheel of this machine's kind, and what is wanted of it.
pub(crate) struct Wheel {
    /// `NAME==VERSION --hash=sha256:…`, as pip reads it from a file of pins.
    pub(crate) pin: &'static str,
    /// The wanted members, each as `FROM=TO`; a trailing slash means a whole folder.
    pub(crate) members: &'static [&'static str],
}

impl Wheel {
    /// Downloads the wheel into `scratch`, and unpacks its members into `folder`.
    pub(crate) fn unpack(&self, scratch: &Path, folder: &Path) -> Result<()> {
        let name = self.pin.split("==").next().unwrap_or(self.pin);
        let download = scratch.join(name);
        fs::create_dir(&download)?;
        let pins = scratch.join("pins.txt");
        fs::write(&pins, self.pin)?;
        command::run(pip().arg("--dest").arg(&download).arg("-r").arg(&pins))?;
        let Some(file) = fs::read_dir(&download)?.next() else {
            bail!("pip downloaded no wheel for {name}");
        };
        unpack(&file?.path(), folder, self.members)?;
        fs::remove_dir_all(&download)?;
        Ok(())
    }
}

/// `pip download` for the platform that the pins are for, whichever Python runs it.
fn pip() -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--no-cache-dir"]);
    pip.args(["--require-hashes", "--only-binary=:all:"]);
    pip.args(["--implementation", "cp", "--python-version", "3.11"]);
    pip.args(["--abi", "cp311", "--abi", "none"]);
    for platform in ["manylinux_2_28", "manylinux_2_25", "manylinux2014"] {
        pip.args(["--platform", &format!("{platform}_x86_64")]);
    }
    // Standard output is kept for results.
    pip.stdout(Stdio::from(io::stderr()));
    pip
}

/// Takes the members given as `FROM=TO` out of a wheel.
fn unpack(wheel: &Path, folder: &Path, members: &[&str]) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", include_str!("unpack.py")]);
    command::run(python.arg(wheel).arg(folder).args(members))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A zip file with two members below `torch/`, made by Python as wheels are.
    fn wheel(folder: &Path) -> PathBuf {
        let torch = folder.join("torch");
        fs::create_dir_all(torch.join("include/deep")).unwrap();
        fs::write(torch.join("include/deep/a.h"), "header").unwrap();
        fs::write(torch.join("libc10.so"), "library").unwrap();
        let file = folder.join("some.whl");
        let mut zip = Command::new("python3");
        zip.args(["-m", "zipfile", "-c"]).arg(&file).arg(&torch);
        command::run(&mut zip).unwrap();
        file
    }

    #[test]
    fn chosen_members_are_unpacked_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = wheel(folder.path());
        let out = folder.path().join("out");
        unpack(&file, &out, &["torch/include/=inc/"]).unwrap();
        assert_eq!(fs::read_to_string(out.join("inc/deep/a.h")).unwrap(), "header");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    }

    #[test]
    fn a_member_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = wheel(folder.path());
        let out = folder.path().join("out");
        assert!(unpack(&file, &out, &["torch/libc11.so=lib/libc11.so"]).is_err());
    }
}
