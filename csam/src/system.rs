//! What this room asks of the operating system, and does without on one that has no such thing. No other file here names
//! a system.

use crate::CsamError;

/// Has the system kill this process when its parent ends, whatever ends it: nobody would read the outcome, and a program
/// that goes on may write over what a later run wrote.
///
/// # Errors
/// The parent is not, or no longer, the process with this id.
#[cfg(target_os = "linux")]
pub fn end_with(parent: i32) -> Result<(), CsamError> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| CsamError::Torch(error.to_string()))?;
    // It may have ended before the line above.
    if getppid().is_some_and(|found| found.as_raw_pid() == parent) {
        Ok(())
    } else {
        Err(CsamError::Orphaned { parent })
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(missing_docs, reason = "said above")]
pub fn end_with(_parent: i32) -> Result<(), CsamError> {
    Ok(())
}

/// The files that this process has mapped, one a line; none where the system does not say.
pub(crate) fn mapped_files() -> Option<String> {
    std::fs::read_to_string("/proc/self/maps").ok()
}
