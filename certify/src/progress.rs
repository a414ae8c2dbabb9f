//! What a long measurement says while it runs.

/// One thing to tell; who listens decides how to show it.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// How long the whole will take at most, measured on a few images; told before the work begins.
    Estimate {
        /// Seconds.
        seconds: f64,
        /// Evaluations of a network on one image.
        evaluations: u64,
    },
    /// So much is done.
    Step {
        /// What is being done.
        phase: &'static str,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// A sentence the user should read.
    Note(String),
}
