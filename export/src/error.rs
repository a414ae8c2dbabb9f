//! Why a plan could not be carried out.

use std::path::PathBuf;

use import::{
    lanes::PlanError,
    proto::{ProtoError, WriteError, splice::SpliceError},
    tensor::TensorError,
};

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The plan does not fit the model.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The edits cannot be spliced into the file.
    #[error(transparent)]
    Splice(#[from] SpliceError),
    /// A stored tensor cannot be read or made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The result could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The result does not read as a model, which is a fault of this program.
    #[error("the file made from the plan is not a model ({0}); please report this")]
    Result(#[from] ProtoError),
    /// The plan's tensors cannot be read.
    #[error("the plan's tensors `{}` cannot be read ({reason}); make the plan again", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The plan replaces a tensor and does not bring it.
    #[error("the plan replaces `{tensor}`, which its `tensors.safetensors` does not hold; keep the two files together")]
    Missing {
        /// The stored tensor.
        tensor: String,
    },
    /// A replaced tensor has neither the dense nor the slim shape it says it has.
    #[error(
        "the plan gives `{tensor}` the shape {found:?}, and {expected:?} is needed; make the plan again for this model"
    )]
    WrongShape {
        /// The stored tensor.
        tensor: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The shape the plan gives.
        found: Vec<usize>,
    },
    /// The plan removes every index of an axis.
    #[error("the plan leaves nothing of axis {axis} of `{value}`; keep at least one lane there")]
    NothingLeft {
        /// The value or stored tensor.
        value: String,
        /// Its axis.
        axis: usize,
    },
    /// A fill at a place where no constant can stand in for a lane.
    #[error(
        "the plan fills axis {axis} of the weight of node {node}, where no constant can stand in for a lane; leave that fill out"
    )]
    NoFill {
        /// The node's position in the file.
        node: usize,
        /// The weight's axis.
        axis: usize,
    },
    /// Two fills for one reader.
    #[error("the plan fills node {node} twice; give all its means in one fill")]
    FilledTwice {
        /// The node's position in the file.
        node: usize,
    },
    /// A constant that the cut would change cannot be worked out.
    #[error(
        "{node} reads `{value}`, which is made from weights in a way that a cut would change and this program cannot \
         work out; keep those weights with --keep, or simplify the model first"
    )]
    Uncomputed {
        /// The reading node.
        node: String,
        /// What it reads.
        value: String,
    },
    /// A masked twin cannot be made.
    #[error(
        "{node} reads removed lanes against a computed weight, which cannot be checked in operator set {opset}; \
         keep those lanes with --keep, or convert the model to operator set 13"
    )]
    NoTwin {
        /// The reading node.
        node: String,
        /// The version of the operator set.
        opset: i64,
    },
    /// A removed lane is read from a value whose type or rank is unknown.
    #[error(
        "{node} reads removed lanes from `{value}`, whose type is not known; run ONNX shape inference on the model first"
    )]
    UnknownType {
        /// The reading node.
        node: String,
        /// The value it reads.
        value: String,
    },
}
