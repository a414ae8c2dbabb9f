//! Results on stdout, as text or as one JSON document; errors on stderr, and the exit status that goes with each.
//!
//! A reader that goes away early (`espalier inspect | head`) is no error.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use import::proto::is_standard_output;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::interrupt::Interrupted;
use crate::shared::{Format, Shared};
use crate::stderr::complain;

/// The version of every JSON document.
pub(crate) const SCHEMA: u32 = 1;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Good,
    /// A check did not hold; the result says which.
    CheckFailed,
}

impl Outcome {
    /// Good when it holds.
    pub(crate) fn of(holds: bool) -> Self {
        if holds { Self::Good } else { Self::CheckFailed }
    }

    /// 0 or 1.
    pub(crate) fn status(self) -> ExitCode {
        match self {
            Self::Good => ExitCode::SUCCESS,
            Self::CheckFailed => ExitCode::from(1),
        }
    }
}

/// How results and errors are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    format: Format,
    verbose: bool,
    /// Results go to stderr, since a model goes to stdout.
    aside: bool,
}

impl Console {
    /// As the flags say.
    pub(crate) fn of(shared: &Shared) -> Self {
        Self { format: shared.format, verbose: shared.verbose, aside: false }
    }

    /// Results beside an output: on stderr where the output itself is standard output.
    pub(crate) fn beside(self, out: &Path) -> Self {
        Self { aside: is_standard_output(out), ..self }
    }

    /// Gives a result: `text` for people, or `document` with its schema and command for programs.
    ///
    /// # Errors
    /// When stdout cannot be written, for another reason than that nobody reads it.
    pub(crate) fn result(self, command: &str, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let result = match self.format {
            Format::Text => text(),
            Format::Json => format!("{:#}\n", with_header(command, serde_json::to_value(document)?)),
        };
        if self.aside {
            complain(result.trim_end());
            return Ok(());
        }
        print(&result)
    }

    /// Tells why a command could not do its work, and gives 2, or 130 when it was interrupted.
    pub(crate) fn failure(self, command: &str, error: &anyhow::Error) -> ExitCode {
        complain(&self.sentence(error));
        if self.format == Format::Json {
            let document = with_header(command, json!({ "error": error.to_string() }));
            // The human line is out; nothing is left to tell the failure of this one to.
            let _ = print(&format!("{document:#}\n"));
        }
        if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::from(2) }
    }

    fn sentence(self, error: &anyhow::Error) -> String {
        let mut text = format!("espalier: {error}");
        if self.verbose {
            for cause in error.chain().skip(1) {
                text.push_str(&format!("\n  because: {cause}"));
            }
        }
        text
    }
}

/// Tells what clap has to say: help and version on stdout with status 0, a usage error on stderr with status 2.
pub(crate) fn usage(message: &clap::Error) -> ExitCode {
    // A closed pipe is the only likely failure, and nobody is left to tell.
    let _ = message.print();
    if message.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write the result to stdout ({error}); redirect it to a place with space"))
        }
        _ => Ok(()),
    }
}

/// A document with its schema and command in front.
pub(crate) fn with_header(command: &str, document: Value) -> Value {
    let mut whole = Map::new();
    whole.insert("schema".to_owned(), json!(SCHEMA));
    whole.insert("command".to_owned(), json!(command));
    match document {
        Value::Object(fields) => whole.extend(fields),
        other => {
            whole.insert("result".to_owned(), other);
        }
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_begin_with_their_schema() {
        let document = with_header("eval", json!({ "accuracy": 0.5 }));
        assert_eq!(document.to_string(), r#"{"schema":1,"command":"eval","accuracy":0.5}"#);
    }

    #[test]
    fn causes_are_told_only_when_asked() {
        let error = anyhow!("the disk is full").context("cannot write `a`");
        let told = |verbose| Console { format: Format::Text, verbose, aside: false };
        assert_eq!(told(false).sentence(&error), "espalier: cannot write `a`");
        assert_eq!(told(true).sentence(&error), "espalier: cannot write `a`\n  because: the disk is full");
    }
}
