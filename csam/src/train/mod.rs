//! What every search and every training shares.
//!
//! A *phase* is a number of steps over batches. [`drive`] runs one: it feeds batches that a background thread prepared,
//! tells about each step, writes checkpoints, and stops when asked. What a step does is the phase's own.

pub mod batch_norm;
pub mod checkpoint;
pub mod drive;
pub mod feed;
pub mod losses;
pub mod optimiser;
pub mod sam;
pub mod samples;
pub mod schedule;
pub mod teacher;
pub mod team;
pub mod validate;
pub mod weights;

pub use drive::{Clock, Phase, Progress, drive};
