//! From labels to lanes: propagation, rectangular cuts, classes, groups.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::analysis::Lanes;
use super::cost::CostModel;
use super::lane::{Group, Home, Lane, LaneId, Pin, Reader, Refused, Slot, Summarised};
use super::quantized::is_laid_out;
use crate::compute::computable;
use crate::graph::{Dim, Graph, Node, NodeId, Origin, StoredTensor, ValueId};
use crate::labels::{
    Axis, Block, Counted, LABEL_LIMIT, Label, Labels, LaneView, Layout, PinCode, Projection, RawReader, Reason, State,
    pin,
};
use crate::ops;

/// A graph whose nodes go over more labelled indices than this, all together, is left whole.
/// Networks of 500 nodes go over a million and a half at most; files are made that go over any number.
const MOST_WALKED: usize = 1 << 23;

/// From this operator set on data is masked in the check of a cut; before it, weights alone are.
const MASKS_SINCE: i64 = 7;

impl Lanes {
    /// Analyses a graph. Stored tensors whose name contains one of `keep` are not cut.
    pub fn of(graph: &Graph, keep: &[String]) -> Self {
        Self::leaving(graph, keep, &Refused::new())
    }

    /// Analyses a graph of which some lanes are not cut, since a check of the cut refused them.
    pub fn leaving(graph: &Graph, keep: &[String], refused: &Refused) -> Self {
        analyse(graph, keep, refused)
    }
}

/// Runs the whole analysis.
fn analyse(graph: &Graph, keep: &[String], refused: &Refused) -> Lanes {
    let Some(mut state) = labelled(graph, keep) else { return left_whole(graph) };
    pin_outputs(graph, keep, &mut state);
    pin_refused(graph, &mut state, refused);
    state.pin_counts_at_outputs(graph);
    state.pin_frozen_outputs(graph);
    make_rectangular(&mut state);
    let axes = label_axes(graph, &mut state);
    pin_unread(&axes, &mut state);
    pin_whole_axes(graph, &axes, &mut state.labels);
    assemble(graph, axes, state)
}

/// Which values something reads: a node, a sub-graph or the caller.
fn read_values(graph: &Graph) -> Vec<bool> {
    let mut read = vec![false; graph.values.len()];
    let by_nodes = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten().chain(&node.captures));
    by_nodes.chain(&graph.outputs).for_each(|value| read[value.0 as usize] = true);
    read
}

/// Labels of every value, by the rules of the nodes in order; `None` where there are too many.
fn labelled(graph: &Graph, keep: &[String]) -> Option<State> {
    let mut walked = first_labels(graph);
    if walked > MOST_WALKED {
        return None;
    }
    let mut state = start(graph, keep);
    let is_read = read_values(graph);
    let computable = computable(graph);
    for (id, node) in graph.nodes() {
        if is_stored(graph, node) {
            continue;
        }
        let rule = ops::row_of(node).map_or(LaneView::opaque as ops::LanesOf, |row| row.lanes);
        let is_computed =
            node.output(0).is_some_and(|value| graph.value(value).constant && computable[value.0 as usize]);
        let leaves_out = node.opset >= MASKS_SINCE && ops::row_of(node).is_some_and(|row| row.summary.is_some());
        let mut view = LaneView { graph, id, state: &mut state, leaves_out, is_computed, mixes: false };
        walked = walked.saturating_add(view.inputs_size());
        if walked > MOST_WALKED {
            return None;
        }
        rule(&mut view);
        view.settle(&is_read);
        walked = walked.saturating_add(view.outputs_size());
        let mixes = view.mixes;
        state.follow_frozen(graph, id, is_computed, mixes);
        // A number that is known at sizes which were given is another one at others.
        state.follow_counts(graph, id, if graph.sizes_given { &[] } else { &computable });
    }
    (walked <= MOST_WALKED).then_some(state)
}

/// Whether a node only holds a stored tensor.
fn is_stored(graph: &Graph, node: &Node) -> bool {
    node.output(0).is_some_and(|output| matches!(graph.value(output).origin, Origin::Stored(_)))
}

