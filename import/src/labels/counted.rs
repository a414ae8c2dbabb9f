//! What is known of numbers that count lanes: which axes they count, and what becomes of them.

use std::collections::{BTreeSet, HashMap};

use crate::graph::{Dim, Graph, Instead, NodeId, Symbol, Symbols, ValueId};

/// An axis of a value: its size is counted.
pub(crate) type Site = (ValueId, usize);

/// What is known of the numbers that count lanes.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// The axes whose sizes a value's elements are made from.
    pub(crate) sites: HashMap<ValueId, BTreeSet<Site>>,
    /// Values made from sizes and constants alone.
    pub(crate) numbers: BTreeSet<ValueId>,
    /// Inputs that state sizes, which the cut states anew.
    pub(crate) restated: BTreeSet<(NodeId, usize)>,
    /// Inputs that state sizes of axes that are cut as the counted ones are: they are right by themselves.
    pub(crate) follows: BTreeSet<(NodeId, usize)>,
    /// Contents in which a counted size is a symbol: folding tells which elements are made from which sizes.
    pub(crate) instead: Instead,
    /// Axes that are pinned for being counted.
    pub(crate) pinned: BTreeSet<Site>,
    pub(crate) symbols: Symbols,
    pub(crate) counts: HashMap<Symbol, Site>,
}

impl Counted {
    pub(crate) fn new(graph: &Graph) -> Self {
        let stored = graph.stored.iter().map(|stored| stored.value);
        Self { symbols: graph.symbols.clone(), numbers: stored.collect(), ..Self::default() }
    }

    /// Says that an input states sizes which the cut states anew where they change.
    pub(crate) fn restates(&mut self, node: NodeId, input: usize) {
        self.restated.insert((node, input));
    }

    /// Says that an input states sizes of axes that are cut as the counted ones are.
    pub(crate) fn follows(&mut self, node: NodeId, input: usize) {
        self.follows.insert((node, input));
    }

    /// The axis whose size each element of a list is; `None` in places that count nothing. `None` altogether where an
    /// element is worked out from counts.
    pub(crate) fn elements(&self, value: ValueId) -> Option<Vec<Option<Site>>> {
        let Some(content) = self.instead.contents.get(&value) else {
            return self.sites_of(value).next().is_none().then(Vec::new);
        };
        let site = |size: &Dim| {
            let counted = || size.symbols().iter().find_map(|symbol| self.counts.get(symbol));
            match (size.at(1) as i64, size.symbols()) {
                (1, [symbol]) => Some(self.counts.get(symbol).copied()),
                _ => counted().is_none().then_some(None),
            }
        };
        content.dims()?.iter().map(site).collect()
    }

    /// The inputs that are right by themselves.
    pub(crate) fn following(&self) -> &BTreeSet<(NodeId, usize)> {
        &self.follows
    }

    /// The axes counted at every input that is stated anew.
    pub(crate) fn restated(&self, graph: &Graph) -> HashMap<(NodeId, usize), Vec<Site>> {
        let counted = |&(node, input): &(NodeId, usize)| {
            let value = graph.node(node).input(input)?;
            Some(((node, input), self.sites_of(value).copied().collect()))
        };
        self.restated.iter().filter_map(counted).filter(|(_, sites): &(_, Vec<Site>)| !sites.is_empty()).collect()
    }

    /// The axes that a value counts.
    pub(crate) fn sites_of(&self, value: ValueId) -> impl Iterator<Item = &Site> {
        self.sites.get(&value).into_iter().flatten()
    }
}
