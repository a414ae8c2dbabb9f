//! What can be said on the command line. The flags themselves are in [`crate::settings::flags`], shared by commands.

use clap::{Parser, Subcommand};

use crate::commands::{certify, diff, doctor, eval, explain, inspect, prune, runtime, slim, train, verify};
use crate::shared::Shared;

/// Makes a third-party ONNX network smaller, with evidence of what it kept.
#[derive(Debug, Parser)]
#[command(name = "espalier", version, max_term_width = 100)]
#[command(after_help = "Start with `espalier doctor`, then `espalier inspect MODEL.onnx`.\n\
    Exit status: 0 good, 1 a check did not hold, 2 could not do it, 130 interrupted.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is in a model: lanes that can be cut, what is pinned and why, costs.
    Inspect(inspect::Flags),
    /// The whole way: search, cut, tune, verify, certify, report.
    Prune(Box<prune::Flags>),
    /// Cut a model without data: by magnitude, or as a plan says.
    Slim(slim::Flags),
    /// Train a network further, or from new weights.
    Train(train::Flags),
    /// Measure accuracy on ONNX Runtime.
    Eval(eval::Flags),
    /// Compare a model across runtimes, or with another model.
    Verify(verify::Flags),
    /// Measure how robust predictions are, with confidence.
    Certify(certify::Flags),
    /// Say what a reason means for which something is not cut, and what can be done.
    Explain(explain::Flags),
    /// Say what changed between two files.
    Diff(diff::Flags),
    /// Show what this program found on this machine, and what is missing.
    Doctor(doctor::Flags),
    /// Serve one runtime in this process (started by `espalier` itself).
    #[command(hide = true)]
    Runtime(runtime::Flags),
}

impl Command {
    /// The command's name, as typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Inspect(_) => "inspect",
            Self::Prune(_) => "prune",
            Self::Slim(_) => "slim",
            Self::Train(_) => "train",
            Self::Eval(_) => "eval",
            Self::Verify(_) => "verify",
            Self::Certify(_) => "certify",
            Self::Explain(_) => "explain",
            Self::Diff(_) => "diff",
            Self::Doctor(_) => "doctor",
            Self::Runtime(_) => "runtime",
        }
    }
}
