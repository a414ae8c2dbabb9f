//! What every command gets.

use crate::output::Console;
use crate::progress::Progress;
use crate::shared::Shared;

/// What every command gets.
pub(crate) struct Context {
    /// The flags of every command.
    pub(crate) shared: Shared,
    /// Where results go.
    pub(crate) told: Console,
    /// Where progress goes.
    pub(crate) progress: Progress,
}
