//! Certificates: how often a prediction survives a random transformation, with the error of saying so.
//!
//! For an image x with class y, a law over transformations T and a right clean prediction, the *exact binomial*
//! certificate at (ε, α) holds when n draws show `P[class of x_T ≠ y] ≤ ε` with error at most α (Clopper–Pearson, in its
//! test form, curtailed). Beside it stands the Chernoff–Cramér figure. Draw j of image i under a law is a function of
//! (seed, law, i, j) alone, so that all models see the same transformed images and their differences are paired.
//!
//! - [`settings`] say what is asked, [`result`] what was found;
//! - `judge` follows the draws of one image through one model;
//! - `evaluate` makes the draws of one image and runs all models on them;
//! - [`engine`] does so for many images on all threads;
//! - `summary` turns verdicts into shares and comparisons.

pub mod engine;
mod evaluate;
mod judge;
pub mod result;
pub mod settings;
mod summary;

pub use self::engine::{Subject, certify};
pub use self::result::Certificate;
pub use self::settings::{Preset, Settings};
pub(crate) use self::summary::proportion;
