//! Axes as ordered lists of factors, some of them labelled.
//!
//! Reshape splits and joins factors, transpose moves them; a label says which lane an index belongs to. When a
//! labelled factor is split, its parts share one [`Block`] of labels, so that joining them again gives the old axis
//! back, and joining them in another order gives a permuted one.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::label::{Label, Labels, Reason};
use crate::graph::{Dim, product};

/// Axes longer than this carry no labels.
pub(crate) const LABEL_LIMIT: usize = 1 << 20;

/// Labels over one or more factors, row-major.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) extents: Vec<usize>,
    pub(crate) labels: Vec<Label>,
}

impl Block {
    /// Unites labels that have the same indices on some dimensions.
    pub(crate) fn unite_slices(&self, labels: &mut Labels, dims: &[usize]) {
        self.firsts(labels, dims);
    }

    /// Unites labels that have the same indices on some dimensions, and gives the first of each, row-major over those.
    fn firsts(&self, labels: &mut Labels, dims: &[usize]) -> Vec<Option<Label>> {
        let slice = Projection::new(&self.extents, dims);
        let mut firsts: Vec<Option<Label>> = vec![None; slice.len()];
        for (flat, &label) in self.labels.iter().enumerate() {
            match &mut firsts[slice.of(flat)] {
                Some(first) => labels.unite(*first, label),
                none => *none = Some(label),
            }
        }
        firsts
    }

    /// The same labels with one dimension split in two.
    fn split(&self, dim: usize, outer: usize, inner: usize) -> Self {
        let mut extents = self.extents.clone();
        extents.splice(dim..=dim, [outer, inner]);
        Self { extents, labels: self.labels.clone() }
    }
}

/// One factor of an axis.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    pub(crate) extent: Dim,
    /// The block of labels and which of its dimensions this is.
    pub(crate) labels: Option<(Arc<Block>, usize)>,
}

/// One axis: the product of its factors, the first outermost. No factor means extent 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis(pub(crate) Vec<Factor>);

/// The axes of one value.
pub(crate) type Layout = Vec<Axis>;

impl Axis {
    /// An axis that is never cut.
    pub(crate) fn plain(extent: &Dim) -> Self {
        if extent.is(1) {
            return Self::default();
        }
        Self(vec![Factor { extent: extent.clone(), labels: None }])
    }

    /// An axis with one label per index.
    pub(crate) fn labelled(labels: Vec<Label>) -> Self {
        let extent = Dim::known(labels.len() as i64);
        let block = Block { extents: vec![labels.len()], labels };
        Self(vec![Factor { extent, labels: Some((Arc::new(block), 0)) }])
    }

    /// Whether this is known to have one index.
    pub(crate) fn is_one(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has_labels(&self) -> bool {
        self.0.iter().any(|f| f.labels.is_some())
    }

    /// Whether no label of this axis lies on another axis too.
    pub(crate) fn holds_whole_blocks(&self) -> bool {
        let blocks = || self.0.iter().filter_map(|factor| factor.labels.as_ref().map(|(block, _)| block));
        blocks().all(|block| blocks().filter(|other| Arc::ptr_eq(block, other)).count() == block.extents.len())
    }

    pub(crate) fn extent(&self) -> Option<usize> {
        product(self.0.iter().map(|f| &f.extent))?.extent()
    }

    /// How many indices have to be gone over to say their labels.
    pub(crate) fn labelled_extent(&self) -> usize {
        let blocks = self.0.iter().filter_map(|f| f.labels.as_ref());
        let Some(largest) = blocks.map(|(block, _)| block.labels.len()).max() else { return 0 };
        self.extent().map_or(largest, |extent| extent.min(LABEL_LIMIT).max(largest))
    }

    /// Every label on this axis.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Label> {
        self.0.iter().filter_map(|f| f.labels.as_ref()).flat_map(|(block, _)| block.labels.iter().copied())
    }

    /// One label per index, `None` at indices that are never cut. Labels that share an index because the rest of
    /// their block lies on other axes are united. Gives `None` when the axis is too long or too mixed.
    pub(crate) fn materialise(&self, labels: &mut Labels) -> Option<Vec<Option<Label>>> {
        if let Some(all) = self.one_each() {
            return Some(all.iter().copied().map(Some).collect());
        }
        let extent = self.extent().filter(|&n| n <= LABEL_LIMIT)?;
        let Some(block) = self.only_block()? else { return Some(vec![None; extent]) };
        let extents: Vec<usize> = self.0.iter().map(|f| f.extent.extent()).collect::<Option<_>>()?;
        let labelled: Vec<usize> = (0..self.0.len()).filter(|&i| self.0[i].labels.is_some()).collect();
        let here = self.block_dims();
        if !distinct(&here) {
            return None;
        }
        if extent == 0 {
            return Some(Vec::new());
        }
        let firsts = block.firsts(labels, &here);
        let slice = Projection::new(&extents, &labelled);
        Some((0..extent).map(|index| firsts[slice.of(index)]).collect())
    }

