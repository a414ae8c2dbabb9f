//! Work and parameters as functions of the lanes that are kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::lane::{LaneId, Slot};
use super::parameters::{is_parameter, sources, trainable};
use super::quantized::quantised;
use crate::graph::{Dim, Graph, Node, Origin, StoredId, Value, ValueId};
use crate::ops::{self, CostView, Product};
use crate::tensor::DType;

/// Sums of products of axis sizes. Unknown sizes, the batch first of all, count as 1.
#[derive(Clone, Debug, Default)]
pub struct CostModel {
    /// The distinct axis sizes.
    pub widths: Vec<Width>,
    /// Multiply-accumulates of one image.
    pub macs: Vec<Term>,
    /// Elements of stored tensors that are parameters.
    pub params: Vec<Term>,
    /// Nodes whose multiply-accumulates leave out sizes that are not known, apart from the batch.
    pub unsized_nodes: usize,
    /// Nodes that may multiply and accumulate and are not understood, so that nothing is counted for them.
    pub uncounted_nodes: usize,
    /// Places that hold parameters which are not counted: subgraphs, functions, sparse constants.
    pub uncounted_parameters: usize,
}

/// `constant + Σ count · kept(lane)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Width {
    /// Indices that are never cut.
    pub constant: f64,
    /// How often each lane occurs.
    pub lanes: Vec<(LaneId, f64)>,
}

/// `coefficient · Π width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The constant factor.
    pub coefficient: f64,
    /// Indices into [`CostModel::widths`].
    pub widths: Vec<usize>,
}

impl CostModel {
    /// The cost of a graph of which nothing is cut.
    pub fn whole(graph: &Graph) -> Self {
        Self::of(graph, &HashMap::new())
    }

    pub(crate) fn of(graph: &Graph, slots: &HashMap<(ValueId, usize), Arc<[Slot]>>) -> Self {
        let mut model = Self::default();
        let mut known = HashMap::new();
        // A batch that the file fixes is counted in every product.
        let images = graph.batch().map_or(1.0, |batch| batch.at(1)).max(1.0);
        for (_, node) in graph.nodes() {
            let Some(row) = ops::row_of(node) else {
                model.uncounted_nodes += usize::from(ops::may_contract(node));
                model.uncounted_parameters += usize::from(ops::may_hold_parameters(node));
                continue;
            };
            let macs = (row.cost)(&CostView { node, graph }).macs;
            model.unsized_nodes += usize::from(!macs.iter().all(|product| is_sized(graph, node, product)));
            for product in macs {
                let product = Product { coefficient: product.coefficient / images, ..product };
                let term = model.term(graph, slots, &mut known, &product);
                model.macs.push(term);
            }
        }
        model.uncounted_parameters += graph.values.iter().filter(|value| is_uncounted(value)).count();
        for stored in counted(graph) {
            let stored = graph.stored(stored);
            let axes = (0..stored.tensor.shape.len()).map(|axis| (stored.value, axis)).collect();
            let term = model.term(graph, slots, &mut known, &Product { coefficient: 1.0, axes });
            model.params.push(term);
        }
        model
    }

    fn term(
        &mut self,
        graph: &Graph,
        slots: &HashMap<(ValueId, usize), Arc<[Slot]>>,
        known: &mut HashMap<(ValueId, usize), usize>,
        product: &Product,
    ) -> Term {
        let mut term = Term { coefficient: product.coefficient, widths: Vec::new() };
        for &place in &product.axes {
            match slots.get(&place) {
                None => term.coefficient *= plain_size(graph, place),
                Some(slots) => {
                    let next = self.widths.len();
                    let width = *known.entry(place).or_insert(next);
                    if width == next {
                        self.widths.push(Width::of(slots));
                    }
                    term.widths.push(width);
                }
            }
        }
        term
    }

    /// Multiply-accumulates of one image; `kept` holds a number in [0, 1] per lane.
    pub fn macs(&self, kept: &[f64]) -> f64 {
        self.sum(&self.macs, kept)
    }

    /// Elements of parameters.
    pub fn params(&self, kept: &[f64]) -> f64 {
        self.sum(&self.params, kept)
    }

    fn sum(&self, terms: &[Term], kept: &[f64]) -> f64 {
        let widths: Vec<f64> = self.widths.iter().map(|w| w.size(kept)).collect();
        terms.iter().fold(0.0, |sum, term| sum + term.value(&widths))
    }
}

/// A quantity of a choice of lanes that changes one lane at a time: only what the lane touches is summed anew.
#[derive(Debug)]
pub(super) struct Running<'a> {
    terms: &'a [Term],
    /// Widths in which a lane occurs, and how often.
    widths_of: Vec<Vec<(usize, f64)>>,
    /// Terms in which a width occurs.
    terms_of: Vec<Vec<usize>>,
    sizes: Vec<f64>,
    total: f64,
}

