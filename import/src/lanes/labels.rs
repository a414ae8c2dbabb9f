//! Labels, their classes, and why a class may not be cut.

use std::fmt;

/// A label; labels of one class are cut together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(u32);

/// The kind of reason for which lanes are pinned. The text form is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinCode {
    /// The lane reaches an input of the graph.
    GraphInput,
    /// The lane reaches an output of the graph.
    GraphOutput,
    /// The lane reaches an operator without a row, or one whose row does not cover the use.
    Opaque,
    /// The operator mixes lanes in a way that has no exact cut form.
    NoExactForm,
    /// A reshape mixes the axis with others.
    LayoutTooMixed,
    /// The lane meets a partner that cannot be cut.
    UncutPartner,
    /// How many lanes there are is used as a number: in a product, as an output, as a bound.
    Counted,
    /// Two computed values are contracted over the lane.
    ActivationProduct,
    /// The user asked to keep it.
    Keep,
    /// A check found that a cut with it is not exact.
    GateRefused,
    /// The lane fills an axis alone; cutting it would leave nothing.
    WholeAxis,
    /// Nothing reads the lane.
    Unread,
    /// The graph has more indices than labels are kept for.
    TooLarge,
    /// Kernel extents and other axes that are structure, not lanes.
    Structure,
}

impl PinCode {
    /// The stable text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GraphInput => "graph-input",
            Self::GraphOutput => "graph-output",
            Self::Opaque => "opaque-operator",
            Self::NoExactForm => "no-exact-form",
            Self::LayoutTooMixed => "layout-too-mixed",
            Self::UncutPartner => "uncut-partner",
            Self::Counted => "counted-as-data",
            Self::ActivationProduct => "activation-product",
            Self::Keep => "keep-pattern",
            Self::GateRefused => "gate-refused",
            Self::WholeAxis => "whole-axis",
            Self::Unread => "unread",
            Self::TooLarge => "too-large",
            Self::Structure => "structure",
        }
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
    parent: Vec<u32>,
    pinned: Vec<Option<Reason>>,
    /// Why labels of a class were united across an axis, should that leave nothing to cut.
    held: Vec<Option<Reason>>,
}

impl Labels {
    pub(crate) fn fresh(&mut self) -> Label {
        let label = self.parent.len() as u32;
        self.parent.push(label);
        self.pinned.push(None);
        self.held.push(None);
        Label(label)
    }

    /// The representative of a label's class.
    pub(crate) fn find(&mut self, label: Label) -> Label {
        let mut root = label.0;
        while self.parent[root as usize] != root {
            let next = self.parent[root as usize];
            self.parent[root as usize] = self.parent[next as usize];
            root = next;
        }
        Label(root)
    }

    pub(crate) fn unite(&mut self, a: Label, b: Label) {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return;
        }
        let (root, leaf) = if a < b { (a, b) } else { (b, a) };
        self.parent[leaf.0 as usize] = root.0;
        for reasons in [&mut self.pinned, &mut self.held] {
            let reason = reasons[leaf.0 as usize].take();
            reasons[root.0 as usize] = reasons[root.0 as usize].take().or(reason);
        }
    }

    /// Says why a label's class is what it is, should it turn out to fill an axis; the first reason stays.
    pub(crate) fn hold(&mut self, label: Label, reason: &Reason) {
        let root = self.find(label);
        self.held[root.0 as usize].get_or_insert_with(|| reason.clone());
    }

    pub(crate) fn held(&mut self, label: Label) -> Option<&Reason> {
        let root = self.find(label);
        self.held[root.0 as usize].as_ref()
    }

    /// Pins a label's class; the first reason stays.
    pub(crate) fn pin(&mut self, label: Label, reason: &Reason) {
        let root = self.find(label);
        self.pinned[root.0 as usize].get_or_insert_with(|| reason.clone());
    }

    pub(crate) fn pinned(&mut self, label: Label) -> Option<&Reason> {
        let root = self.find(label);
        self.pinned[root.0 as usize].as_ref()
    }
}