    /// The labels of an axis that is one whole block, as most are: one for each index.
    fn one_each(&self) -> Option<&[Label]> {
        match self.0.as_slice() {
            [Factor { labels: Some((block, 0)), .. }] if block.extents.len() == 1 => Some(&block.labels),
            _ => None,
        }
    }

    /// Whether some index of this axis holds labels of several classes: then the cut is along another factor.
    pub(crate) fn crosses_cut(&self, labels: &mut Labels) -> bool {
        let Some(Some(block)) = self.only_block() else { return false };
        let here = self.block_dims();
        if here.len() == block.extents.len() {
            return false;
        }
        let slice = Projection::new(&block.extents, &here);
        let mut firsts: Vec<Option<Label>> = vec![None; slice.len()];
        block.labels.iter().enumerate().any(|(flat, &label)| {
            let class = labels.find(label);
            *firsts[slice.of(flat)].get_or_insert(class) != class
        })
    }

    /// The same axis, seen by who cuts: where several blocks meet on it, those that are pinned throughout count as plain.
    pub(crate) fn without_pinned_blocks(&self, labels: &mut Labels) -> Cow<'_, Self> {
        if self.only_block().is_some() {
            return Cow::Borrowed(self);
        }
        let factors = self.0.iter().map(|factor| {
            let mut pinned = |(block, _): &(Arc<Block>, usize)| block.labels.iter().all(|&l| labels.is_pinned(l));
            let labels = factor.labels.clone().filter(|on| !pinned(on));
            Factor { extent: factor.extent.clone(), labels }
        });
        Cow::Owned(Self(factors.collect()))
    }

    /// The block on this axis: `Some(None)` without labels, `None` when there are several.
    fn only_block(&self) -> Option<Option<&Arc<Block>>> {
        let mut blocks = self.0.iter().filter_map(|f| f.labels.as_ref()).map(|(block, _)| block);
        let first = blocks.next();
        match first {
            Some(first) if blocks.any(|b| !Arc::ptr_eq(first, b)) => None,
            _ => Some(first),
        }
    }

    fn block_dims(&self) -> Vec<usize> {
        self.0.iter().filter_map(|f| f.labels.as_ref()).map(|(_, dim)| *dim).collect()
    }
}

/// Whether no dimension of a block lies on an axis twice, as in the flattened product of a value with itself.
fn distinct(dims: &[usize]) -> bool {
    dims.iter().enumerate().all(|(at, dim)| !dims[..at].contains(dim))
}

/// From row-major indices over some dimensions to those over chosen ones of them.
pub(crate) struct Projection {
    steps: Vec<Step>,
    len: usize,
}

/// What one chosen dimension adds to the index.
struct Step {
    /// How far apart its indices are before, its extent, and how far apart they are after.
    from: usize,
    extent: usize,
    to: usize,
}

impl Projection {
    /// Onto the `chosen` dimensions, in the order given.
    pub(crate) fn new(extents: &[usize], chosen: &[usize]) -> Self {
        let mut len = 1;
        let mut steps: Vec<Step> = Vec::with_capacity(chosen.len());
        for &dim in chosen.iter().rev() {
            steps.push(Step { from: extents[dim + 1..].iter().product(), extent: extents[dim], to: len });
            len *= extents[dim];
        }
        Self { steps, len }
    }

    /// How many indices there are over the chosen dimensions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The index over the chosen dimensions.
    pub(crate) fn of(&self, flat: usize) -> usize {
        self.steps.iter().map(|step| flat / step.from % step.extent * step.to).sum()
    }
}

/// Unites two axes index by index; where only one side has a label, that label is pinned.
pub(crate) fn unite(labels: &mut Labels, a: &Axis, b: &Axis, reason: &Reason) {
    if !a.has_labels() && !b.has_labels() || same_factors(a, b) {
        return;
    }
    match align(a, b) {
        Some(pairs) => pairs.iter().for_each(|(a, b)| unite_indices(labels, a, b, reason)),
        None => unite_indices(labels, a, b, reason),
    }
}

