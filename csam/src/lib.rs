//! The search for what to remove, and the training that repairs what was cut. The only room that links libtorch.
//!
//! - [`network`]: an imported graph as a torch module with masks on its weights;
//! - [`methods`]: how lanes are ranked and chosen, one file each, C-SAM among them;
//! - [`train`]: what every search and every training shares: data, optimiser, losses, checkpoints;
//! - [`search`] and [`tune`]: the two commands of `espalier-torch` that end in a plan;
//! - [`check`]: everything that they do before their first step, for a dry run;
//! - [`run`]: running a model on given inputs;
//! - [`events`]: what goes out as JSON lines; what comes in is a [`Job`](job::Job).

pub mod check;
pub mod error;
pub mod events;
mod fresh;
pub mod methods;
pub mod network;
pub mod output;
pub mod run;
pub mod search;
pub mod session;
pub mod setup;
pub mod subject;
pub mod system;
pub mod train;
pub mod tune;
pub mod versions;

pub use error::CsamError;
