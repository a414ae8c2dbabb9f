//! Flags of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Shared {
    /// Settings file; `espalier.toml` in the working folder is read when there is one.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// Results as text, or as one JSON document on stdout.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Everywhere")]
    pub(crate) format: Format,
    /// No progress and no notes on stderr.
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// Say more: the causes behind an error, what a child process said.
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) verbose: bool,
}

/// The form of results on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one document with a schema version.
    Json,
}