/// Pairs of factors of equal extent, when the two axes are made alike; plain factors are split where that helps.
fn align(a: &Axis, b: &Axis) -> Option<Vec<(Axis, Axis)>> {
    let mut left: VecDeque<Factor> = a.0.iter().cloned().collect();
    let mut right: VecDeque<Factor> = b.0.iter().cloned().collect();
    let mut pairs = Vec::new();
    while let (Some(x), Some(y)) = (left.pop_front(), right.pop_front()) {
        let (x, y) = if x.extent == y.extent {
            (x, y)
        } else if let Some((x, rest)) = shorten(&x, &y.extent) {
            left.push_front(rest);
            (x, y)
        } else {
            let (y, rest) = shorten(&y, &x.extent)?;
            right.push_front(rest);
            (x, y)
        };
        pairs.push((Axis(vec![x]), Axis(vec![y])));
    }
    (left.is_empty() && right.is_empty()).then_some(pairs)
}

/// Splits a plain factor after its outer part of the given extent.
fn shorten(factor: &Factor, outer: &Dim) -> Option<(Factor, Factor)> {
    let inner = factor.extent.divide(outer).filter(|_| factor.labels.is_none())?;
    let part = |extent: &Dim| Factor { extent: extent.clone(), labels: None };
    Some((part(outer), part(&inner)))
}

fn unite_indices(labels: &mut Labels, a: &Axis, b: &Axis, reason: &Reason) {
    if same_factors(a, b) {
        return;
    }
    if let (Some(a), Some(b)) = (a.one_each(), b.one_each())
        && a.len() == b.len()
    {
        return a.iter().zip(b).for_each(|(&a, &b)| labels.unite(a, b));
    }
    match (a.materialise(labels), b.materialise(labels)) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            for pair in a.into_iter().zip(b) {
                match pair {
                    (Some(a), Some(b)) => labels.unite(a, b),
                    (Some(one), None) | (None, Some(one)) => labels.pin(one, reason),
                    (None, None) => {}
                }
            }
        }
        _ => {
            pin(labels, a, reason);
            pin(labels, b, reason);
        }
    }
}

/// Whether two axes hold the same labels at the same indices.
fn same_factors(a: &Axis, b: &Axis) -> bool {
    let same = |(a, b): (&Factor, &Factor)| match (&a.labels, &b.labels) {
        (Some((x, i)), Some((y, j))) => i == j && Arc::ptr_eq(x, y),
        (None, None) => a.extent == b.extent,
        _ => false,
    };
    a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(same)
}

/// Pins every label on an axis.
pub(crate) fn pin(labels: &mut Labels, axis: &Axis, reason: &Reason) {
    for label in axis.labels() {
        labels.pin(label, reason);
    }
}

/// Nothing is cut along an axis. Where a block lies on other axes too, whole slices along those may still be cut: the
/// labels across this axis are united. A block that lies here alone is pinned.
pub(crate) fn fix(labels: &mut Labels, axis: &Axis, reason: &Reason) {
    for (block, _) in axis.0.iter().filter_map(|factor| factor.labels.as_ref()) {
        let on = |factor: &&Factor| factor.labels.as_ref().is_some_and(|(other, _)| Arc::ptr_eq(block, other));
        let here: Vec<usize> = axis.0.iter().filter(on).filter_map(|f| Some(f.labels.as_ref()?.1)).collect();
        let elsewhere: Vec<usize> = (0..block.extents.len()).filter(|dim| !here.contains(dim)).collect();
        if elsewhere.is_empty() {
            block.labels.iter().for_each(|&label| labels.pin(label, reason));
        } else {
            block.unite_slices(labels, &elsewhere);
            block.labels.iter().for_each(|&label| labels.hold(label, reason));
        }
    }
}

/// Regroups the factors of `layout` into axes of the given sizes. Gives `None` when a factor would have to be split
/// unevenly or the sizes are not known to match.
pub(crate) fn reshape(layout: &[Axis], sizes: &[Dim]) -> Option<Layout> {
    let mut factors: Vec<Factor> = layout.iter().flat_map(|axis| axis.0.iter().cloned()).collect();
    let mut next = 0;
    let mut ranges = Vec::with_capacity(sizes.len());
    for size in sizes {
        let end = take(&mut factors, next, size)?;
        ranges.push(next..end);
        next = end;
    }
    (next == factors.len()).then(|| ranges.into_iter().map(|range| join(&factors[range])).collect())
}

