//! What every search and every training shares.
//!
//! A *phase* is a number of steps over batches. [`drive`] runs one: it feeds batches that background threads prepared,
//! tells about each step, writes checkpoints, stops when asked, and goes back when the loss runs away ([`guard`]). What a step does is the phase's own.

pub mod batch_norm;
pub mod batch_sizes;
pub mod checkpoint;
pub mod drive;
pub mod feed;
pub mod guard;
pub mod losses;
pub mod optimiser;
pub mod rate;
pub mod sam;
pub mod samples;
pub mod schedule;
pub mod statistics;
pub mod teacher;
pub mod team;
pub mod validate;
pub mod weights;

pub use drive::{Begun, Clock, Phase, Progress, Rehearsal, drive, rehearse};
