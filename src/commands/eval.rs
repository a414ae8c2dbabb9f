//! `espalier eval`: how often a model is right, on ONNX Runtime.

use std::path::PathBuf;

use anyhow::Result;
use certify::accuracy::accuracy;
use certify::scratch::Scratch;
use certify::statistics::binomial::Proportion;
use clap::Args;
use images::preprocess::Preprocess;
use serde::Serialize;

use super::Context;
use crate::evidence;
use crate::freed::runnable;
use crate::numbers::percent;
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::settings::{Settings, flags};
use crate::subject::Subject;

/// Flags of `espalier eval`.
#[derive(Debug, Args, Serialize)]
#[command(
    after_help = "Example:\n  espalier eval model.onnx --data pictures --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26"
)]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    model: PathBuf,
    /// Whether a copy with a free batch axis was run.
    freed_copy: bool,
    split: String,
    /// Which pictures those are, in words.
    measured: String,
    /// What is to be known about the pictures.
    remarks: Vec<String>,
    input: Preprocess,
    top1: Proportion,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let subject = Subject::open(&flags.model, &[])?;
    let pictures = Pictures::open(&settings, &subject.model)?;
    let remarks = pictures.remarks(false);
    pictures.announce(&settings, &remarks, &context.progress);
    let threads = settings.threads()?;
    let folder = Scratch::new()?;
    let ran = runnable(&subject, &pictures, folder.path(), threads, &context.progress)?;
    let mut shown = evidence::shown(&context.progress, "eval");
    let measured = accuracy(&ran.path, &pictures.set, &pictures.input, threads, &mut shown)?;
    drop(shown);
    let found = Found {
        model: subject.path,
        freed_copy: ran.freed,
        split: pictures.set.name().to_owned(),
        measured: pictures.set.describe(),
        remarks,
        input: pictures.input,
        top1: measured.top1,
    };
    context.told.result("eval", &found, || found.text())?;
    Ok(Outcome::Good)
}

impl Found {
    fn text(&self) -> String {
        let Proportion { count, of, share, lower, upper, confidence } = self.top1;
        format!(
            "top-1 accuracy {} ({count} of {of} in `{}`; {:.0} % interval {} to {})\n",
            percent(share),
            self.split,
            confidence * 100.0,
            percent(lower),
            percent(upper)
        )
    }
}
