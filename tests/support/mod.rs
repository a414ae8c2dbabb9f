//! What the tests of the command line share: running it, and things to run it on.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod stage;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Answers like `espalier-torch`: `search` gives the plan beside it, `tune` the one beside it or one that changes nothing. While a file `wait` is
/// beside it, it works on until it is told to stop.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$1" >> "$here/calls"
[ "$1" = versions ] && echo '{"libtorch": "none"}' && exit 0
[ "$1" = check ] && echo '{"event": "done", "search": {"seconds": 60.0}, "tune": {"seconds": 120.0}}' && exit 0
out=$(sed -n 's/^  "out": "\(.*\)",$/\1/p' "$3")
mkdir -p "$out"
trap 'echo "{\"event\": \"error\", \"message\": \"stopped\"}"; exit 130' INT
echo "{\"event\": \"step\", \"phase\": \"$1\", \"step\": 1, \"total\": 2, \"copies\": 8, \"loss\": 1.5, \"rate\": 10.0}"
while [ -e "$here/wait" ]; do sleep 0.05; done
plan='{"schema": 1}'
[ "$1" = search ] && plan=$(cat "$here/plan.json")
[ "$1" = tune ] && [ -e "$here/tune.json" ] && plan=$(cat "$here/tune.json") && cp "$here/tune.safetensors" "$out/tensors.safetensors"
echo "$plan" > "$out/plan.json"
echo '{"event": "done", "copies": 16}'
"#;

/// A folder that is gone after the test, with a model in it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in it, as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a fixture model to `NAME.onnx`.
    pub(crate) fn model(&self, name: &str) -> String {
        let file = format!("{name}.onnx");
        fs::write(self.path(&file), fixtures::models::named(name).unwrap()).unwrap();
        self.arg(&file)
    }

    /// Writes a picture of one grey value, in PPM form.
    pub(crate) fn picture(&self, name: &str, side: usize, value: u8) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut bytes = format!("P6\n{side} {side}\n255\n").into_bytes();
        bytes.extend((0..side * side * 3).map(|i| value.wrapping_add((i * 37 % 101) as u8)));
        fs::write(path, bytes).unwrap();
    }

    /// Writes a set of 8×8 pictures with splits and the fixtures' five classes.
    pub(crate) fn pictures(&self, name: &str) -> String {
        for (split, count) in [("train", 4), ("test", 2)] {
            for class in 0..5u8 {
                for number in 0..count {
                    let file = format!("{name}/{split}/class{class}/{number}.ppm");
                    self.picture(&file, 8, class * 50 + number * 7);
                }
            }
        }
        self.arg(name)
    }

    /// The names of everything in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The command line in this folder.
    pub(crate) fn espalier(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_espalier"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs a command that has to succeed; gives its stdout.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let output = self.espalier(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--format json` that has to succeed; gives its document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.good(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&text).unwrap()
    }

    /// Runs a command that has to fail with status 2 and one sentence, and to leave the folder as it was.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let before = self.names();
        let output = self.espalier(arguments).output().unwrap();
        assert_eq!(self.names(), before, "{arguments:?} left something behind");
        one_sentence(&output)
    }
}

/// The one line of stderr of a command that failed with status 2.
pub(crate) fn one_sentence(output: &Output) -> String {
    let text = said(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("espalier: ")).collect();
    let [line] = lines.as_slice() else { panic!("not one sentence: {text}") };
    assert!(!text.contains("panicked"), "{text}");
    (*line).to_owned()
}

/// What a command said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The second executable, where it was built beside the first.
pub(crate) fn torch() -> Option<PathBuf> {
    fixtures::needs::espalier_torch(env!("CARGO_BIN_EXE_espalier"))
}

/// Puts the script that stands in for `espalier-torch` into a place, as `torch.sh`.
pub(crate) fn stand_in(place: &Place) {
    let script = place.path("torch.sh");
    fs::write(&script, SCRIPT).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
}