/// The end of the factors from `next` on whose product is `size`; the last one is split where needed.
fn take(factors: &mut Vec<Factor>, mut next: usize, size: &Dim) -> Option<usize> {
    let mut open = size.clone();
    while !open.is(1) {
        let extent = factors.get(next)?.extent.clone();
        if let Some(rest) = open.divide(&extent) {
            open = rest;
        } else {
            let rest = extent.divide(&open)?;
            split(factors, next, &open, &rest)?;
            open = Dim::known(1);
        }
        next += 1;
    }
    Some(next)
}

/// Splits a factor in two. The other parts of its block, on whatever axes they lie, follow to the finer block.
fn split(factors: &mut Vec<Factor>, at: usize, outer: &Dim, inner: &Dim) -> Option<()> {
    let mut part = Factor { extent: inner.clone(), labels: None };
    if let Some((old, dim)) = factors[at].labels.clone() {
        let finer = Arc::new(old.split(dim, outer.extent()?, inner.extent()?));
        part.labels = Some((finer.clone(), dim + 1));
        for (place, factor) in factors.iter_mut().enumerate() {
            match &mut factor.labels {
                Some((block, on)) if Arc::ptr_eq(block, &old) => {
                    // A part that lies on two axes, as in the product of a value with itself.
                    if place != at && *on == dim {
                        return None;
                    }
                    *block = finer.clone();
                    *on += usize::from(*on > dim);
                }
                _ => {}
            }
        }
    }
    factors[at].extent = outer.clone();
    factors.insert(at + 1, part);
    Some(())
}

/// Joins the factors of one whole block that lie side by side into a single factor, permuted if they are out of order.
fn join(factors: &[Factor]) -> Axis {
    let mut joined: Vec<Factor> = Vec::new();
    let mut rest = factors;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|f| same_block(first, f)).count().max(1);
        let (here, after) = rest.split_at(run);
        joined.extend(join_run(here).map_or_else(|| here.to_vec(), |f| vec![f]));
        rest = after;
    }
    Axis(joined)
}

fn same_block(a: &Factor, b: &Factor) -> bool {
    matches!((&a.labels, &b.labels), (Some((x, _)), Some((y, _))) if Arc::ptr_eq(x, y))
}

fn join_run(run: &[Factor]) -> Option<Factor> {
    let (block, _) = run.first()?.labels.as_ref()?;
    let order: Vec<usize> = run.iter().filter_map(|f| f.labels.as_ref()).map(|(_, dim)| *dim).collect();
    if run.len() < 2 || run.len() != block.extents.len() || !distinct(&order) {
        return None;
    }
    let place = Projection::new(&block.extents, &order);
    let mut labels = vec![block.labels[0]; block.labels.len()];
    for (flat, &label) in block.labels.iter().enumerate() {
        labels[place.of(flat)] = label;
    }
    let block = Block { extents: vec![labels.len()], labels };
    Some(Factor { extent: Dim::known(block.labels.len() as i64), labels: Some((Arc::new(block), 0)) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn axis(labels: &mut Labels, n: usize) -> Axis {
        Axis::labelled((0..n).map(|_| labels.fresh()).collect())
    }

    fn dims(sizes: &[i64]) -> Vec<Dim> {
        sizes.iter().map(|&n| Dim::known(n)).collect()
    }

    #[test]
    fn flatten_repeats_a_channel_over_space() {
        let mut labels = Labels::default();
        let layout = vec![axis(&mut labels, 3), Axis::plain(&Dim::known(2))];
        let flat = reshape(&layout, &dims(&[6])).unwrap();
        let found = flat[0].materialise(&mut labels).unwrap();
        assert_eq!(found[0], found[1]);
        assert_ne!(found[1], found[2]);
    }

    #[test]
    fn shuffle_permutes_labels() {
        let mut labels = Labels::default();
        let channels = axis(&mut labels, 6);
        let before = channels.materialise(&mut labels).unwrap();
        let mut split = reshape(&[channels], &dims(&[2, 3])).unwrap();
        split.swap(0, 1);
        let after = reshape(&split, &dims(&[6])).unwrap()[0].materialise(&mut labels).unwrap();
        let expected: Vec<_> = [0, 3, 1, 4, 2, 5].iter().map(|&i| before[i]).collect();
        assert_eq!(after, expected);
    }

    #[test]
    fn uneven_splits_have_no_layout() {
        let mut labels = Labels::default();
        let layout = vec![axis(&mut labels, 6)];
        assert!(reshape(&layout, &dims(&[4, 2])).is_none());
        assert!(reshape(&layout, &dims(&[6, 2])).is_none());
    }
}