/// How many labels stored tensors and inputs start with. Few bytes may declare large sizes.
fn first_labels(graph: &Graph) -> usize {
    let stored = graph.stored.iter().filter(|stored| is_laid_out(graph, stored));
    let stored = stored.flat_map(|stored| stored.tensor.shape.iter().copied());
    let inputs = graph.inputs.iter().flat_map(|&input| graph.value(input).shape.iter().flatten());
    let sizes = stored.chain(inputs.filter_map(Dim::extent));
    sizes.filter(|&size| size <= LABEL_LIMIT).fold(0, usize::saturating_add)
}

/// Nothing is cut; every axis says why.
fn left_whole(graph: &Graph) -> Lanes {
    let axes = |stored: &StoredTensor| {
        let tensor = graph.value(stored.value).name.clone();
        let reason = Reason { code: PinCode::TooLarge, place: "the whole graph".to_owned() };
        let sizes = stored.tensor.shape.clone().into_iter().enumerate().filter(|&(_, count)| count > 1);
        sizes.map(move |(axis, count)| Pin { tensor: tensor.clone(), axis, count, reason: reason.clone() })
    };
    let pins = graph.stored.iter().filter(|stored| is_laid_out(graph, stored)).flat_map(axes).collect();
    let slots = HashMap::new();
    let cost = CostModel::of(graph, &slots);
    Lanes {
        lanes: Vec::new(),
        groups: Vec::new(),
        readers: Vec::new(),
        cost,
        pins,
        slots,
        counted: HashMap::new(),
        following: BTreeSet::new(),
        frozen: Vec::new(),
        summaries: Vec::new(),
    }
}

/// An axis of a value.
type Place = (ValueId, usize);

/// Labels of every known axis, in the order of places.
type LabelAxes = Vec<(Place, Vec<Option<Label>>)>;

/// Labels for stored tensors and graph inputs; the latter are pinned.
fn start(graph: &Graph, keep: &[String]) -> State {
    let counted = Counted::new(graph);
    let mut state = State { layouts: vec![None; graph.values.len()], counted, ..State::default() };
    for stored in &graph.stored {
        let name = &graph.value(stored.value).name;
        let kept = keep.iter().any(|pattern| name.contains(pattern.as_str()));
        let reason = kept.then(|| Reason { code: PinCode::Keep, place: name.clone() });
        let labelled = is_laid_out(graph, stored);
        let layout = stored.tensor.shape.iter().map(|&n| start_axis(&mut state.labels, n, labelled, reason.as_ref()));
        state.layouts[stored.value.0 as usize] = Some(layout.collect());
    }
    for (value, layout) in graph.values.iter().zip(&mut state.layouts) {
        if value.origin == Origin::Unread {
            *layout = value.shape.as_ref().map(|shape| shape.iter().map(Axis::plain).collect());
        }
    }
    for &input in &graph.inputs {
        let value = graph.value(input);
        let reason = Reason { code: PinCode::GraphInput, place: value.name.clone() };
        let Some(shape) = &value.shape else { continue };
        let layout = shape.iter().enumerate().map(|(position, size)| match size.extent() {
            Some(n) if position > 0 => start_axis(&mut state.labels, n, true, Some(&reason)),
            _ => Axis::plain(size),
        });
        state.layouts[input.0 as usize] = Some(layout.collect());
    }
    state
}

fn start_axis(labels: &mut Labels, extent: usize, labelled: bool, pinned: Option<&Reason>) -> Axis {
    if extent <= 1 || extent > LABEL_LIMIT || !labelled {
        return Axis::plain(&(extent as i64).into());
    }
    let axis = Axis::labelled((0..extent).map(|_| labels.fresh()).collect());
    if let Some(reason) = pinned {
        pin(labels, &axis, reason);
    }
    axis
}

/// Pins what outputs hold, and what is computed and kept by its whole name.
fn pin_outputs(graph: &Graph, keep: &[String], state: &mut State) {
    let outputs = graph.outputs.iter().map(|&output| (output, PinCode::GraphOutput));
    let named = (0..graph.values.len()).map(|position| ValueId(position as u32));
    let named = named.filter(|&value| keep.contains(&graph.value(value).name)).map(|value| (value, PinCode::Keep));
    for (value, code) in outputs.chain(named) {
        let reason = Reason { code, place: graph.value(value).name.clone() };
        for axis in state.layouts[value.0 as usize].iter().flatten() {
            pin(&mut state.labels, axis, &reason);
        }
    }
}

