//! Scores of lanes that need no data.
//!
//! - [`Criterion`]: what is measured of a lane at one tensor;
//! - [`Score`], [`of`]: how that becomes one number, and is held against the other lanes of its group.

mod criterion;
mod site;
mod weigh;

pub use criterion::Criterion;
pub use weigh::{Normalise, Reduce, Score, magnitude, of};
