//! One file per command.

pub(crate) mod certify;
mod context;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod prune;
pub(crate) mod runtime;
pub(crate) mod slim;
pub(crate) mod train;
pub(crate) mod verify;

use anyhow::Result;

use self::context::Context;
use crate::cli::{Cli, Command};
use crate::interrupt;
use crate::library;
use crate::output::{Console, Outcome};
use crate::progress::Progress;
use crate::run::RESUME;
use crate::scratch;

/// Does what was asked.
///
/// # Errors
/// One sentence for the user, with its causes behind it.
pub(crate) fn dispatch(cli: Cli) -> Result<Outcome> {
    let context = Context { told: Console::of(&cli.shared), progress: Progress::of(&cli.shared), shared: cli.shared };
    library::announce();
    interrupt::listen(match cli.command {
        Command::Prune(_) | Command::Train(_) => RESUME,
        _ => "nothing was written; start the command again",
    })?;
    if !matches!(cli.command, Command::Runtime(_)) {
        // A runtime process may be killed at any time, and then its parent clears up.
        scratch::gather();
    }
    match cli.command {
        Command::Inspect(flags) => inspect::run(&context, &flags),
        Command::Prune(flags) => prune::run(&context, &flags),
        Command::Slim(flags) => slim::run(&context, &flags),
        Command::Train(flags) => train::run(&context, &flags),
        Command::Eval(flags) => eval::run(&context, &flags),
        Command::Verify(flags) => verify::run(&context, &flags),
        Command::Certify(flags) => certify::run(&context, &flags),
        Command::Explain(flags) => explain::run(&context, &flags),
        Command::Diff(flags) => diff::run(&context, &flags),
        Command::Doctor(flags) => doctor::run(&context, &flags),
        Command::Runtime(flags) => runtime::run(&flags),
    }
}
