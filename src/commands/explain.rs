//! `espalier explain`: what a reason means for which something is not cut, and what can be done.

use anyhow::{Result, anyhow};
use clap::Args;
use import::reasons::{Page, pages};
use serde::Serialize;

use super::context::Context;
use crate::output::Outcome;

/// Flags of `espalier explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  espalier explain\n  espalier explain no-exact-form")]
pub(crate) struct Flags {
    /// A reason, as `espalier inspect` gives it; without one, all are listed.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// A page as the document has it.
#[derive(Debug, Serialize)]
struct Shown {
    code: &'static str,
    meaning: &'static str,
    example: &'static str,
    remedy: &'static str,
}

/// What was asked for.
#[derive(Debug, Serialize)]
struct Explained {
    reasons: Vec<Shown>,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let asked = flags.code.as_deref();
    let reasons: Vec<Shown> = pages().filter(|page| asked.is_none_or(|code| page.code == code)).map(shown).collect();
    if reasons.is_empty() {
        let asked = asked.unwrap_or_default();
        return Err(anyhow!("there is no reason `{asked}`; `espalier explain` without a word lists them"));
    }
    let explained = Explained { reasons };
    context.told.result("explain", &explained, || match asked {
        Some(_) => explained.reasons.iter().map(Shown::text).collect(),
        None => explained.list(),
    })?;
    Ok(Outcome::Good)
}

fn shown(Page { code, meaning, example, remedy }: Page) -> Shown {
    Shown { code, meaning, example, remedy }
}

impl Shown {
    fn text(&self) -> String {
        let parts = [("", self.meaning), ("Example: ", self.example), ("What to do: ", self.remedy)];
        let parts = parts.map(|(head, text)| format!("\n{}", wrapped(&format!("{head}{text}"), "")));
        format!("{}\n{}", self.code, parts.concat())
    }
}

/// Columns that a terminal has at least.
const WIDE: usize = 80;

/// A text in lines that begin with `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= WIDE);
        match line {
            Some(line) if line == indent => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

impl Explained {
    /// Every reason, with the first sentence of what it means.
    fn list(&self) -> String {
        let first = |text: &str| text.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
        let said = |reason: &Shown| format!("{}\n{}", reason.code, wrapped(&first(reason.meaning), "    "));
        self.reasons.iter().map(said).collect()
    }
}
