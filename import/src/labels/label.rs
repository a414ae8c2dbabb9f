//! Labels, their classes, and why a class may not be cut.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use crate::graph::codes;

/// A label; labels of one class are cut together. One that may be missing takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(NonZeroU32);

impl Label {
    /// The label's number, from 0.
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

codes! {
    /// The kind of reason for which lanes are pinned.
    PinCode {
        /// The lane reaches an input of the graph.
        GraphInput = "graph-input",
        /// The lane reaches an output of the graph.
        GraphOutput = "graph-output",
        /// The lane reaches an operator without a row, or one whose row does not cover the use.
        Opaque = "opaque-operator",
        /// The operator mixes lanes in a way that has no exact cut form.
        NoExactForm = "no-exact-form",
        /// A reshape mixes the axis with others.
        LayoutTooMixed = "layout-too-mixed",
        /// The lane meets a partner that cannot be cut.
        UncutPartner = "uncut-partner",
        /// How many lanes there are is used as a number: as an output, as a bound.
        Counted = "counted-as-data",
        /// Two computed values are contracted over the lane.
        ActivationProduct = "activation-product",
        /// The user asked to keep it.
        Keep = "keep-pattern",
        /// A check found that a cut with it is not exact.
        GateRefused = "gate-refused",
        /// The lane fills an axis alone; cutting it would leave nothing.
        WholeAxis = "whole-axis",
        /// Nothing reads the lane.
        Unread = "unread",
        /// The graph has more indices than labels are kept for.
        TooLarge = "too-large",
        /// Kernel extents and other axes that are structure, not lanes.
        Structure = "structure",
    }
}

impl fmt::Display for PinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a class is pinned: the kind, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// The kind.
    pub code: PinCode,
    /// The node or value that pins.
    pub place: String,
}

/// Classes of labels (union-find) with their pins.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    parent: Vec<Label>,
    pinned: Vec<Option<Kept>>,
    /// Why labels of a class were united across an axis, should that leave nothing to cut.
    held: Vec<Option<Kept>>,
    reasons: Vec<Reason>,
}

/// A reason's place among those that are kept, counted from 1.
type Kept = NonZeroU32;

impl Labels {
    /// A new label, in a class of its own.
    ///
    /// # Panics
    /// After 2³² − 1 of them; the bound on what the analysis walks is far below.
    pub(crate) fn fresh(&mut self) -> Label {
        let label = Label(number(self.parent.len() + 1));
        self.parent.push(label);
        self.pinned.push(None);
        self.held.push(None);
        label
    }

    /// How many labels there are.
    pub(crate) fn len(&self) -> usize {
        self.parent.len()
    }

    /// The representative of a label's class.
    pub(crate) fn find(&mut self, label: Label) -> Label {
        let mut root = label;
        while self.parent[root.index()] != root {
            let next = self.parent[root.index()];
            self.parent[root.index()] = self.parent[next.index()];
            root = next;
        }
        root
    }

    pub(crate) fn unite(&mut self, a: Label, b: Label) {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return;
        }
        let (root, leaf) = if a < b { (a, b) } else { (b, a) };
        self.parent[leaf.index()] = root;
        for reasons in [&mut self.pinned, &mut self.held] {
            let reason = reasons[leaf.index()].take();
            reasons[root.index()] = reasons[root.index()].or(reason);
        }
    }

    /// Says why a label's class is what it is, should it turn out to fill an axis; the first reason stays.
    pub(crate) fn hold(&mut self, label: Label, reason: &Reason) {
        let root = self.find(label).index();
        if self.held[root].is_none() {
            self.held[root] = Some(self.keep(reason));
        }
    }

    pub(crate) fn held(&mut self, label: Label) -> Option<&Reason> {
        let root = self.find(label).index();
        self.reason(self.held[root])
    }

    /// Pins a label's class; the first reason stays.
    pub(crate) fn pin(&mut self, label: Label, reason: &Reason) {
        let root = self.find(label).index();
        if self.pinned[root].is_none() {
            self.pinned[root] = Some(self.keep(reason));
        }
    }

    pub(crate) fn is_pinned(&mut self, label: Label) -> bool {
        let root = self.find(label).index();
        self.pinned[root].is_some()
    }

    /// How many of some labels are pinned for each reason.
    pub(crate) fn count_pins<'l>(&mut self, labels: impl Iterator<Item = &'l Label>) -> BTreeMap<Reason, usize> {
        let mut kept: BTreeMap<Kept, usize> = BTreeMap::new();
        for &label in labels {
            let root = self.find(label).index();
            if let Some(reason) = self.pinned[root] {
                *kept.entry(reason).or_default() += 1;
            }
        }
        let mut counts = BTreeMap::new();
        for (reason, count) in kept {
            if let Some(reason) = self.reason(Some(reason)) {
                *counts.entry(reason.clone()).or_default() += count;
            }
        }
        counts
    }

    /// Keeps a reason once, however many labels in a row are pinned for it.
    fn keep(&mut self, reason: &Reason) -> Kept {
        if self.reasons.last() != Some(reason) {
            self.reasons.push(reason.clone());
        }
        number(self.reasons.len())
    }

    fn reason(&self, kept: Option<Kept>) -> Option<&Reason> {
        self.reasons.get(kept?.get() as usize - 1)
    }
}

/// A count from 1 in 32 bits.
fn number(count: usize) -> NonZeroU32 {
    match u32::try_from(count).ok().and_then(NonZeroU32::new) {
        Some(number) => number,
        None => panic!("{count} labels were asked for"),
    }
}
