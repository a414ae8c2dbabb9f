//! Carrying out a plan: the slim file, and the masked twin that checks it.
//!
//! - [`cut`]: a plan becomes a spliced file; what it does not touch is byte for byte what it was.
//! - [`twin`]: the original with removed lanes masked, made from labels alone; it must compute
//!   what the slim file computes.
//! - [`Tensors`]: the new elements a plan brings along.

pub mod cut;
mod draft;
mod error;
mod live;
mod nodes;
mod note;
mod output;
mod places;
mod settle;
mod tapped;
mod tensors;
pub mod twin;
mod unnamed;

pub use cut::{CutAxis, SlimFile, cut};
pub use error::ExportError;
pub use note::Note;
pub use tapped::write_tapped;
pub use tensors::Tensors;
pub use twin::{Form, Part, Tap, Twin, TwinFiles, twin};