/// Pins what a check refused to cut.
fn pin_refused(graph: &Graph, state: &mut State, refused: &Refused) {
    for &(value, axis, index) in refused {
        let place = graph.value(value).name.clone();
        let layout = state.layouts[value.0 as usize].as_ref();
        let label = layout.and_then(|layout| layout.get(axis)?.labels().nth(index));
        if let Some(label) = label {
            state.labels.pin(label, &Reason { code: PinCode::GateRefused, place });
        }
    }
}

/// Where one block of labels lies on several factors that are not side by side, whole slices of one of them are cut:
/// the labels across the others are united. The factor that leaves more classes wins.
fn make_rectangular(state: &mut State) {
    for layout in state.layouts.iter().flatten() {
        for block in scattered(layout) {
            let dims = 0..block.extents.len();
            let best = dims.max_by_key(|&dim| (slices(&mut state.labels, &block, dim), std::cmp::Reverse(dim)));
            if let Some(dim) = best {
                block.unite_slices(&mut state.labels, &[dim]);
            }
        }
    }
}

fn scattered(layout: &Layout) -> Vec<Arc<Block>> {
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    for (block, _) in layout.iter().flat_map(|axis| &axis.0).filter_map(|f| f.labels.as_ref()) {
        if block.extents.len() > 1 && !blocks.iter().any(|b| Arc::ptr_eq(b, block)) {
            blocks.push(block.clone());
        }
    }
    blocks
}

/// How many classes would be left if whole slices along `dim` were cut.
fn slices(labels: &mut Labels, block: &Block, dim: usize) -> usize {
    let mut bucket_of: HashMap<Label, usize> = HashMap::new();
    let mut parent: Vec<usize> = (0..block.extents[dim]).collect();
    let slice_of = Projection::new(&block.extents, &[dim]);
    for (flat, &label) in block.labels.iter().enumerate() {
        let slice = top(&parent, slice_of.of(flat));
        let other = *bucket_of.entry(labels.find(label)).or_insert(slice);
        let other = top(&parent, other);
        parent[slice.max(other)] = slice.min(other);
    }
    (0..parent.len()).filter(|&i| parent[i] == i).count()
}

fn top(parent: &[usize], mut slice: usize) -> usize {
    while parent[slice] != slice {
        slice = parent[slice];
    }
    slice
}

/// One label per index of every axis. An axis whose indices each hold several classes is one along which nothing is
/// cut: the cut is along another factor of its block.
fn label_axes(graph: &Graph, state: &mut State) -> LabelAxes {
    let mut axes = Vec::new();
    let layouts = std::mem::take(&mut state.layouts);
    for (value, layout) in layouts.iter().enumerate() {
        let id = ValueId(value as u32);
        for (position, axis) in layout.iter().flatten().enumerate() {
            let axis = axis.without_pinned_blocks(&mut state.labels);
            if !axis.has_labels() || axis.crosses_cut(&mut state.labels) {
                continue;
            }
            match axis.materialise(&mut state.labels) {
                Some(found) => {
                    axes.push(((id, position), found));
                }
                None => {
                    let reason = Reason { code: PinCode::LayoutTooMixed, place: graph.value(id).name.clone() };
                    pin(&mut state.labels, &axis, &reason);
                }
            }
        }
    }
    state.layouts = layouts;
    axes
}

/// Labels that no reader contracts belong to nothing that could be cut.
fn pin_unread(axes: &LabelAxes, state: &mut State) {
    let mut live = vec![false; state.labels.len()];
    for label in std::mem::take(&mut state.contracted) {
        live[state.labels.find(label).index()] = true;
    }
    let unread = Reason { code: PinCode::Unread, place: String::new() };
    for &label in axes.iter().flat_map(|(_, found)| found).flatten() {
        if !live[state.labels.find(label).index()] {
            state.labels.pin(label, &unread);
        }
    }
}

