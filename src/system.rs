//! What this room asks of the operating system, and does without on one that has no such thing. No other file here names
//! a system.

use std::process::{Child, Command, ExitStatus};

/// What the system says of the processor; empty where it says nothing.
pub(crate) fn processor() -> String {
    std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

/// Bytes of memory that are free, where the system says.
pub(crate) fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(unix)]
mod processes {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use rustix::process::{Pid, Signal, kill_process};

    use super::{Child, Command, ExitStatus};

    /// A child that can be sent a signal.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Process(Pid);

    impl Process {
        pub(crate) fn of(child: &Child) -> Option<Self> {
            i32::try_from(child.id()).ok().and_then(Pid::from_raw).map(Self)
        }

        /// Asks it to stop as Ctrl-C does. One that has just ended needs no signal.
        pub(crate) fn interrupt(self) {
            let _ = kill_process(self.0, Signal::INT);
        }
    }

    /// Starts the program in a process group of its own, which Ctrl-C in the terminal does not reach.
    pub(crate) fn apart(command: &mut Command) {
        command.process_group(0);
    }

    /// The signal that ended a process.
    pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
        status.signal()
    }

    /// Ends this process without what `std::process::exit` does first: that takes ONNX Runtime's globals down under threads
    /// that still compute, and the process crashes instead of ending with its status.
    pub(crate) fn exit(status: i32) -> ! {
        signal_hook::low_level::exit(status)
    }
}

#[cfg(not(unix))]
mod processes {
    use super::{Child, Command, ExitStatus};

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Process;

    impl Process {
        pub(crate) fn of(_child: &Child) -> Option<Self> {
            None
        }

        pub(crate) fn interrupt(self) {}
    }

    pub(crate) fn apart(_command: &mut Command) {}

    pub(crate) fn signal(_status: ExitStatus) -> Option<i32> {
        None
    }

    pub(crate) fn exit(status: i32) -> ! {
        std::process::exit(status)
    }
}

pub(crate) use processes::{Process, apart, exit, signal};
