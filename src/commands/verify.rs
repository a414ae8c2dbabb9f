//! `espalier verify`: one model on several runtimes, each in its own process.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use certify::agreement::compare::OutputAgreement;
use certify::agreement::verify::Agreement;
use clap::Args;
use serde::Serialize;

use super::context::Context;
use crate::evidence;
use crate::numbers::small;
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report;
use crate::run::write_json_in;
use crate::settings::{Settings, flags};
use crate::subject::Subject;

/// Flags of `espalier verify`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Example:\n  espalier verify slim.onnx --data pictures --runtimes ort,tract\n\
    Exit status 1 when two runtimes do not agree, or one that was named with --runtimes cannot run the model.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    /// Write the findings to this folder too, as verify.json.
    #[arg(short, long, value_name = "DIR")]
    #[serde(skip)]
    out: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    verify: flags::Verify,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let subject = Subject::open(&flags.model, &[], &settings.sizes()?)?;
    let pictures = Pictures::open(&settings, &subject.model)?;
    let inputs = pictures.batch(evidence::samples(&settings))?;
    let found = evidence::agreement(&subject.path, &subject.model, &inputs, &settings, &context.progress)?;
    if let Some(folder) = &flags.out {
        write_json_in(folder, "verify.json", &found)?;
    }
    if !found.compares() && found.passed {
        let reasons = found.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(anyhow!("nothing could be compared, since fewer than two runtimes run the model: {reasons}"));
    }
    context.told.result("verify", &found, || {
        format!("{}{} samples; {}\n", report::agreement(&found), found.samples, allowed(&found))
    })?;
    Ok(Outcome::of(found.passed))
}

/// What each output was held to.
fn allowed(found: &Agreement) -> String {
    let outputs = found.pairs.first().map_or(&[][..], |pair| &pair.outputs);
    let one = |output: &OutputAgreement| format!("`{}` {}", output.output, small(output.tolerance));
    format!("relative tolerance: {}", outputs.iter().map(one).collect::<Vec<_>>().join(", "))
}