/// A class that is all of an axis cannot be removed.
fn pin_whole_axes(graph: &Graph, axes: &LabelAxes, labels: &mut Labels) {
    for ((value, _), found) in axes {
        let Some(Some(first)) = found.first().copied() else { continue };
        let class = labels.find(first);
        if found.iter().all(|label| label.is_some_and(|label| labels.find(label) == class)) {
            let whole = || Reason { code: PinCode::WholeAxis, place: graph.value(*value).name.clone() };
            let reason = labels.held(class).cloned().unwrap_or_else(whole);
            labels.pin(class, &reason);
        }
    }
}

fn assemble(graph: &Graph, axes: LabelAxes, mut state: State) -> Lanes {
    let classes = Classes::of(graph, &axes, &state.filled, &mut state.labels);
    let (lanes, mut groups, ids) = group(graph, classes);
    let mut slots: HashMap<Place, Arc<[Slot]>> = HashMap::new();
    for (place, found) in &axes {
        let slot = |label: &Option<Label>| ids[state.labels.find((*label)?).index()];
        let found: Arc<[Slot]> = found.iter().map(slot).collect();
        if found.iter().any(Option::is_some) {
            slots.insert(*place, found);
        }
    }
    measure_widths(&lanes, &mut groups, &slots);
    let counted = state.counted.restated(graph);
    let following = state.counted.following().clone();
    let pins = pins(graph, &axes, &mut state.labels);
    let readers = readers(graph, &state.readers, &slots);
    let cost = CostModel::of(graph, &slots);
    let summaries = summaries(graph, &state.summaries, &slots);
    let frozen = state.frozen;
    Lanes { lanes, groups, readers, cost, pins, slots, counted, following, frozen, summaries }
}

/// Where classes of labels lie. Classes that lie at the same places share one list of them, which is a list of fewer
/// places and one more: so it takes no more room than there are different lists.
struct Classes {
    /// The last place of a list, and the list of those before; list 0 is empty.
    lists: Vec<(usize, Option<Place>)>,
    /// The list of every class, by its representative's number; pinned classes have none.
    list_of: Vec<usize>,
    /// The first place of every class on a constant that has labels of its own.
    homes: Vec<Option<Home>>,
}

impl Classes {
    fn of(graph: &Graph, axes: &LabelAxes, filled: &BTreeSet<ValueId>, labels: &mut Labels) -> Self {
        let mut classes =
            Self { lists: vec![(0, None)], list_of: vec![0; labels.len()], homes: vec![None; labels.len()] };
        for &(place, ref found) in axes {
            classes.meet(place, found, labels);
            if matches!(graph.value(place.0).origin, Origin::Stored(_)) || filled.contains(&place.0) {
                classes.house(place, found, labels);
            }
        }
        classes
    }

    /// Adds a place to the lists of the classes that lie there.
    fn meet(&mut self, place: Place, found: &[Option<Label>], labels: &mut Labels) {
        let mut longer: HashMap<usize, usize> = HashMap::new();
        let is_here = |list: (usize, Option<Place>)| list.1 == Some(place);
        for &label in found.iter().flatten() {
            let class = labels.find(label).index();
            let list = self.list_of[class];
            if labels.is_pinned(label) || is_here(self.lists[list]) {
                continue;
            }
            self.list_of[class] = *longer.entry(list).or_insert_with(|| {
                self.lists.push((list, Some(place)));
                self.lists.len() - 1
            });
        }
    }

    fn house(&mut self, (value, axis): Place, found: &[Option<Label>], labels: &mut Labels) {
        for (index, label) in found.iter().enumerate() {
            if let Some(label) = label {
                self.homes[labels.find(*label).index()].get_or_insert((value, axis, index));
            }
        }
    }

    /// The places of a list, in order.
    fn places(&self, mut list: usize) -> Vec<Place> {
        let mut places = Vec::new();
        while let (before, Some(place)) = self.lists[list] {
            places.push(place);
            list = before;
        }
        places.reverse();
        places
    }
}

