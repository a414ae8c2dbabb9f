//! `espalier-torch`: the part of Espalier that needs libtorch. `espalier` starts it; a person can too.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use csam::{
    CsamError, check,
    events::Events,
    run, search,
    session::{self, Stop},
    system, tune, versions,
};
use job::Job;

/// Searches, tunes, trains and runs networks with libtorch. `search`, `tune`, `train` and `check` tell what happens,
/// errors included, as JSON lines on standard output.
#[derive(Parser)]
#[command(version, after_help = "Example:\n  espalier-torch search --job job.json")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// End at once when this process, which started the program, ends.
    #[arg(long, global = true, value_name = "PID", hide = true)]
    parent: Option<i32>,
}

#[derive(Subcommand)]
enum Command {
    /// Choose the lanes to remove; writes plan.json (and tensors.safetensors).
    Search(JobArgs),
    /// Tune a network that was cut, with labels, with its teacher, or both.
    Tune(JobArgs),
    /// Train a network on labels.
    Train(JobArgs),
    /// Do everything that a job asks for except train, and say how long that would take.
    Check(JobArgs),
    /// Run a model on given inputs.
    Run(run::RunArgs),
    /// Print the versions and devices that were found.
    Versions,
}

#[derive(Args)]
struct JobArgs {
    /// The job, as JSON.
    #[arg(long)]
    job: PathBuf,
}

fn main() -> ExitCode {
    let Cli { command, parent } = Cli::parse();
    let tells_events = matches!(command, Command::Search(_) | Command::Tune(_) | Command::Train(_) | Command::Check(_));
    let outcome = parent.map_or(Ok(()), system::end_with).and_then(|()| obey(command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if tells_events {
                Events::stdout(Stop::default()).error(&error.to_string());
            } else {
                complain(&error);
            }
            ExitCode::from(error.status())
        }
    }
}

fn obey(command: Command) -> Result<(), CsamError> {
    match command {
        Command::Search(args) => with_job(&args, search::search),
        Command::Tune(args) => with_job(&args, |job, events, stop| tune::tune(job, "tune", events, stop)),
        Command::Train(args) => with_job(&args, |job, events, stop| tune::tune(job, "train", events, stop)),
        Command::Check(args) => with_job(&args, check::check),
        Command::Run(args) => run::run(&args).map_err(CsamError::from),
        Command::Versions => {
            #[expect(clippy::print_stdout, reason = "this is the command's result")]
            {
                println!("{}", versions::versions());
            }
            Ok(())
        }
    }
}

#[expect(clippy::print_stderr, reason = "the sentence is for whoever started the program")]
fn complain(error: &CsamError) {
    eprintln!("{error}");
}

fn with_job(args: &JobArgs, work: impl FnOnce(&Job, Events, Stop) -> Result<(), CsamError>) -> Result<(), CsamError> {
    let stop = Stop::on_signal().map_err(|error| CsamError::Torch(error.to_string()))?;
    let job = Job::open(&args.job)?;
    session::set_threads(job.threads);
    work(&job, Events::stdout(stop.clone()), stop)
}
