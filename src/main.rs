//! `espalier`: makes a third-party ONNX network smaller, with evidence.
//!
//! This package is the command line. It orders the pipeline and never loads libtorch: searching and training happen in
//! `espalier-torch`, a second program that [`torch`] starts.
//!
//! - [`cli`]: what can be said on the command line; [`settings`]: flags, file and defaults made one;
//! - [`commands`]: one file per command; [`run`]: the run folder, its stages and how they resume;
//! - [`report`]: what was measured, as JSON, Markdown and tables;
//! - [`inputs`]: what each input of a model is fed; [`pictures`]: the data set that feeds it;
//! - [`output`], [`progress`], [`interrupt`]: results on stdout, progress on stderr, Ctrl-C; [`scratch`]: what is temporary;
//! - [`system`]: what only some operating systems have.

mod cli;
mod commands;
mod digest;
mod evidence;
mod freed;
mod gate;
mod inputs;
mod interrupt;
mod library;
mod machine;
mod numbers;
mod output;
mod pictures;
mod progress;
mod report;
mod run;
mod scratch;
mod settings;
mod shared;
mod stderr;
mod subject;
mod system;
mod target;
mod torch;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return output::usage(&message),
    };
    let told = output::Console::of(&cli.shared);
    let command = cli.command.name();
    let outcome = commands::dispatch(cli);
    scratch::remove();
    match outcome {
        Ok(outcome) => outcome.status(),
        Err(error) => told.failure(command, &error),
    }
}
