//! The parent's side: start the program, wait so long and no longer, and read what it wrote.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::super::batch::{Batch, Output};
use super::super::pieces::{self, Pieces};
use super::super::{Home, Identity, Kind, Options, ort};
use super::exchange::{read_outputs, write_inputs};
use super::request::Request;
use crate::error::CertifyError;
use crate::system;
use serde::{Deserialize, Serialize};

/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A program that serves runtime requests, and the arguments before the request's own.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// For example `["runtime"]`.
    pub arguments: Vec<OsString>,
}

/// Where the runtime programs are, and how long they may take.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Serves the runtimes that work in this program.
    pub own: Program,
    /// Serves torch, when installed.
    pub torch: Option<Program>,
    /// Threads of each process.
    pub threads: usize,
    /// A process that takes longer is ended.
    pub timeout: Duration,
}

/// What went wrong in a runtime process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "lowercase")]
pub enum Fault {
    /// A signal ended it.
    Crashed {
        /// The signal's number.
        signal: i32,
        /// The last line it wrote to stderr.
        message: String,
    },
    /// It was ended after so many seconds.
    Hung {
        /// The time it was given.
        seconds: f64,
    },
    /// It gave up.
    Failed {
        /// Why, in its own words.
        message: String,
    },
    /// Its program is not installed, or cannot be started.
    Missing {
        /// What to do.
        message: String,
    },
}

/// A runtime that gave no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The runtime.
    pub runtime: Kind,
    /// What happened.
    #[serde(flatten)]
    pub fault: Fault,
}

/// A runtime's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What ran.
    pub identity: Identity,
    /// One per graph output, in order.
    pub outputs: Vec<Output>,
    /// Seconds from start to end of the process.
    pub seconds: f64,
}

impl Fault {
    /// What happened, said of the runtime called `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> String {
        match self {
            Self::Crashed { signal, message } if message.is_empty() => format!("{name} crashed (signal {signal})"),
            Self::Crashed { signal, message } => format!("{name} crashed (signal {signal}): {message}"),
            Self::Hung { seconds } => format!("{name} did not answer within {seconds} s"),
            Self::Failed { message } => format!("{name} failed: {message}"),
            Self::Missing { message } => format!("{name} is not available: {message}"),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fault.of(self.runtime.name()))
    }
}

/// Runs `inputs` through a model in a child process, in pieces. Whatever the child does is an answer or
/// a finding; only this side's own troubles are errors.
///
/// # Errors
/// When the files between the processes cannot be made.
pub fn run_in_child(
    launcher: &Launcher,
    kind: Kind,
    model: &Path,
    inputs: &Batch,
    pieces: Pieces,
    optimise: bool,
) -> Result<Result<Answer, Finding>, CertifyError> {
    let folder = tempfile::tempdir().map_err(|source| file_error(&std::env::temp_dir(), source))?;
    let request = Request {
        kind,
        model: model.to_path_buf(),
        inputs: folder.path().join("in.safetensors"),
        outputs: folder.path().join("out.safetensors"),
        options: Options { threads: launcher.threads, optimise },
    };
    let cut = pieces.cut(inputs);
    write_inputs(&request.inputs, &cut)?;
    let found = |fault| Finding { runtime: kind, fault };
    let program = match kind.home {
        Home::Here { .. } => &launcher.own,
        Home::Torch => match &launcher.torch {
            Some(program) => program,
            None => return Ok(Err(found(Fault::Missing { message: "espalier-torch is not installed".into() }))),
        },
    };
    let complaints = folder.path().join("stderr");
    let begun = Instant::now();
    if let Some(fault) = supervise(launcher, program, &request.to_arguments(), &complaints)? {
        return Ok(Err(found(fault)));
    }
    let joined = |(outputs, identity)| Ok((pieces::join(&cut, outputs)?, identity));
    Ok(match read_outputs(&request.outputs).and_then(joined) {
        Ok((outputs, identity)) => Ok(Answer { identity, outputs, seconds: begun.elapsed().as_secs_f64() }),
        Err(error) => Err(found(Fault::Failed { message: error.to_string() })),
    })
}

/// Starts a program and waits for its end, no longer than the launcher allows; what went wrong comes back.
///
/// # Errors
/// When the process cannot be watched.
pub(crate) fn supervise(
    launcher: &Launcher,
    program: &Program,
    arguments: &[OsString],
    complaints: &Path,
) -> Result<Option<Fault>, CertifyError> {
    let child = match start(program, arguments, complaints)? {
        Ok(child) => child,
        Err(fault) => return Ok(Some(fault)),
    };
    let ended = wait(child, launcher.timeout).map_err(|source| file_error(&program.path, source))?;
    Ok(fault(ended, launcher.timeout, complaints))
}

/// Starts the program, its stderr going to a file: nothing reads a pipe while it runs.
fn start(program: &Program, arguments: &[OsString], complaints: &Path) -> Result<Result<Child, Fault>, CertifyError> {
    let stderr = File::create(complaints).map_err(|source| file_error(complaints, source))?;
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    if let Some(library) = ort::library() {
        command.env("ORT_DYLIB_PATH", library);
    }
    system::end_with_parent(&mut command);
    let spawned = command.spawn();
    Ok(spawned
        .map_err(|error| Fault::Missing { message: format!("{} does not start: {error}", program.path.display()) }))
}

/// Waits for the end; `None` when it had to be brought about.
fn wait(mut child: Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn fault(ended: Option<ExitStatus>, timeout: Duration, complaints: &Path) -> Option<Fault> {
    let Some(status) = ended else {
        return Some(Fault::Hung { seconds: timeout.as_secs_f64() });
    };
    if status.success() {
        return None;
    }
    let message = last_line(complaints);
    Some(match system::signal(status) {
        Some(signal) => Fault::Crashed { signal, message },
        None if message.is_empty() => Fault::Failed { message: format!("it ended with {status} and said nothing") },
        None => Fault::Failed { message },
    })
}

/// The last line of a file that is not empty, without the name of the program that wrote it.
fn last_line(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    line.strip_prefix("espalier: ").unwrap_or(line).to_owned()
}

fn file_error(path: &Path, source: std::io::Error) -> CertifyError {
    CertifyError::File { path: path.to_path_buf(), source }
}