impl<'a> Running<'a> {
    /// The sum of some terms of a model for given kept lanes.
    pub(super) fn new(model: &'a CostModel, terms: &'a [Term], kept: &[f64]) -> Self {
        let mut widths_of = vec![Vec::new(); kept.len()];
        for (place, width) in model.widths.iter().enumerate() {
            width.lanes.iter().for_each(|&(lane, count)| widths_of[lane.0 as usize].push((place, count)));
        }
        let mut terms_of = vec![Vec::new(); model.widths.len()];
        for (place, term) in terms.iter().enumerate() {
            term.widths.iter().for_each(|&width| terms_of[width].push(place));
        }
        let sizes: Vec<f64> = model.widths.iter().map(|width| width.size(kept)).collect();
        let total = terms.iter().map(|term| term.value(&sizes)).sum();
        Self { terms, widths_of, terms_of, sizes, total }
    }

    /// The sum, up to the rounding of differences.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// Keeps a lane, or drops one with `share` −1.
    pub(super) fn add(&mut self, lane: LaneId, share: f64) {
        let touched = std::mem::take(&mut self.widths_of[lane.0 as usize]);
        let mut terms: Vec<usize> = touched.iter().flat_map(|&(width, _)| &self.terms_of[width]).copied().collect();
        terms.sort_unstable();
        terms.dedup();
        let sum = |sizes: &[f64]| terms.iter().map(|&term| self.terms[term].value(sizes)).sum::<f64>();
        let before = sum(&self.sizes);
        touched.iter().for_each(|&(width, count)| self.sizes[width] += share * count);
        self.total += sum(&self.sizes) - before;
        self.widths_of[lane.0 as usize] = touched;
    }
}

impl Term {
    fn value(&self, sizes: &[f64]) -> f64 {
        self.widths.iter().fold(self.coefficient, |all, &width| all * sizes[width])
    }
}

impl Width {
    fn of(slots: &[Slot]) -> Self {
        let mut there: Vec<LaneId> = slots.iter().flatten().copied().collect();
        there.sort_unstable();
        let lanes = there.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect();
        Self { constant: (slots.len() - there.len()) as f64, lanes }
    }

    /// The size for given kept lanes.
    pub fn size(&self, kept: &[f64]) -> f64 {
        self.lanes.iter().fold(self.constant, |all, (lane, count)| all + count * kept[lane.0 as usize])
    }
}

fn plain_size(graph: &Graph, (value, axis): (ValueId, usize)) -> f64 {
    let size = graph.value(value).shape.as_ref().and_then(|shape| shape.get(axis));
    size.map_or(1.0, |size| size.at(1))
}

/// Whether all sizes in a product of the node's are known, or multiples of the batch.
fn is_sized(graph: &Graph, node: &Node, product: &Product) -> bool {
    let batch = graph.batch().map_or(&[][..], Dim::symbols);
    let sized = |size: &Dim| size.symbols().iter().all(|symbol| batch.contains(symbol));
    // An output of unknown rank would contribute no axis at all.
    let ranked = node.output(0).is_some_and(|output| graph.value(output).shape.is_some());
    let size = |&(value, axis): &(ValueId, usize)| graph.value(value).shape.as_ref()?.get(axis);
    ranked && product.axes.iter().all(|place| size(place).is_some_and(sized))
}

/// The trainable and the quantised tensors, and those that nodes read of which nothing else is known.
fn counted(graph: &Graph) -> BTreeSet<StoredId> {
    let unknown = graph.nodes.iter().filter(|node| node.row.is_none());
    let read = unknown.flat_map(|node| node.inputs.iter().flatten().chain(&node.captures)).copied();
    let read = read.filter(|&value| graph.value(value).constant).collect();
    let read = sources(graph, read).into_iter().filter(|&id| is_parameter(graph, id));
    read.chain(trainable(graph)).chain(quantised(graph)).collect()
}

/// Whether a value holds floats in a form that is not read, so that they are missing from the count of parameters.
fn is_uncounted(value: &Value) -> bool {
    value.origin == Origin::Unread && value.dtype.is_some_and(DType::is_float) && !value.readers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two axes that share a lane, and terms of one and of both.
    fn model() -> CostModel {
        let width = |constant, lanes: &[(u32, f64)]| Width {
            constant,
            lanes: lanes.iter().map(|&(lane, count)| (LaneId(lane), count)).collect(),
        };
        let term = |coefficient, widths: &[usize]| Term { coefficient, widths: widths.to_vec() };
        CostModel {
            widths: vec![width(1.0, &[(0, 1.0), (1, 4.0)]), width(0.0, &[(1, 1.0), (2, 1.0)])],
            macs: vec![term(9.0, &[0, 1]), term(2.0, &[1]), term(3.0, &[0, 0])],
            ..CostModel::default()
        }
    }

    #[test]
    fn a_running_sum_is_the_whole_sum() {
        let model = model();
        let mut kept = [1.0, 0.0, 0.0];
        let mut running = Running::new(&model, &model.macs, &kept);
        for (lane, share) in [(1, 1.0), (2, 1.0), (0, -1.0), (1, -1.0), (1, 1.0)] {
            running.add(LaneId(lane), share);
            kept[lane as usize] += share;
            assert!((running.total() - model.macs(&kept)).abs() < 1e-9, "{kept:?}");
        }
    }
}
