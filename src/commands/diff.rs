//! `espalier diff`: what changed between two files, in a screenful.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use import::{Changed, Differences, InputSizes};
use serde::Serialize;

use super::context::Context;
use crate::numbers::{or_absent, small};
use crate::output::Outcome;
use crate::report::grid;
use crate::subject::{Cost, Subject, cost_rows};

/// Entries of a list that are shown; `--format json` has all.
const SHOWN: usize = 12;

/// Flags of `espalier diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  espalier diff before.onnx after.onnx\n\
    Exit status 0 whether they differ or not: it tells, and `espalier verify` judges.")]
pub(crate) struct Flags {
    /// The first file.
    before: PathBuf,
    /// The second file.
    after: PathBuf,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    before: Cost,
    after: Cost,
    #[serde(flatten)]
    differences: Differences,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let open = |path| Subject::open(path, &[], &InputSizes::default());
    let (before, after) = (open(&flags.before)?, open(&flags.after)?);
    let differences = Differences::of(&before.model, &after.model);
    let found = Found { before: before.cost(), after: after.cost(), differences };
    context.told.result("diff", &found, || found.text())?;
    Ok(Outcome::Good)
}

impl Found {
    fn text(&self) -> String {
        let Differences { header, interface, operators, nodes, removed, added, renamed, reshaped, moved, same } =
            &self.differences;
        let mut text = grid(&["", "before", "after", "change"], &cost_rows(&self.before, &self.after));
        if self.differences.is_empty() {
            text.push_str("the files do not differ\n");
            return text;
        }
        let mut list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                text.push_str(&format!("{title}: {}\n", lines.len()));
                lines.iter().take(SHOWN).for_each(|line| text.push_str(&format!("  {line}\n")));
                if lines.len() > SHOWN {
                    text.push_str(&format!("  … and {} more\n", lines.len() - SHOWN));
                }
            }
        };
        list("what the files say of themselves", header.iter().map(line).collect());
        list("inputs and outputs", interface.iter().map(line).collect());
        let operators = operators.iter().map(|(op, before, after)| format!("{op}: {before} → {after}"));
        list("operators in other numbers", operators.collect());
        list("stored tensors only before", removed.clone());
        list("stored tensors only after", added.clone());
        list("renamed", renamed.iter().map(|(before, after)| format!("{before} → {after}")).collect());
        list("of another type or other sizes", reshaped.iter().map(line).collect());
        let moved = moved.iter().map(|moved| {
            let (by, most) = (or_absent(moved.relative, small), or_absent(moved.largest, small));
            format!("{}: moved by {by} of its length, at most {most}", moved.tensor)
        });
        list("with other elements", moved.collect());
        text.push_str(&format!("{} → {} nodes; {same} stored tensors are the same\n", nodes[0], nodes[1]));
        text
    }
}

fn line(changed: &Changed) -> String {
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
    format!("{}: {} → {}", changed.what, side(&changed.before), side(&changed.after))
}
