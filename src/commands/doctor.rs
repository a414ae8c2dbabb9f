//! `espalier doctor`: what was found on this machine, from where, and the cure for what is missing.

use anyhow::Result;
use certify::runtimes::{Home, Kind};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::context::Context;
use crate::library;
use crate::machine::{Machine, cores};
use crate::output::Outcome;
use crate::torch::Torch;

/// Flags of `espalier doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  espalier doctor\nExit status 1 when something is missing.")]
pub(crate) struct Flags {}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    machine: Machine,
    parts: Vec<Part>,
}

/// One thing that is needed for some commands.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    /// What it is needed for.
    serves: &'static str,
    /// Where it is, and what led there.
    place: Option<String>,
    /// Versions and devices, in words; absent when it does not work.
    says: Option<String>,
    /// What to do, when it does not work.
    cure: Option<String>,
}

pub(super) fn run(context: &Context, _flags: &Flags) -> Result<Outcome> {
    let machine = Machine::here(cores());
    let parts = Kind::ALL.into_iter().filter_map(|kind| runtime(kind, &machine)).chain([torch()]).collect();
    let found = Found { machine, parts };
    context.told.result("doctor", &found, || found.text())?;
    Ok(Outcome::of(found.parts.iter().all(|part| part.cure.is_none())))
}

impl Found {
    fn text(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "espalier {} on {}, {} threads\n  processor {}\n  instructions {}\n",
            machine.espalier,
            machine.platform,
            machine.cores,
            machine.processor.as_deref().unwrap_or("not named by the system"),
            machine.instructions
        );
        for part in &self.parts {
            let state = if part.cure.is_none() { "found" } else { "MISSING" };
            text.push_str(&format!("\n{} ({}): {state}\n", part.name, part.serves));
            for line in [&part.says, &part.place].into_iter().flatten() {
                text.push_str(&format!("  {line}\n"));
            }
            part.cure.iter().for_each(|cure| text.push_str(&format!("  cure: {cure}\n")));
        }
        text
    }
}

/// What is to be said of a runtime of this program.
fn runtime(kind: Kind, machine: &Machine) -> Option<Part> {
    let Home::Here { version, library, .. } = kind.home else { return None };
    let own = machine.runtimes.iter().find(|runtime| runtime.name == kind.name());
    let digest = own.and_then(|runtime| runtime.library.as_ref());
    let digest = digest.map(|digest| format!(", SHA-256 {digest}")).unwrap_or_default();
    let found = version();
    let cure = found.as_ref().err().map(|error| {
        format!(
            "{error}; `cargo xtask native` fetches it, or set {} to libonnxruntime.so 1.31 or later",
            library::VARIABLE
        )
    });
    let place = match (library(), &found) {
        (Some(path), _) => Some(format!("{}{}", path.display(), library::found_by(&path))),
        (None, Ok(_)) => Some("built into this program".to_owned()),
        (None, Err(_)) => None,
    };
    Some(Part {
        name: kind.title,
        serves: if kind == Kind::ORT { "slim, eval, verify, certify, prune" } else { "verify, prune" },
        place,
        says: found.ok().map(|version| format!("version {version}, device {}{digest}", kind.device)),
        cure,
    })
}

fn torch() -> Part {
    let answer = Torch::require().and_then(|torch| Ok((torch.versions()?, torch.path)));
    let (says, place, cure) = match answer {
        Ok((versions, path)) => (Some(in_words(&versions)), Some(path.display().to_string()), None),
        Err(error) => (None, Torch::find().map(|torch| torch.path.display().to_string()), Some(error.to_string())),
    };
    Part { name: "espalier-torch", serves: "train, prune, verify on torch", place, says, cure }
}

fn in_words(versions: &Map<String, Value>) -> String {
    let words = versions.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
