//! A row of the operator table, and what its functions are given.

use std::ops::Range;

use super::compute::Compute;
pub(super) use super::contraction::Contraction;
use super::contraction::{ContractionOf, none};
pub(super) use super::cost_view::{Cost, CostView};
pub(super) use super::family::Family;
pub(super) use super::fold_view::FoldView;
pub(super) use super::infer_view::{Fact, InferView};
use super::quantization::Quantised;
pub(super) use super::role::Role;
use super::role::{FanIn, no_sum};
pub(super) use super::summary::Summary;
use crate::graph::{Content, Graph, Node, Refusal, Shape, ValueId};
use crate::labels::LaneView;

/// Types and shapes of a node's outputs, one [`Fact`] per output.
pub type Infer = fn(&mut InferView) -> Result<Vec<Fact>, Box<Refusal>>;
/// Elements of the first output, when the inputs' elements are known.
pub type Fold = fn(&FoldView) -> Option<Content>;
/// Work of one run, as products of sizes.
pub type CostOf = fn(&CostView) -> Cost;
/// Which indices of the node's axes go together.
pub type LanesOf = fn(&mut LaneView);
/// What in a node counts lanes, given the sizes after a cut.
pub type Counts = fn(&Resized) -> Vec<Rewrite>;

/// One operator.
#[derive(Debug)]
pub struct OpRow {
    /// Operator name.
    pub name: &'static str,
    /// Operator domain; the default domain is the empty string.
    pub domain: &'static str,
    /// The revisions that the row was checked against: the operator sets that defined the operator anew, up to
    /// [`NEWEST_OPSET`]. One that is not listed is not covered.
    pub revisions: &'static [i64],
    /// The operator set from which another row says what the operator means, or none does.
    pub before: i64,
    /// Types and shapes.
    pub infer: Infer,
    /// Elements of small constants.
    pub fold: Fold,
    /// All elements of the first output, for operators that constants are made with.
    pub compute: Option<Compute>,
    /// Work.
    pub cost: CostOf,
    /// Lanes.
    pub lanes: LanesOf,
    /// What becomes of lanes, in words.
    pub lanes_in_words: &'static str,
    /// Forms that are not covered, and the like.
    pub notes: &'static str,
    /// Whether the output holds sizes of the first input, and nothing else is read of it.
    pub measures: bool,
    /// Whether it makes as many outputs as the file names.
    pub variadic: bool,
    /// Inputs that state sizes of the output.
    pub sizes: &'static [usize],
    /// Inputs that hold parameters when they are stored, and what they are.
    pub parameters: &'static [(usize, Role)],
    /// How many products each output sums over.
    pub fan_in: FanIn,
    /// Attributes and constant inputs that count lanes.
    pub counts: Counts,
    /// How it multiplies its data with a weight and sums.
    pub contraction: ContractionOf,
    /// How it leaves lanes out that it works on as a whole; `None` where there is no exact way.
    pub summary: Option<Summary>,
    /// What it does to what it reads.
    pub family: Family,
    /// Where it finds what quantised numbers stand for.
    pub quantised: &'static [Quantised],
}

/// The newest operator-set version whose changes were checked against the rows.
pub const NEWEST_OPSET: i64 = 28;

impl OpRow {
    /// A row without parameters, contents, work of its own or counted attributes.
    pub(super) const fn new(name: &'static str, revisions: &'static [i64], infer: Infer, lanes: LanesOf) -> Self {
        Self {
            name,
            domain: "",
            revisions,
            before: NEWEST_OPSET + 1,
            infer,
            fold: FoldView::unknown,
            compute: None,
            cost: CostView::per_output_element,
            lanes,
            lanes_in_words: "",
            notes: "",
            measures: false,
            variadic: false,
            sizes: &[],
            parameters: &[],
            fan_in: no_sum,
            counts: Resized::nothing,
            contraction: none,
            summary: None,
            family: Family::Other,
            quantised: &[],
        }
    }

    /// Says in words what the lane rule does.
    pub(super) const fn says(mut self, lanes: &'static str) -> Self {
        self.lanes_in_words = lanes;
        self
    }

