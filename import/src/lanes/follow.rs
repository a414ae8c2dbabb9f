//! Numbers that count lanes: a size is read off an axis, worked on, and used.
//!
//! Where such a number states a size that the cut can state anew (the target of a Reshape), it is no hindrance. Where it
//! is used as data (a scale, an addend) and known, it stays what it was. Anywhere else (an output, a bound of a loop) the
//! cut would change it: the lanes it counts are pinned.

use std::collections::BTreeSet;

use crate::graph::{Dim, Graph, Node, NodeId, ValueId};
use crate::labels::{Axis, Frozen, Label, PinCode, Reason, Site, State};
use crate::ops::{self, FoldView};

/// A number that is made from more sizes than this is not followed; what it counts is pinned.
const MOST_SITES: usize = 32;

/// Lists with more elements than this are not followed element by element.
const MOST_ELEMENTS: usize = 256;

/// The inputs that a node reads counts at as numbers, and what each counts.
type Elements = Vec<(usize, BTreeSet<Site>)>;

impl State {
    /// The labels on an axis.
    fn labels_on(&self, (value, axis): Site) -> impl Iterator<Item = Label> + use<'_> {
        let axis = self.layouts[value.0 as usize].as_ref().and_then(|layout| layout.get(axis));
        axis.into_iter().flat_map(Axis::labels)
    }

    /// Follows counts through a node whose lane rule has run: into what it makes from them, or to a pin.
    pub(crate) fn follow_counts(&mut self, graph: &Graph, id: NodeId, computable: &[bool]) {
        let node = graph.node(id);
        let measures = ops::row_of(node).is_some_and(|row| row.measures);
        let is_number = |value: &ValueId| self.counted.numbers.contains(value);
        let makes_number = measures || node.row.is_some() && node.inputs.iter().flatten().all(is_number);
        let (elements, mut used) = self.reach(node, id);
        let mut carried: BTreeSet<Site> = elements.iter().flat_map(|(_, sites)| sites.clone()).collect();
        if measures {
            carried.extend(self.measure(graph, node.input(0)));
        }
        if makes_number {
            self.counted.numbers.extend(node.outputs.iter().flatten());
        }
        if !makes_number {
            carried.clear();
            used.extend(self.freeze_counts(node, id, elements, computable));
        } else if carried.len() > MOST_SITES {
            used.append(&mut carried);
        }
        self.pin_sites(&used, &Reason { code: PinCode::Counted, place: node.to_string() });
        if !carried.is_empty() {
            self.carry(graph, id, carried);
        }
    }

    /// Numbers that a node reads as data are given their dense value, where that is known. Gives what the others count.
    fn freeze_counts(&mut self, node: &Node, id: NodeId, elements: Elements, computable: &[bool]) -> BTreeSet<Site> {
        let mut left = BTreeSet::new();
        for (input, sites) in elements {
            match node.input(input).filter(|value| computable.get(value.0 as usize) == Some(&true)) {
                Some(_) => {
                    self.frozen.push(Frozen { node: id, input, sites: sites.into_iter().collect() });
                }
                None => left.extend(sites),
            }
        }
        left
    }

    /// The axes counted by what a node reads: as elements, and in ways that the cut could not make good.
    fn reach(&self, node: &Node, id: NodeId) -> (Elements, BTreeSet<Site>) {
        let (mut elements, mut used) = (Vec::new(), BTreeSet::new());
        let sizes = ops::row_of(node).map_or(&[][..], |row| row.sizes);
        for (input, value) in node.inputs.iter().enumerate().filter_map(|(input, value)| Some((input, (*value)?))) {
            let sites: BTreeSet<Site> = self.counted.sites_of(value).copied().collect();
            if sites.is_empty() {
                continue;
            }
            let is_kept_right =
                [&self.counted.restated, &self.counted.follows].iter().any(|set| set.contains(&(id, input)));
            if !sizes.contains(&input) {
                elements.push((input, sites));
            } else if !is_kept_right {
                used.extend(sites);
            }
        }
        used.extend(node.captures.iter().flat_map(|&value| self.counted.sites_of(value)));
        (elements, used)
    }

    /// What a node makes from counts counts the same axes; its first output perhaps fewer.
    fn carry(&mut self, graph: &Graph, id: NodeId, sites: BTreeSet<Site>) {
        for (position, output) in graph.node(id).outputs.iter().enumerate() {
            let Some(output) = *output else { continue };
            let found = (position == 0).then(|| self.fold(graph, id, output)).flatten();
            self.counted.sites.insert(output, found.unwrap_or_else(|| sites.clone()));
        }
    }

    /// Gives every axis with lanes a symbol for its size.
    fn measure(&mut self, graph: &Graph, value: Option<ValueId>) -> Vec<Site> {
        let known = value.and_then(|value| Some((value, graph.value(value).shape.clone()?)));
        let Some((value, mut sizes)) = known else { return Vec::new() };
        let mut sites = Vec::new();
        for (axis, size) in sizes.iter_mut().enumerate() {
            let site = (value, axis);
            if self.may_lose_lanes(site) {
                *size = self.counted.symbols.fresh();
                self.counted.counts.extend(size.symbols().iter().map(|&symbol| (symbol, site)));
                sites.push(site);
            }
        }
        self.counted.instead.sizes.insert(value, sizes);
        sites
    }

    /// The sites that a node's first output is made from, where its elements can be worked out.
    fn fold(&mut self, graph: &Graph, id: NodeId, output: ValueId) -> Option<BTreeSet<Site>> {
        let node = graph.node(id);
        let shape = graph.value(output).shape.as_deref();
        let view = FoldView { node, graph, shape, instead: &self.counted.instead };
        let content = (ops::row_of(node)?.fold)(&view).filter(|content| content.len() <= MOST_ELEMENTS)?;
        let sizes = content.dims()?;
        let symbols = sizes.iter().flat_map(Dim::symbols);
        let sites = symbols.filter_map(|symbol| self.counted.counts.get(symbol)).copied().collect();
        self.counted.instead.contents.insert(output, content);
        Some(sites)
    }

    /// A count that the caller gets is data.
    pub(crate) fn pin_counts_at_outputs(&mut self, graph: &Graph) {
        for &output in &graph.outputs {
            if let Some(sites) = self.counted.sites.get(&output).cloned() {
                let reason = Reason { code: PinCode::Counted, place: graph.value(output).name.clone() };
                self.pin_sites(&sites, &reason);
            }
        }
    }

    /// Whether some label on an axis is not pinned.
    fn may_lose_lanes(&mut self, site: Site) -> bool {
        let labels: Vec<Label> = self.labels_on(site).collect();
        labels.into_iter().any(|label| !self.labels.is_pinned(label))
    }

    fn pin_sites(&mut self, sites: &BTreeSet<Site>, reason: &Reason) {
        for &site in sites {
            if self.counted.pinned.insert(site) {
                let labels: Vec<Label> = self.labels_on(site).collect();
                labels.into_iter().for_each(|label| self.labels.pin(label, reason));
            }
        }
    }
}
