//! Nodes that draw random numbers draw the same ones in every file of a check.

use import::{
    ops::draws_random,
    proto::onnx::{AttributeProto, AttributeType, text},
};

use crate::{draft::Draft, nodes::attribute};

/// Any fixed seed serves.
const SEED: f32 = 1.0;

/// Gives a seed to every node that draws and has none.
pub(super) fn seed(draft: &mut Draft<'_>) {
    let graph = &draft.model.graph;
    for node in graph.nodes.iter().filter(|node| draws_random(&node.domain, &node.op)) {
        let attributes = &mut draft.node_mut(node).attribute;
        if !attributes.iter().any(|it| text(&it.name) == "seed") {
            attributes.push(AttributeProto { f: Some(SEED), ..attribute("seed", AttributeType::Float) });
        }
    }
}
