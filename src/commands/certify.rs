//! `espalier certify`: how often predictions survive random transformations, for one model or several compared.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use certify::certificate::result::{LawResult, SubjectResult};
use certify::certificate::{Certificate, Subject as Named, certify};
use clap::Args;
use serde::Serialize;

use super::context::Context;
use crate::evidence;
use crate::freed::runnable;
use crate::numbers::{or_absent, percent};
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report;
use crate::run::write_json_in;
use crate::settings::{Settings, flags};
use crate::subject::Subject;

/// Flags of `espalier certify`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Example:\n  espalier certify dense.onnx slim.onnx --data pictures --preset standard\n\
    Exit status 1 when a model gives scores that are not numbers.")]
pub(crate) struct Flags {
    /// The ONNX files; the first is what the others are compared with.
    #[arg(required = true, value_name = "MODEL")]
    #[serde(skip)]
    models: Vec<PathBuf>,
    /// Write the findings to this folder too, as certify.json.
    #[arg(short, long, value_name = "DIR")]
    #[serde(skip)]
    out: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    certify: flags::Certify,
    #[command(flatten)]
    #[serde(flatten)]
    minutes: flags::Minutes,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let sizes = settings.sizes()?;
    let subjects: Vec<Subject> =
        flags.models.iter().map(|model| Subject::open(model, &[], &sizes)).collect::<Result<_>>()?;
    let [first, ..] = subjects.as_slice() else { return Err(anyhow!("no model was given; name an ONNX file")) };
    let pictures = Pictures::open(&settings, &first.model)?;
    pictures.announce(&settings, &pictures.remarks(false), &context.progress);
    let picture = pictures.inputs.only_picture().ok_or_else(|| {
        anyhow!("certificates are about transformed pictures, and the network is fed something else; `espalier verify` and `espalier eval` take it")
    })?;
    let side = picture.height.min(picture.width);
    let asked = settings.certify.decide(side, settings.seed(), settings.threads(), settings.minutes)?;
    let asked = asked.ok_or_else(|| anyhow!("the preset is off, so there is nothing to certify; give another one"))?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    let named = |(place, subject): (usize, &Subject)| {
        let folder = folder.path().join(place.to_string());
        fs::create_dir(&folder).context("cannot make a temporary folder; check TMPDIR")?;
        let ran = runnable(subject, &pictures, &folder, asked.threads, &context.progress)?;
        Ok(Named { name: name(&subject.path), model: ran.path })
    };
    let named: Vec<Named> = subjects.iter().enumerate().map(named).collect::<Result<_>>()?;
    let mut shown = evidence::shown(&context.progress, "certify");
    let found = certify(&named, &pictures.set, picture, &asked, &mut shown)?;
    drop(shown);
    if let Some(folder) = &flags.out {
        write_json_in(folder, "certify.json", &found)?;
    }
    context.told.result("certify", &found, || text(&found))?;
    Ok(Outcome::of(found.clean.iter().all(|clean| clean.not_finite == 0)))
}

/// The file's name without its ending.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn text(found: &Certificate) -> String {
    let clean = found.clean.iter().map(|clean| {
        [
            "clean".to_owned(),
            clean.name.clone(),
            percent(clean.right.share),
            interval(clean.right.lower, clean.right.upper),
            String::new(),
        ]
    });
    let rows: Vec<[String; 5]> = clean.chain(found.laws.iter().flat_map(law_rows)).collect();
    let head = ["", "model", "certified", "95 % interval", "Chernoff–Cramér"];
    let mut text = report::grid(&head, &rows);
    for law in &found.laws {
        text.push_str(&format!("{}: {}\n", law.law, law.statement));
    }
    for note in &found.notes {
        text.push_str(&format!("{note}\n"));
    }
    text
}

fn law_rows(law: &LawResult) -> Vec<[String; 5]> {
    law.subjects.iter().map(|subject| law_row(law, subject)).collect()
}

fn law_row(law: &LawResult, subject: &SubjectResult) -> [String; 5] {
    [
        law.law.to_string(),
        subject.name.clone(),
        percent(subject.certified.share),
        interval(subject.certified.lower, subject.certified.upper),
        or_absent(subject.chernoff_below, |below| percent(below.share)),
    ]
}

fn interval(lower: f64, upper: f64) -> String {
    format!("{} to {}", percent(lower), percent(upper))
}