    pub(super) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }

    pub(super) const fn before(mut self, opset: i64) -> Self {
        self.before = opset;
        self
    }

    pub(super) const fn fold(mut self, fold: Fold) -> Self {
        self.fold = fold;
        self
    }

    pub(super) const fn compute(mut self, compute: Compute) -> Self {
        self.compute = Some(compute);
        self
    }

    pub(super) const fn cost(mut self, cost: CostOf) -> Self {
        self.cost = cost;
        self
    }

    pub(super) const fn measures(mut self) -> Self {
        self.measures = true;
        self
    }

    /// It makes as many outputs as the file names.
    pub(super) const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    pub(super) const fn sizes(mut self, inputs: &'static [usize]) -> Self {
        self.sizes = inputs;
        self
    }

    pub(super) const fn parameters(mut self, inputs: &'static [(usize, Role)]) -> Self {
        self.parameters = inputs;
        self
    }

    pub(super) const fn fan_in(mut self, fan_in: FanIn) -> Self {
        self.fan_in = fan_in;
        self
    }

    /// It contracts, as this says.
    pub(super) const fn contraction(mut self, contraction: ContractionOf) -> Self {
        self.contraction = contraction;
        self.family(Family::Contraction)
    }

    pub(super) const fn summary(mut self, summary: Summary) -> Self {
        self.summary = Some(summary);
        self
    }

    pub(super) const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    pub(super) const fn quantised(mut self, quantised: &'static [Quantised]) -> Self {
        self.quantised = quantised;
        self
    }

    pub(super) const fn counts(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }
}

impl OpRow {
    /// The operator sets in which the row says what the operator means.
    pub fn opsets(&self) -> Range<i64> {
        self.revisions.first().copied().unwrap_or(self.before)..self.before
    }
}

/// A node with the sizes it has after a cut.
pub struct Resized<'a> {
    /// The dense graph.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// Sizes of its inputs after the cut, in order; `None` where unknown.
    pub inputs: Vec<Option<Shape>>,
    /// Sizes of its outputs after the cut.
    pub outputs: Vec<Option<Shape>>,
    /// The indices that stay on an axis of a value; `None` when all do.
    pub kept: &'a KeptOn<'a>,
    /// Inputs that state sizes and would hold other numbers after the cut than before it: they count lanes.
    pub moved: Vec<usize>,
    /// Inputs that state sizes of cut axes and are right by themselves: they are counted from axes that are cut alike.
    pub following: Vec<usize>,
}

/// The indices that stay on an axis of a value.
pub type KeptOn<'a> = dyn Fn(ValueId, usize) -> Option<&'a [usize]> + 'a;

/// A change that keeps a node right after a cut.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewrite {
    /// Set an integer attribute.
    Int(&'static str, i64),
    /// Set a list attribute.
    Ints(&'static str, Vec<i64>),
    /// Feed this input from a new constant list of integers.
    Input(usize, Vec<i64>),
    /// Leave this attribute out.
    Drop(&'static str),
    /// Become a Gather of these indices along an axis of the first input.
    Gather(usize, Vec<i64>),
}

/// Where indices lie among those that stay; those that do not stay are left out.
pub(super) fn moved_to(indices: impl Iterator<Item = i64>, kept: &[usize]) -> Vec<i64> {
    let place = |index: i64| Some(kept.binary_search(&usize::try_from(index).ok()?).ok()? as i64);
    indices.filter_map(place).collect()
}

impl Resized<'_> {
    /// For operators in which nothing counts lanes.
    pub fn nothing(_: &Resized) -> Vec<Rewrite> {
        Vec::new()
    }

    /// Whether the numbers that reach an input change with the cut, so that it is to be stated anew in any case.
    pub(super) fn moves(&self, input: usize) -> bool {
        self.moved.contains(&input)
    }

    /// Whether the sizes that reach an input are the new ones already.
    pub(super) fn follows(&self, input: usize) -> bool {
        self.following.contains(&input)
    }

    /// The indices that stay on an axis of an input; `None` when all do.
    pub(super) fn kept_in(&self, input: usize, axis: usize) -> Option<&'_ [usize]> {
        (self.kept)(self.node.input(input)?, axis)
    }

    /// The indices that stay on an axis of the first output; `None` when all do.
    pub(super) fn kept_out(&self, axis: usize) -> Option<&'_ [usize]> {
        (self.kept)(self.node.output(0)?, axis)
    }

    /// The change of a list that older revisions give as an attribute and newer ones as an input.
    pub(super) fn list(&self, attribute: &'static str, input: usize, values: Vec<i64>) -> Rewrite {
        if self.node.ints(attribute).is_some() {
            Rewrite::Ints(attribute, values)
        } else {
            Rewrite::Input(input, values)
        }
    }
}
