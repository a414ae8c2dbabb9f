//! The checks in a process of their own: ONNX Runtime that crashes on a file takes only that process with it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::{Job, TwinReport, check};
use crate::error::CertifyError;
use crate::runtimes::child::launch::{Fault, Launcher, supervise};
use crate::system;

/// The argument that asks a runtime process for a check; a job file follows.
pub const ARGUMENT: &str = "--twin";

/// Runs the checks in a child process; `folder` takes the files between the two.
///
/// # Errors
/// When those files cannot be made. What the child does is a report or a fault.
pub fn check_in_child(
    launcher: &Launcher,
    job: &Job,
    folder: &Path,
) -> Result<Result<TwinReport, Fault>, CertifyError> {
    let file = folder.join("job.json");
    write(&file, job)?;
    let arguments = [OsString::from(ARGUMENT), file.clone().into_os_string()];
    if let Some(fault) = supervise(launcher, &launcher.own, &arguments, &folder.join("stderr"))? {
        return Ok(Err(fault));
    }
    Ok(Ok(read(&answer(&file))?))
}

/// The child's side: does what the job file asks, and writes the report beside it.
///
/// # Errors
/// What [`check`] reports, or a file that cannot be read or written.
pub fn serve(job: &Path) -> Result<(), CertifyError> {
    let file = job;
    let job: Job = read(file)?;
    if let Some(memory) = job.memory {
        system::limit_memory(memory);
    }
    write(&answer(file), &check(&job)?)
}

fn answer(job: &Path) -> PathBuf {
    job.with_extension("report.json")
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), CertifyError> {
    let failed = |source| CertifyError::File { path: path.to_path_buf(), source };
    let mut writer = BufWriter::new(File::create(path).map_err(failed)?);
    serde_json::to_writer(&mut writer, value).map_err(|error| failed(error.into()))?;
    writer.flush().map_err(failed)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CertifyError> {
    let failed = |source| CertifyError::File { path: path.to_path_buf(), source };
    let reader = BufReader::new(File::open(path).map_err(failed)?);
    serde_json::from_reader(reader).map_err(|error| failed(error.into()))
}
