//! Starting `espalier-torch`, the program that searches and trains, and listening to what it says.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow};
use job::Job;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::interrupt::{Interrupted, PassedOn};
use crate::progress::{Meter, Progress, Tick};
use crate::run::{RESUME, write_json};
use crate::system;

/// Has glibc keep freed memory for the next step instead of handing it back page by page: training is 10 to 15 % faster.
const KEEPING_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_TRIM_THRESHOLD_", "4000000000"),
    ("MALLOC_MMAP_THRESHOLD_", "4000000000"),
    ("MALLOC_TOP_PAD_", "268435456"),
];

/// The environment variable that names the program.
pub(crate) const VARIABLE: &str = "ESPALIER_TORCH";
const PROGRAM: &str = "espalier-torch";

/// The program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Torch {
    /// The executable.
    pub(crate) path: PathBuf,
}

/// What it says, one JSON object a line.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Step(Step),
    Note { text: String },
    Done(Map<String, Value>),
    Error { message: String },
}

#[derive(Debug, Deserialize)]
struct Step {
    phase: String,
    step: u64,
    total: u64,
    rate: Option<f64>,
    #[serde(flatten)]
    figures: Map<String, Value>,
}

/// How it ended, by what it said.
enum Ending {
    Done(Map<String, Value>),
    Error(String),
    Silent,
}

impl Torch {
    /// Finds the program: `ESPALIER_TORCH`, else beside this one.
    pub(crate) fn find() -> Option<Self> {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let beside = || {
            let program = std::env::current_exe().ok()?;
            Some(program.parent()?.join(PROGRAM)).filter(|path| path.exists())
        };
        named.or_else(beside).map(|path| Self { path })
    }

    /// Finds the program, or says what to do.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn require() -> Result<Self> {
        Self::find().ok_or_else(|| {
            anyhow!(
                "{PROGRAM}, which searches and trains, is not installed beside espalier; \
                 run `cargo xtask install --root DIR`, or name it with {VARIABLE}"
            )
        })
    }

    /// What it says of itself: versions and devices.
    ///
    /// # Errors
    /// When it does not start or does not answer with a JSON object.
    pub(crate) fn versions(&self) -> Result<Map<String, Value>> {
        let output = Command::new(&self.path).arg("versions").stdin(Stdio::null()).output();
        let output = output.map_err(|error| self.does_not_start(&error))?;
        let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        serde_json::from_slice(&output.stdout).map_err(|_| {
            anyhow!("`{}` does not answer ({} {last}); install it again", self.path.display(), output.status)
        })
    }

    /// Runs a job to its end and gives what came out. Progress is shown, and steps go to `log`.
    ///
    /// # Errors
    /// What the program reports; [`Interrupted`] when it stopped because the user asked.
    pub(crate) fn run(
        &self,
        verb: &str,
        job: &Job,
        job_file: &Path,
        log: Option<&Path>,
        progress: &Progress,
    ) -> Result<Map<String, Value>> {
        write_json(job_file, job)?;
        let mut complaints = tempfile::tempfile().context("cannot make a temporary file; check TMPDIR")?;
        let (mut child, passed_on) = self.start(verb, job_file, &complaints)?;
        let ending = match child.stdout.take() {
            Some(stdout) => listen(stdout, log, progress)?,
            None => Ending::Silent,
        };
        let status = child.wait().with_context(|| format!("cannot wait for {PROGRAM}"))?;
        drop(passed_on);
        match ending {
            Ending::Done(facts) if status.success() => Ok(facts),
            _ if status.code() == Some(130) => Err(Interrupted { advice: RESUME }.into()),
            Ending::Error(message) => Err(anyhow!(message)),
            Ending::Done(_) | Ending::Silent => Err(died(status, &mut complaints)),
        }
    }

    /// In a process group of its own, so that Ctrl-C reaches it once, from us.
    fn start(&self, verb: &str, job_file: &Path, complaints: &File) -> Result<(Child, PassedOn)> {
        let stderr = complaints.try_clone().context("cannot share a temporary file; check TMPDIR")?;
        let mut command = Command::new(&self.path);
        command.args([verb.as_ref(), "--job".as_ref(), job_file.as_os_str()]);
        system::apart(&mut command);
        command.args(["--parent", &std::process::id().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        command.envs(KEEPING_MEMORY.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()));
        PassedOn::start(&mut command).map_err(|error| self.does_not_start(&error))
    }

    fn does_not_start(&self, error: &std::io::Error) -> anyhow::Error {
        anyhow!("`{}` does not start ({error}); install it again, or correct {VARIABLE}", self.path.display())
    }
}

/// What decides results of what the program says of itself: its version and libtorch's, not what else the machine offers.
pub(crate) fn deciding(versions: &Map<String, Value>) -> Map<String, Value> {
    let kept = versions.iter().filter(|(key, _)| !["threads", "devices"].contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn listen(stdout: ChildStdout, log: Option<&Path>, progress: &Progress) -> Result<Ending> {
    let mut log = log.map(open_log).transpose()?;
    let mut meter: Option<(String, Meter)> = None;
    let mut ending = Ending::Silent;
    for line in BufReader::new(stdout).lines() {
        let line = line.with_context(|| format!("cannot read what {PROGRAM} says"))?;
        match serde_json::from_str(&line) {
            Ok(Event::Step(step)) => {
                if let Some(log) = &mut log {
                    writeln!(log, "{line}").context("cannot write log.jsonl; free some space")?;
                }
                show(step, &mut meter, progress);
            }
            Ok(Event::Note { text }) => progress.note(&text),
            Ok(Event::Done(facts)) => ending = Ending::Done(facts),
            Ok(Event::Error { message }) => ending = Ending::Error(message),
            Err(_) => progress.note(&line),
        }
    }
    Ok(ending)
}

fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| anyhow!("cannot write `{}` ({error}); choose another --out", path.display()))
}

fn show(step: Step, meter: &mut Option<(String, Meter)>, progress: &Progress) {
    if meter.as_ref().is_none_or(|(phase, _)| *phase != step.phase) {
        // The bar of the phase before goes first.
        *meter = None;
        *meter = Some((step.phase.clone(), progress.begin(&step.phase)));
    }
    if let Some((_, meter)) = meter {
        let figure = |name: &str| Some((name.to_owned(), step.figures.get(name)?.as_f64()?));
        let figures = ["loss", "budget", "validation"].into_iter().filter_map(figure).collect();
        meter.tick(Tick { done: step.step, total: step.total, rate: step.rate, left: None, figures });
    }
}

/// Why a child ended without a word.
fn died(status: ExitStatus, complaints: &mut File) -> anyhow::Error {
    let mut bytes = Vec::new();
    // What it said is an extra; without it there is still the status.
    let _ = complaints.rewind().and_then(|()| complaints.read_to_end(&mut bytes));
    let said = String::from_utf8_lossy(&bytes);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let how = system::signal(status).map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
    anyhow!("{}", said.trim_end().to_owned()).context(format!("{PROGRAM} ended unexpectedly ({how}: {last}); {RESUME}"))
}
