//! What an operator's lane rule sees of its node, and what it can say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::axis::{Axis, LABEL_LIMIT, Layout, fix, pin, reshape, unite};
use super::counted::Counted;
use super::label::{Label, Labels, PinCode, Reason};
use crate::graph::{Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::tensor::DType;

/// A place where a node contracts lanes of its data against a weight's read axis.
#[derive(Clone, Debug)]
pub(crate) struct RawReader {
    pub(crate) node: NodeId,
    pub(crate) data: (usize, usize),
    pub(crate) weight: (usize, usize),
    pub(crate) fillable: bool,
}

/// An input that the cut gives its dense value, without removed indices, where one of some axes loses any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The reading node.
    pub node: NodeId,
    /// Its input.
    pub input: usize,
    /// The axes that the value is made from.
    pub sites: Vec<(ValueId, usize)>,
}

/// Labels of all values, as far as propagation has come.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) labels: Labels,
    pub(crate) layouts: Vec<Option<Layout>>,
    pub(crate) readers: Vec<RawReader>,
    /// Labels on contracted axes of weights.
    pub(crate) contracted: Vec<Label>,
    /// Numbers that count lanes.
    pub(crate) counted: Counted,
    /// Constants that nodes fill with a number, whose labels are their own as those of stored tensors are.
    pub(crate) filled: BTreeSet<ValueId>,
    /// Constants that no slice of what they are made from gives a slice of.
    pub(crate) mixed: BTreeSet<ValueId>,
    /// Inputs that are given their dense value where a cut would change it.
    pub(crate) frozen: Vec<Frozen>,
    /// Axes of nodes' first inputs that are worked on as a whole, where lanes may lie.
    pub(crate) summaries: Vec<(NodeId, usize)>,
    /// Values whose labels are pinned, and those of all that they are made from.
    pub(crate) pinned_behind: BTreeSet<ValueId>,
}

/// A node whose lane rule runs.
pub struct LaneView<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) id: NodeId,
    pub(crate) state: &'a mut State,
    /// Whether the operator knows how to leave lanes out that it works on as a whole.
    pub(crate) leaves_out: bool,
    /// Whether the node makes a constant that can be worked out.
    pub(crate) is_computed: bool,
    /// Whether it does so by working on an axis as a whole.
    pub(crate) mixes: bool,
}

