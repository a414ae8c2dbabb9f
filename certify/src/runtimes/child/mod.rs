//! Runtimes in a process of their own, so that one that crashes or hangs on a model is a finding and not the end.
//!
//! The parent writes the inputs to a file and starts the program ([`launch`]); the program ([`serve`]) runs them and
//! writes the outputs to another. [`request`] are the arguments between them, [`exchange`] the files.

pub mod exchange;
pub mod launch;
pub mod request;
pub mod serve;

pub use self::launch::{Answer, Fault, Finding, Launcher, Program, run_in_child};
pub use self::request::Request;
pub use self::serve::serve;
