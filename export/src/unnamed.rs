//! Outputs without a name, of nodes that make as many as the file names: ONNX Runtime crashes on some of them, whoever
//! reads what.

use bytes::Bytes;
use import::ops::row_of;

use crate::{draft::Draft, note::Note};

/// Gives every such output a name.
pub(crate) fn name(draft: &mut Draft<'_>) -> Vec<Note> {
    let graph = &draft.model.graph;
    let mut notes = Vec::new();
    for node in graph.nodes.iter().filter(|node| row_of(node).is_some_and(|row| row.variadic)) {
        let unnamed: Vec<usize> = (0..node.outputs.len()).filter(|&output| node.output(output).is_none()).collect();
        for &output in &unnamed {
            let name = draft.fresh_name("unread");
            draft.node_mut(node).output[output] = Bytes::from(name);
        }
        if !unnamed.is_empty() {
            notes.push(Note::Named { node: node.to_string(), outputs: unnamed.len() });
        }
    }
    notes
}
