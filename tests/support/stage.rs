//! A run of `prune` to look at from outside.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use super::{Place, said, stand_in};

const PLAN: &str = r#"{"schema": 1, "remove": [{"tensor": "first.conv.weight", "axis": 0, "indices": [1, 3, 4, 6]}]}"#;

/// A model, pictures, and the script in the place of `espalier-torch`.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) model: String,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let place = Place::new();
        let model = place.model("chain");
        place.pictures("pictures");
        fs::write(place.path("plan.json"), PLAN).unwrap();
        stand_in(&place);
        Self { place, model }
    }

    pub(crate) fn prune(&self, more: &[&str]) -> Command {
        self.prune_on("pictures", more)
    }

    pub(crate) fn prune_on(&self, data: &str, more: &[&str]) -> Command {
        let arguments = ["prune", &self.model, "--data", data, "--to", "macs=60%", "-o", "run"];
        let quick = ["--draws", "90", "--images", "6", "--laws", "noise", "--runtimes", "ort,tract"];
        let mut command = self.place.espalier(&[&arguments[..], &quick, more].concat());
        command.env("ESPALIER_TORCH", self.place.path("torch.sh"));
        command
    }

    pub(crate) fn good(&self, more: &[&str]) -> String {
        let output = self.prune(more).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.place.path("calls")).unwrap();
        calls.lines().filter(|call| !["versions", "check"].contains(call)).map(str::to_owned).collect()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.place.path(name)).unwrap()
    }
}

/// Waits for a minute at most.
pub(crate) fn wait_for(happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a child as Ctrl-C does.
pub(crate) fn interrupted(child: Child) -> Output {
    signalled(child, "-INT")
}

/// Ends a child by a signal.
pub(crate) fn signalled(child: Child, signal: &str) -> Output {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    child.wait_with_output().unwrap()
}