/// Lanes that lie at the same places form a group. Gives the lane of each class by its representative's number too.
fn group(graph: &Graph, classes: Classes) -> (Vec<Lane>, Vec<Group>, Vec<Option<LaneId>>) {
    let mut by_list: HashMap<usize, Vec<(Home, usize)>> = HashMap::new();
    for (class, (&list, home)) in classes.list_of.iter().zip(&classes.homes).enumerate() {
        if let Some(home) = home.filter(|_| list != 0) {
            by_list.entry(list).or_default().push((home, class));
        }
    }
    let mut by_places: Vec<_> =
        by_list.into_iter().map(|(list, classes_there)| (classes.places(list), classes_there)).collect();
    by_places.sort();
    let (mut lanes, mut groups, mut ids) = (Vec::new(), Vec::new(), vec![None; classes.list_of.len()]);
    for (places, mut homes) in by_places {
        homes.sort();
        let stored = |&(value, axis): &Place| match graph.value(value).origin {
            Origin::Stored(stored) => Some((stored, axis)),
            _ => None,
        };
        let name = homes.first().map_or_else(String::new, |(home, _)| graph.value(home.0).name.clone());
        let sites = places.iter().filter_map(stored).collect();
        let mut group = Group { name, lanes: Vec::with_capacity(homes.len()), sites, width: 1 };
        for (home, class) in homes {
            let id = LaneId(lanes.len() as u32);
            lanes.push(Lane { group: groups.len(), home });
            group.lanes.push(id);
            ids[class] = Some(id);
        }
        groups.push(group);
    }
    (lanes, groups, ids)
}

/// Says of every group how many indices of an axis its lanes take at least.
fn measure_widths(lanes: &[Lane], groups: &mut [Group], slots: &HashMap<Place, Arc<[Slot]>>) {
    let mut widths: Vec<Option<usize>> = vec![None; groups.len()];
    for axis in slots.values() {
        let mut counts: HashMap<LaneId, usize> = HashMap::new();
        axis.iter().flatten().for_each(|&lane| *counts.entry(lane).or_default() += 1);
        for (lane, count) in counts {
            let width = widths[lanes[lane.0 as usize].group].get_or_insert(count);
            *width = count.min(*width);
        }
    }
    for (group, width) in groups.iter_mut().zip(widths) {
        group.width = width.unwrap_or(1);
    }
}

fn pins(graph: &Graph, axes: &LabelAxes, labels: &mut Labels) -> Vec<Pin> {
    let mut pins = Vec::new();
    for &((value, axis), ref found) in axes {
        if !matches!(graph.value(value).origin, Origin::Stored(_)) {
            continue;
        }
        let mut counts = labels.count_pins(found.iter().flatten());
        counts.retain(|reason, _| !matches!(reason.code, PinCode::Structure | PinCode::Unread));
        let tensor = &graph.value(value).name;
        pins.extend(counts.into_iter().map(|(reason, count)| Pin { tensor: tensor.clone(), axis, count, reason }));
    }
    pins
}

fn summaries(graph: &Graph, raw: &[(NodeId, usize)], slots: &HashMap<Place, Arc<[Slot]>>) -> Vec<Summarised> {
    let summarised = |&(node, axis): &(NodeId, usize)| {
        let slots = slots.get(&(graph.node(node).input(0)?, axis))?.clone();
        Some(Summarised { node, axis, slots })
    };
    raw.iter().filter_map(summarised).collect()
}

fn readers(graph: &Graph, raw: &[RawReader], slots: &HashMap<(ValueId, usize), Arc<[Slot]>>) -> Vec<Reader> {
    raw.iter()
        .filter_map(|reader| {
            let weight = graph.node(reader.node).input(reader.weight.0)?;
            Some(Reader {
                node: reader.node,
                data: reader.data.0,
                data_axis: reader.data.1,
                weight: reader.weight.0,
                weight_axis: reader.weight.1,
                slots: slots.get(&(weight, reader.weight.1))?.clone(),
                fillable: reader.fillable && matches!(graph.value(weight).origin, Origin::Stored(_)),
            })
        })
        .collect()
}
