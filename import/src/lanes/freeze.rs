//! Constants and numbers that a cut would change: the cut gives them their dense value, without what is removed.
//!
//! A constant may be made from weights in a way that no slice of the weights gives a slice of it: standardised over its
//! inputs, divided by its norm. A number may count lanes and be used as data. Where either is read, the slim file holds
//! it as it was.

use std::collections::HashSet;

use crate::graph::{Graph, NodeId, ValueId};
use crate::labels::{Frozen, PinCode, Reason, State};

/// A constant that is made from more values than this is not frozen; what they lose is pinned.
const MOST_BEHIND: usize = 64;

/// Nor are more inputs than this: a file of little else than such constants is no network.
const MOST_FROZEN: usize = 1 << 14;

impl State {
    /// Follows constants that no slice of what they are made from gives a slice of: into what is made from them, or to
    /// where they are read.
    pub(crate) fn follow_frozen(&mut self, graph: &Graph, id: NodeId, is_computed: bool, mixes: bool) {
        let node = graph.node(id);
        let mut mixed: Vec<(usize, ValueId)> = Vec::new();
        for (input, value) in node.inputs.iter().enumerate() {
            mixed.extend(value.filter(|value| self.mixed.contains(value)).map(|value| (input, value)));
        }
        if is_computed {
            if mixes || !mixed.is_empty() {
                self.mixed.extend(node.outputs.iter().flatten());
            }
            return;
        }
        let reason = Reason { code: PinCode::NoExactForm, place: node.to_string() };
        let is_constant = node.output(0).is_some_and(|output| graph.value(output).constant);
        for (input, value) in mixed {
            match behind(graph, value).filter(|_| !is_constant && self.frozen.len() < MOST_FROZEN) {
                Some(values) => self.freeze(id, input, &values),
                None => self.pin_behind(graph, value, &reason),
            }
        }
        for &captured in node.captures.iter().filter(|captured| self.mixed.contains(captured)).collect::<Vec<_>>() {
            self.pin_behind(graph, captured, &reason);
        }
    }

    /// What the caller gets is not frozen.
    pub(crate) fn pin_frozen_outputs(&mut self, graph: &Graph) {
        for &output in graph.outputs.iter().filter(|&output| self.mixed.contains(output)).collect::<Vec<_>>() {
            let reason = Reason { code: PinCode::GraphOutput, place: graph.value(output).name.clone() };
            self.pin_behind(graph, output, &reason);
        }
    }

    /// Says that an input is to be given its dense value, where one of the values it is made from loses indices.
    fn freeze(&mut self, node: NodeId, input: usize, values: &[ValueId]) {
        let labelled = |&value: &ValueId| {
            let axes = self.layouts[value.0 as usize].iter().flatten().enumerate();
            axes.filter(|(_, axis)| axis.has_labels()).map(move |(axis, _)| (value, axis)).collect::<Vec<_>>()
        };
        let sites = values.iter().flat_map(labelled).collect();
        self.frozen.push(Frozen { node, input, sites });
    }

    /// Pins every label of what a value is made from. Each value is walked once, whatever is made from it.
    fn pin_behind(&mut self, graph: &Graph, value: ValueId, reason: &Reason) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            if self.pinned_behind.insert(value) {
                self.pin_axes(value, reason);
                open.extend(made_from(graph, value));
            }
        }
    }

    fn pin_axes(&mut self, value: ValueId, reason: &Reason) {
        let axes = self.layouts[value.0 as usize].iter().flatten();
        let labels: Vec<_> = axes.flat_map(|axis| axis.labels()).collect();
        labels.into_iter().for_each(|label| self.labels.pin(label, reason));
    }
}

fn made_from(graph: &Graph, value: ValueId) -> impl Iterator<Item = ValueId> + use<'_> {
    let node = graph.maker(value);
    node.into_iter().flat_map(|node| node.inputs.iter().flatten().copied())
}

/// A value and all that it is made from; `None` where that is too much.
fn behind(graph: &Graph, value: ValueId) -> Option<Vec<ValueId>> {
    let mut seen = HashSet::from([value]);
    let mut found = vec![value];
    let mut next = 0;
    while let Some(&value) = found.get(next) {
        next += 1;
        found.extend(made_from(graph, value).filter(|&value| seen.insert(value)));
        if found.len() > MOST_BEHIND {
            return None;
        }
    }
    Some(found)
}
