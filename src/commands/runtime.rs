//! `espalier runtime`: one runtime in this process. `espalier` starts it, so that a crash ends only this.

use std::ffi::OsString;

use anyhow::Result;
use certify::agreement::twin;
use certify::runtimes::child::{Request, serve};
use clap::Args;

use crate::output::Outcome;

/// The words of the request; `certify` writes and reads them.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(super) fn run(flags: &Flags) -> Result<Outcome> {
    if let [argument, job] = flags.words.as_slice()
        && argument == twin::ARGUMENT
    {
        twin::serve(job.as_ref())?;
        return Ok(Outcome::Good);
    }
    serve(&Request::from_arguments(flags.words.iter().cloned())?)?;
    Ok(Outcome::Good)
}
