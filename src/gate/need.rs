//! What a check takes, worked out before anything runs.

use std::collections::{HashMap, HashSet};

use import::graph::{Dim, Graph, ValueId};
use import::lanes::Lanes;

/// Copies of what one run shows: in the runtime, taken out, and on the indices that stay.
const SHOWN_COPIES: f64 = 3.0;
/// A runtime holds weights as the file has them, and packed.
const WEIGHT_COPIES: f64 = 3.0;
/// Program and library.
const BASE: f64 = 200e6;

/// Bytes of one sample through the files of a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    weights: f64,
    /// What readers read and the network gives: kept until the end of a run, and compared.
    shown: f64,
    /// The most of all values that lives at one time.
    between: f64,
}

/// How a check is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Effort {
    /// Runs of each file.
    pub(super) runs: usize,
    /// Samples in one run.
    pub(super) samples: usize,
    /// The share of the declared size that is fed.
    pub(super) scale: f64,
    /// Parts in which reading sites are looked at, one after another.
    pub(super) groups: usize,
}

impl Need {
    /// Of a network; sizes that its inputs leave open count as `open`, its batch and sizes that nobody knows as 1: what
    /// is not known refuses nothing, and the process of the check has a limit of its own.
    pub(super) fn of(graph: &Graph, lanes: &Lanes, open: usize) -> Self {
        let batch = graph.batch().map_or(&[][..], Dim::symbols);
        let inputs = graph.inputs.iter().filter_map(|&input| graph.value(input).shape.as_ref());
        let sides: HashSet<_> = inputs.flatten().flat_map(Dim::symbols).filter(|it| !batch.contains(it)).collect();
        let size = |dim: &Dim| {
            let unknown = dim.symbols().iter().filter(|symbol| sides.contains(symbol)).count();
            dim.at(1) * (open as f64).powi(unknown as i32)
        };
        let bytes = |id: ValueId| {
            let value = graph.value(id);
            let elements: f64 = value.shape.iter().flatten().map(size).product();
            elements * value.dtype.map_or(4.0, |dtype| dtype.bits() as f64 / 8.0)
        };
        let shown = shown(graph, lanes);
        Self {
            weights: graph.stored.iter().map(|stored| stored.tensor.data.len() as f64).sum(),
            shown: shown.iter().map(|&id| bytes(id)).sum(),
            between: most_alive(graph, bytes),
        }
    }

    /// Bytes of a whole check.
    pub(super) fn bytes(&self, effort: Effort) -> f64 {
        let samples = effort.samples as f64 * effort.scale;
        let shown = self.shown * samples / effort.groups as f64 * (effort.runs as f64 + SHOWN_COPIES);
        BASE + WEIGHT_COPIES * self.weights + shown + self.between * samples
    }
}

/// What readers read, and the outputs.
fn shown(graph: &Graph, lanes: &Lanes) -> HashSet<ValueId> {
    let read = lanes.readers.iter().filter_map(|reader| graph.node(reader.node).input(reader.data));
    read.chain(graph.outputs.iter().copied()).collect()
}

/// The most bytes of computed values that live at one time: each from its node to its last reader.
fn most_alive(graph: &Graph, bytes: impl Fn(ValueId) -> f64) -> f64 {
    let mut last = HashMap::new();
    for (id, node) in graph.nodes() {
        let read = node.inputs.iter().flatten().chain(&node.captures);
        last.extend(read.map(|&value| (value, id)));
    }
    let (mut alive, mut most) = (0.0, 0.0f64);
    let mut ends: HashMap<_, Vec<ValueId>> = HashMap::new();
    for (id, node) in graph.nodes() {
        for &value in node.outputs.iter().flatten() {
            alive += bytes(value);
            if let Some(&end) = last.get(&value) {
                ends.entry(end).or_default().push(value);
            }
        }
        most = most.max(alive);
        for value in ends.remove(&id).unwrap_or_default() {
            alive -= bytes(value);
        }
    }
    most
}
