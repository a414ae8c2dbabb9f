//! What this room asks of the operating system, and does without on one that has no such thing. No other file here names
//! a system.

use std::process::{Command, ExitStatus};

/// Keeps this process to so many bytes, where the system can: what was worked out may be wrong, and a machine that runs
/// out of memory ends other programs.
#[cfg(unix)]
pub(crate) fn limit_memory(memory: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let known = getrlimit(Resource::Data);
    let current = known.maximum.map_or(memory, |most| memory.min(most));
    // A system that refuses has its own limits.
    let _ = setrlimit(Resource::Data, Rlimit { current: Some(current), ..known });
}

#[cfg(not(unix))]
pub(crate) fn limit_memory(_: u64) {}

/// Has the system end the child when this process ends, however that comes about.
#[cfg(target_os = "linux")]
pub(crate) fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that ended before this was asked sends no signal any more.
        if getppid() == Some(parent) { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(ask) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent(_command: &mut Command) {}

/// The signal that ended a process.
#[cfg(unix)]
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
pub(crate) fn signal(_: ExitStatus) -> Option<i32> {
    None
}
