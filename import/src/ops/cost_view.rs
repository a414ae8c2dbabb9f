//! Work of a node as products of axis sizes, so that it is a function of how many lanes are kept.

use crate::graph::{Graph, Node, ValueId};

/// `coefficient × Π size(value, axis)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// The constant factor.
    pub coefficient: f64,
    /// Axes whose sizes are multiplied.
    pub axes: Vec<(ValueId, usize)>,
}

/// Work of one run of a node.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Multiply-accumulates.
    pub macs: Vec<Product>,
    /// Elementwise operations.
    pub elementwise: Vec<Product>,
}

/// A node whose work is asked.
pub struct CostView<'a> {
    /// The node.
    pub node: &'a Node,
    pub(crate) graph: &'a Graph,
}

impl CostView<'_> {
    /// The rank of a value, when known.
    pub fn rank(&self, value: ValueId) -> Option<usize> {
        self.graph.value(value).shape.as_ref().map(Vec::len)
    }

    /// All axes of a value.
    pub fn all_axes(&self, value: ValueId) -> Vec<(ValueId, usize)> {
        (0..self.rank(value).unwrap_or(0)).map(|axis| (value, axis)).collect()
    }

    /// No work: layout and shape arithmetic.
    pub fn free(_: &CostView) -> Cost {
        Cost::default()
    }

    /// One elementwise operation per element of the first output.
    pub fn per_output_element(view: &CostView) -> Cost {
        let Some(output) = view.node.output(0) else { return Cost::default() };
        let elementwise = vec![Product { coefficient: 1.0, axes: view.all_axes(output) }];
        Cost { macs: Vec::new(), elementwise }
    }

    /// One multiply-accumulate per element of the first output and per element of the given contracted axes.
    pub fn contraction(&self, contracted: Vec<(ValueId, usize)>) -> Cost {
        let Some(output) = self.node.output(0) else { return Cost::default() };
        let mut axes = self.all_axes(output);
        axes.extend(contracted);
        Cost { macs: vec![Product { coefficient: 1.0, axes }], elementwise: Vec::new() }
    }
}
