//! A third-party ONNX file as Espalier sees it: the bytes, a resolved graph, and what may be cut from it.
//!
//! - [`proto`]: the file format: messages, byte ranges, splicing.
//! - [`graph`]: values with types, shapes and known contents; nodes in order.
//! - [`ops`]: the operator table, one file per operator family.
//! - [`lanes`]: which indices of which axes go together, what is pinned and why, what each costs.

pub mod graph;
pub mod lanes;
mod model;
pub mod ops;
pub mod proto;
pub mod tensor;

pub use graph::Graph;
pub use model::{ImportError, Model};
pub use tensor::{DType, Tensor};
