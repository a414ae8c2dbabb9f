//! `espalier doctor`: what was found on this machine, from where, and the cure for what is missing.

use anyhow::Result;
use certify::runtimes::ort;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Context;
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
    let parts = vec![onnxruntime(&machine), tract(), torch()];
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

fn onnxruntime(machine: &Machine) -> Part {
    let digest = machine.runtimes.iter().find_map(|runtime| runtime.library.as_ref());
    let digest = digest.map(|digest| format!(", SHA-256 {digest}")).unwrap_or_default();
    let found = library::find();
    let version = ort::version();
    let cure = version.as_ref().err().map(|error| {
        format!(
            "{error}; `cargo xtask native` fetches it, or set {} to libonnxruntime.so 1.31 or later",
            library::VARIABLE
        )
    });
    Part {
        name: "ONNX Runtime",
        serves: "slim, eval, verify, certify, prune",
        place: found.map(|found| format!("{} ({})", found.path.display(), found.by)),
        says: version.ok().map(|version| format!("version {version}, device cpu{digest}")),
        cure,
    }
}

fn tract() -> Part {
    Part {
        name: "tract",
        serves: "verify, prune",
        place: Some("built into this program".to_owned()),
        says: Some(format!("version {}, device cpu", certify::runtimes::tract::VERSION)),
        cure: None,
    }
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