impl<'a> LaneView<'a> {
    /// The node.
    pub fn node(&self) -> &'a Node {
        self.graph.node(self.id)
    }

    /// How many labelled indices the node's rule may go over: those of its inputs, for every output anew.
    pub(crate) fn inputs_size(&self) -> usize {
        let node = self.node();
        let inputs = node.inputs.iter().flatten().chain(&node.captures);
        self.size(inputs).saturating_mul(node.outputs.len().max(1))
    }

    /// How many labelled indices its outputs have.
    pub(crate) fn outputs_size(&self) -> usize {
        self.size(self.node().outputs.iter().flatten())
    }

    fn size<'v>(&self, values: impl Iterator<Item = &'v ValueId>) -> usize {
        let axes = values.flat_map(|value| self.state.layouts[value.0 as usize].iter().flatten());
        axes.fold(0, |all, axis| all.saturating_add(axis.labelled_extent()))
    }

    /// The axes of an input; `None` when it is left out or its rank is unknown.
    pub(crate) fn layout(&self, input: usize) -> Option<Layout> {
        self.state.layouts[self.node().input(input)?.0 as usize].clone()
    }

    /// Sizes of the first output.
    pub(crate) fn output_shape(&self) -> Option<&'a Shape> {
        self.graph.value(self.node().output(0)?).shape.as_ref()
    }

    /// Sizes of an input.
    pub(crate) fn input_shape(&self, input: usize) -> Option<&'a Shape> {
        self.graph.value(self.node().input(input)?).shape.as_ref()
    }

    /// Sizes of an output.
    pub(crate) fn size_of(&self, output: usize, axis: usize) -> Option<&'a Dim> {
        self.graph.value(self.node().output(output)?).shape.as_ref()?.get(axis)
    }

    /// A list given as an attribute in older revisions and as an input in newer ones.
    pub(crate) fn list(&self, attribute: &str, input: usize) -> Option<Vec<i64>> {
        self.graph.ints(self.node(), attribute, input)
    }

    /// Whether an input is the same in every run.
    pub(crate) fn is_constant(&self, input: usize) -> bool {
        self.node().input(input).is_some_and(|value| self.graph.value(value).constant)
    }

    pub(crate) fn reason(&self, code: PinCode) -> Reason {
        Reason { code, place: self.node().to_string() }
    }

    /// Two axes go together index by index.
    pub(crate) fn unite(&mut self, a: &Axis, b: &Axis) {
        let reason = self.reason(PinCode::UncutPartner);
        unite(&mut self.state.labels, a, b, &reason);
    }

    /// No index of an axis may be cut.
    pub(crate) fn pin(&mut self, axis: &Axis, code: PinCode) {
        let reason = self.reason(code);
        pin(&mut self.state.labels, axis, &reason);
    }

    /// An optional list holds one element per index of an axis. One of unknown rank is not one that is left out: it pins.
    pub(crate) fn unite_list(&mut self, axis: &Axis, input: usize) {
        if self.node().input(input).is_none() {
            return;
        }
        match self.layout(input).as_deref() {
            Some([list, ..]) => self.unite(axis, list),
            _ => self.pin(axis, PinCode::UncutPartner),
        }
    }

    /// No index of any axis of an input may be cut.
    pub(crate) fn pin_input(&mut self, input: usize, code: PinCode) {
        for axis in self.layout(input).unwrap_or_default() {
            self.pin(&axis, code);
        }
    }

    /// Says what an output's axes are: as many as its sizes, where those are known.
    pub(crate) fn set(&mut self, output: usize, layout: Layout) {
        let Some(value) = self.node().output(output) else { return };
        let shape = self.graph.value(value).shape.as_ref();
        if shape.is_some_and(|shape| shape.len() == layout.len()) {
            self.state.layouts[value.0 as usize] = Some(layout);
            return;
        }
        layout.iter().for_each(|axis| self.pin(axis, PinCode::LayoutTooMixed));
        self.state.layouts[value.0 as usize] = shape.map(|shape| shape.iter().map(Axis::plain).collect());
    }

    /// Axes that are never cut, of the first output's sizes.
    pub(crate) fn plain_output(&self) -> Option<Layout> {
        Some(self.output_shape()?.iter().map(Axis::plain).collect())
    }

    /// Declares that the node contracts `data` (input, axis) against `weight` (input, axis).
    pub(crate) fn reader(&mut self, data: (usize, usize), weight: (usize, usize), fillable: bool) {
        if let Some(axis) = self.layout(weight.0).and_then(|layout| layout.into_iter().nth(weight.1)) {
            self.state.contracted.extend(axis.labels());
        }
        self.state.readers.push(RawReader { node: self.id, data, weight, fillable });
    }

    /// An input states sizes, and where lanes it counts are cut, it is stated anew.
    pub(crate) fn restates(&mut self, input: usize) {
        self.state.counted.restates(self.id, input);
    }

    /// The axes whose sizes a list of sizes at an input holds: an axis of such a size is cut as they are. `None` where an
    /// element is worked out from counts of lanes, or none counts any.
    pub(crate) fn counted_axes(&self, input: usize) -> Option<Vec<Option<Axis>>> {
        let elements = self.state.counted.elements(self.node().input(input)?)?;
        let axis = |(value, axis): (ValueId, usize)| self.state.layouts[value.0 as usize].as_ref()?.get(axis).cloned();
        let axes: Vec<Option<Axis>> = elements.into_iter().map(|site| axis(site?)).collect();
        axes.iter().any(Option::is_some).then_some(axes)
    }

    /// A list of sizes at an input states those of axes that are cut as the axes are which it counts.
    pub(crate) fn follows(&mut self, input: usize) {
        self.state.counted.follows(self.id, input);
    }

    /// The rule of operators nothing is known of: every lane they touch is pinned.
    pub fn opaque(view: &mut LaneView) {
        for input in 0..view.node().inputs.len() {
            view.pin_input(input, PinCode::Opaque);
        }
        for &value in &view.node().captures {
            view.pin_value(value, PinCode::Opaque);
        }
        view.plain_outputs();
    }

    /// What a rule says nothing of is not cut: an output without axes, if something reads it, pins what the node reads.
    pub(crate) fn settle(&mut self, is_read: &[bool]) {
        let unsaid = |value: &ValueId| is_read[value.0 as usize] && self.state.layouts[value.0 as usize].is_none();
        if self.node().outputs.iter().flatten().any(unsaid) {
            LaneView::opaque(self);
        }
    }

    fn pin_value(&mut self, value: ValueId, code: PinCode) {
        for axis in self.state.layouts[value.0 as usize].clone().unwrap_or_default() {
            self.pin(&axis, code);
        }
    }

    /// Outputs of which nothing was said so far have no lanes.
    fn plain_outputs(&mut self) {
        for (position, value) in self.node().outputs.iter().enumerate() {
            let Some(value) = value.filter(|value| self.state.layouts[value.0 as usize].is_none()) else { continue };
            if let Some(shape) = &self.graph.value(value).shape {
                self.set(position, shape.iter().map(Axis::plain).collect());
            }
        }
    }

    /// The rule of constants in short form: they have no lanes.
    pub fn constants_only(view: &mut LaneView) {
        view.plain_outputs();
    }

    /// The rule of operators that read sizes only: lanes pass them by.
    pub fn sizes_only(view: &mut LaneView) {
        view.plain_outputs();
    }

    /// The rule of operators whose output is laid out as their first input; further inputs are scalars or lists.
    pub fn same_layout(view: &mut LaneView) {
        if let Some(layout) = view.layout(0) {
            view.set(0, layout);
        }
    }

    /// The rule of operators that only regroup axes: the output's sizes say how.
    pub fn regroup(view: &mut LaneView) {
        let (Some(layout), Some(sizes)) = (view.layout(0), view.output_shape()) else {
            view.pin_input(0, PinCode::LayoutTooMixed);
            return view.plain_outputs();
        };
        if let Some(regrouped) = reshape(&layout, sizes) {
            view.set(0, regrouped);
        } else {
            view.pin_input(0, PinCode::LayoutTooMixed);
            view.plain_outputs();
        }
    }

    /// The rule of operators that work along one axis with no exact cut form, such as softmax.
    pub(crate) fn along(view: &mut LaneView, axis: usize) {
        let Some(layout) = view.layout(0) else { return };
        if let Some(axis) = layout.get(axis) {
            view.fix(axis);
        }
        view.set(0, layout);
    }

    /// Some axes of the first input are worked on as a whole. Lanes along one of them are left out by an operator that
    /// knows how to and whose data is of a known type; otherwise nothing is cut along them.
    pub(crate) fn summarise(&mut self, data: &[Axis], axes: &[usize]) {
        let labelled: Vec<usize> = axes.iter().copied().filter(|&axis| data[axis].has_labels()).collect();
        let is_typed = self.node().input(0).is_some_and(|data| self.graph.value(data).dtype.is_some());
        match labelled[..] {
            [axis] if self.leaves_out && is_typed && !self.is_computed && data[axis].holds_whole_blocks() => {
                self.state.contracted.extend(data[axis].labels());
                self.state.summaries.push((self.id, axis));
            }
            _ => labelled.into_iter().for_each(|axis| self.fix(&data[axis])),
        }
    }

    /// An axis has no exact cut form: nothing is cut along it, unless it is one of a constant, which can be worked out
    /// before the cut.
    pub(crate) fn fix(&mut self, axis: &Axis) {
        if self.is_computed {
            self.mixes |= axis.has_labels();
            return;
        }
        let reason = self.reason(PinCode::NoExactForm);
        fix(&mut self.state.labels, axis, &reason);
    }

    /// Axes of an input from `first` on are slid over or reduced: nothing is cut along them.
    pub(crate) fn fix_from(&mut self, layout: &[Axis], first: usize) {
        layout.iter().skip(first).for_each(|axis| self.fix(axis));
    }

    /// The first output is filled with a number: its axes get labels of their own. Says whether they did, which they do
    /// not where they are long.
    pub(crate) fn fill(&mut self) -> bool {
        let Some(output) = self.node().output(0) else { return false };
        let value = self.graph.value(output);
        let extents: Option<Vec<usize>> = value.shape.iter().flatten().map(Dim::extent).collect();
        let Some(extents) = extents.filter(|_| value.dtype.is_some_and(DType::is_float)) else { return false };
        if extents.iter().fold(0, |all: usize, &extent| all.saturating_add(extent)) > LABEL_LIMIT {
            return false;
        }
        let labels = &mut self.state.labels;
        let layout = extents.into_iter().map(|extent| match extent {
            0 | 1 => Axis::plain(&Dim::known(extent as i64)),
            extent => Axis::labelled((0..extent).map(|_| labels.fresh()).collect()),
        });
        let layout = layout.collect();
        self.state.filled.insert(output);
        self.set(0, layout);
        true
    }

    /// An axis of this size that is never cut.
    pub(crate) fn plain(&self, size: &Dim) -> Axis {
        Axis::plain(size)
    }
}

