//! Evidence: what a smaller network kept.
//!
//! - [`runtimes`] execute ONNX files, in this process or in one of their own;
//! - [`agreement`] is whether two of them, or two files, give the same answers;
//! - [`answers`] is whether a smaller network still answers what the large one does, without labels;
//! - [`certificate`] is how often predictions survive random transformations, with the error of saying so;
//! - [`accuracy`] and [`latency`] are what they say;
//! - [`statistics`] are pure functions of counts.

pub mod accuracy;
pub mod agreement;
pub mod answers;
pub mod certificate;
mod error;
pub mod latency;
mod progress;
pub mod runtimes;
mod scores;
pub mod statistics;
mod system;

pub use error::CertifyError;
pub use progress::Progress;
