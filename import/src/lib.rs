//! A third-party ONNX file as Espalier sees it: the bytes, a resolved graph, and what may be cut from it.
//!
//! Each of these knows only what stands above it in this list:
//!
//! - [`proto`]: the file format: messages, byte ranges, splicing.
//! - [`tensor`]: elements of constants; `sparse`: those that list few of them; [`external`]: data files beside a model.
//! - [`graph`]: values with types, shapes and known contents; nodes in order. Pure data.
//! - `labels`: which indices of axes go together, for lane rules to work on.
//! - [`reasons`]: what each reason means for which something is not cut.
//! - [`ops`]: the operator table, one file per operator family.
//! - `channels`: which axis of an input holds them; `compute`: elements of what is made from constants.
//! - `build`: from messages to a graph, by the table.
//! - `inline`: functions and known branches written out in place.
//! - [`lanes`]: which indices of which axes are cut together, what is pinned and why, what each costs.
//! - `model`: a file with its graph; [`batch`]: a copy of it that takes any batch; `differences`: what changed between two.

pub mod batch;
mod build;
mod channels;
mod compute;
mod differences;
pub mod external;
pub mod graph;
mod inline;
mod labels;
pub mod lanes;
mod model;
pub mod ops;
pub mod proto;
pub mod reasons;
mod sparse;
pub mod tensor;

pub use build::{BuildError, InputSizes};
pub use channels::{channel_axis, is_series};
pub use compute::compute;
pub use differences::{Changed, Differences, Moved};
pub use graph::Graph;
pub use inline::{InlineError, Inlined};
pub use model::{ImportError, Model};
pub use tensor::{DType, Tensor};
