//! Which field numbers each message has, for finding those this program does not know.

use std::ops::Range;

use super::wire::{self, WireError};

/// The messages inside elements that edits can touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Attribute,
    Device,
    Dimension,
    Entry,
    Function,
    Graph,
    IntEntry,
    Map,
    Node,
    Opset,
    Segment,
    Sequence,
    Shape,
    ShardedDim,
    ShardingSpec,
    SimpleShardedDim,
    Sparse,
    Tensor,
    TensorAnnotation,
    TensorType,
    TwoScalars,
    Type,
    ValueInfo,
}

/// What a field number stands for.
enum Known {
    Leaf,
    Message(Message),
}

impl Message {
    /// What field `number` of this message is; `None` when this program does not know it.
    fn field(self, number: u32) -> Option<Known> {
        use Known::{Leaf, Message as Inner};
        let field = match (self, number) {
            (Self::Graph, 1) => Inner(Self::Node),
            (Self::Graph, 2 | 10) => Leaf,
            (Self::Graph, 5) => Inner(Self::Tensor),
            (Self::Graph, 11..=13) => Inner(Self::ValueInfo),
            (Self::Graph, 14) => Inner(Self::TensorAnnotation),
            (Self::Graph, 15) => Inner(Self::Sparse),
            (Self::Graph, 16) => Inner(Self::Entry),

            (Self::Node, 1..=4 | 6..=8) => Leaf,
            (Self::Node, 5) => Inner(Self::Attribute),
            (Self::Node, 9) => Inner(Self::Entry),
            (Self::Node, 10) => Inner(Self::Device),

            (Self::Attribute, 1..=4 | 7..=9 | 13 | 20 | 21) => Leaf,
            (Self::Attribute, 5 | 10) => Inner(Self::Tensor),
            (Self::Attribute, 6 | 11) => Inner(Self::Graph),
            (Self::Attribute, 14 | 15) => Inner(Self::Type),
            (Self::Attribute, 22 | 23) => Inner(Self::Sparse),

            (Self::Tensor, 3) => Inner(Self::Segment),
            (Self::Tensor, 1..=2 | 4..=12 | 14) => Leaf,
            (Self::Tensor, 13 | 16) => Inner(Self::Entry),
            (Self::Sparse, 1 | 2) => Inner(Self::Tensor),
            (Self::Sparse, 3) => Leaf,
            (Self::TensorAnnotation, 1) => Leaf,
            (Self::TensorAnnotation, 2) => Inner(Self::Entry),

            (Self::ValueInfo, 1 | 3) => Leaf,
            (Self::ValueInfo, 2) => Inner(Self::Type),
            (Self::ValueInfo, 4) => Inner(Self::Entry),
            (Self::Type, 1 | 8) => Inner(Self::TensorType),
            (Self::Type, 4 | 9) => Inner(Self::Sequence),
            (Self::Type, 5) => Inner(Self::Map),
            (Self::Type, 6) => Leaf,
            (Self::Type, 7) => Inner(Self::TwoScalars),
            (Self::TensorType, 1) => Leaf,
            (Self::TensorType, 2) => Inner(Self::Shape),
            (Self::Sequence, 1) => Inner(Self::Type),
            (Self::Map, 1) => Leaf,
            (Self::Map, 2) => Inner(Self::Type),
            (Self::Shape, 1) => Inner(Self::Dimension),
            (Self::Dimension, 1..=3) => Leaf,

            (Self::Function, 1 | 4..=6 | 8 | 10 | 13) => Leaf,
            (Self::Function, 7) => Inner(Self::Node),
            (Self::Function, 9) => Inner(Self::Opset),
            (Self::Function, 11) => Inner(Self::Attribute),
            (Self::Function, 12) => Inner(Self::ValueInfo),
            (Self::Function, 14) => Inner(Self::Entry),

            (Self::Device, 1 | 3) => Leaf,
            (Self::Device, 2) => Inner(Self::ShardingSpec),
            (Self::ShardingSpec, 1 | 2) => Leaf,
            (Self::ShardingSpec, 3) => Inner(Self::IntEntry),
            (Self::ShardingSpec, 4) => Inner(Self::ShardedDim),
            (Self::ShardedDim, 1) => Leaf,
            (Self::ShardedDim, 2) => Inner(Self::SimpleShardedDim),
            (Self::SimpleShardedDim, 1..=3) => Leaf,

            (Self::Entry | Self::IntEntry | Self::Opset | Self::Segment | Self::TwoScalars, 1 | 2) => Leaf,
            _ => return None,
        };
        Some(field)
    }
}

/// The number of the first field inside `range`, at any depth, that this program does not know.
pub(super) fn unknown_field(bytes: &[u8], range: Range<usize>, message: Message) -> Result<Option<u32>, WireError> {
    for field in wire::fields(bytes, range)? {
        let inner = match (message.field(field.number), field.payload) {
            (None, _) => Some(field.number),
            (Some(Known::Message(inner)), Some(payload)) => unknown_field(bytes, payload, inner)?,
            _ => None,
        };
        if inner.is_some() {
            return Ok(inner);
        }
    }
    Ok(None)
}
