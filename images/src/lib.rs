//! Pictures: where they come from, how a network wants them, and how the world changes them.
//!
//! - [`data`] opens image sets of several forms, recognised by their content;
//! - [`procedural`] draws an image set from nothing;
//! - [`preprocess`] turns a stored [`Picture`] into [`Pixels`] and those into a network's input;
//! - [`intake`] says what each input of a network is fed: a picture, an array, or random numbers;
//! - [`laws`] are the random transformations that certificates are about;
//! - [`augment`] are the random changes of training;
//! - [`values`] are the elements of tensors, in their own types;
//! - [`draw`] makes every random number a function of what it is for.

pub mod augment;
pub mod data;
pub mod draw;
pub mod intake;
mod jpeg;
pub mod laws;
mod picture;
pub mod preprocess;
pub mod procedural;
pub mod values;

pub use picture::{Picture, PictureError, Pixels};