/// Names the bucket of an index.
pub(crate) type Bucket<'f> = &'f dyn Fn(usize) -> usize;

impl LaneView<'_> {
    /// Unites all indices, over several axes, that fall into the same bucket.
    pub(crate) fn unite_by(&mut self, axes: &[(&Axis, Bucket)]) {
        let mut firsts: BTreeMap<usize, Label> = BTreeMap::new();
        let mut uncut = BTreeSet::new();
        let mut members = Vec::new();
        for (axis, bucket) in axes {
            let Some(labels) = axis.materialise(&mut self.state.labels) else {
                axes.iter().for_each(|(axis, _)| self.pin(axis, PinCode::LayoutTooMixed));
                return;
            };
            members.extend(labels.into_iter().enumerate().map(|(index, label)| (bucket(index), label)));
        }
        for (bucket, label) in members {
            let Some(label) = label else {
                uncut.insert(bucket);
                continue;
            };
            let first = *firsts.entry(bucket).or_insert(label);
            self.state.labels.unite(first, label);
        }
        let reason = self.reason(PinCode::UncutPartner);
        for label in uncut.iter().filter_map(|bucket| firsts.get(bucket)) {
            self.state.labels.pin(*label, &reason);
        }
    }

    /// The axis made of several, end to end. Indices without a label get one that is pinned.
    pub(crate) fn concatenate(&mut self, parts: &[&Axis]) -> Option<Axis> {
        let extent = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.extent()?))?;
        if extent > LABEL_LIMIT {
            return None;
        }
        if !parts.iter().any(|part| part.has_labels()) {
            return Some(self.plain(&Dim::known(extent as i64)));
        }
        let mut joined = Vec::with_capacity(extent);
        for part in parts {
            joined.extend(part.materialise(&mut self.state.labels)?);
        }
        Some(self.labelled(joined))
    }

    /// The axis made of a range of another's indices.
    pub(crate) fn part(&mut self, axis: &Axis, indices: Range<usize>) -> Option<Axis> {
        let labels = axis.materialise(&mut self.state.labels)?.get(indices)?.to_vec();
        Some(self.labelled(labels))
    }

    /// The axis made of another's indices in this order, repeated or left out.
    pub(crate) fn picked(&mut self, axis: &Axis, indices: impl ExactSizeIterator<Item = usize>) -> Option<Axis> {
        if indices.len() > LABEL_LIMIT {
            return None;
        }
        if !axis.has_labels() {
            return Some(self.plain(&Dim::known(indices.len() as i64)));
        }
        let labels = axis.materialise(&mut self.state.labels)?;
        let picked = indices.map(|index| labels.get(index).copied()).collect::<Option<Vec<_>>>()?;
        Some(self.labelled(picked))
    }

    /// The axis with further indices before and after it. They are lanes too: they go where their partners go.
    pub(crate) fn padded(&mut self, axis: &Axis, before: usize, after: usize) -> Option<Axis> {
        let inner = axis.materialise(&mut self.state.labels)?;
        inner.len().checked_add(before)?.checked_add(after).filter(|&all| all <= LABEL_LIMIT)?;
        let mut fresh = |count: usize| (0..count).map(|_| Some(self.state.labels.fresh())).collect::<Vec<_>>();
        let (before, after) = (fresh(before), fresh(after));
        Some(self.labelled([before, inner, after].concat()))
    }

    /// The axis with these labels. Indices without one get one that is pinned; an axis of one index is never cut.
    fn labelled(&mut self, labels: Vec<Option<Label>>) -> Axis {
        if labels.iter().all(Option::is_none) {
            return Axis::plain(&Dim::known(labels.len() as i64));
        }
        if let [Some(only)] = labels[..] {
            let reason = self.reason(PinCode::WholeAxis);
            self.state.labels.pin(only, &reason);
            return Axis::default();
        }
        let reason = self.reason(PinCode::UncutPartner);
        let labels = labels.into_iter().map(|label| {
            label.unwrap_or_else(|| {
                let label = self.state.labels.fresh();
                self.state.labels.pin(label, &reason);
                label
            })
        });
        Axis::labelled(labels.collect())
    }
}
