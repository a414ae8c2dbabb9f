//! Ctrl-C, `kill` (SIGTERM), and a closed terminal: passed on to a child that saves its work, else the end at once. Outputs
//! appear whole or not at all, and finished stages have their markers, so ending anywhere is safe.

use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::scratch;
use crate::stderr::complain;
use crate::system::{self, Process};

/// The user asked to stop. Leads to exit status 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {advice}")]
pub(crate) struct Interrupted {
    /// How to go on.
    pub(crate) advice: &'static str,
}

static ASKED: AtomicBool = AtomicBool::new(false);
/// The child that signals are passed on to.
static CHILD: Mutex<Option<Process>> = Mutex::new(None);

/// Listens for the signals from now on; `advice` says how to go on afterwards.
///
/// # Errors
/// When the system refuses the handler.
pub(crate) fn listen(advice: &'static str) -> Result<()> {
    ctrlc::set_handler(move || {
        ASKED.store(true, Ordering::SeqCst);
        match *child() {
            Some(process) => process.interrupt(),
            None => {
                complain(&format!("espalier: {}", Interrupted { advice }));
                scratch::remove();
                system::exit(130);
            }
        }
    })
    .context("this system gives no way to handle Ctrl-C")
}

/// Stops here when the user asked to.
///
/// # Errors
/// [`Interrupted`], with the advice given.
pub(crate) fn check(advice: &'static str) -> Result<()> {
    if ASKED.load(Ordering::SeqCst) { Err(Interrupted { advice }.into()) } else { Ok(()) }
}

/// Passes signals on to a child for as long as this lives.
pub(crate) struct PassedOn;

impl PassedOn {
    /// Starts a child that gets them. A signal that comes meanwhile waits until the child is known.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let mut slot = child();
        let started = command.spawn()?;
        *slot = Process::of(&started);
        Ok((started, Self))
    }
}

impl Drop for PassedOn {
    fn drop(&mut self) {
        *child() = None;
    }
}

fn child() -> MutexGuard<'static, Option<Process>> {
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}
