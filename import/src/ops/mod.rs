//! The operator table: one row per operator, one file per operator family.
//!
//! A row says which revisions are understood and gives four functions: `infer` (types and shapes), `fold` (elements of
//! small constants), `cost` (work as products of sizes) and `lanes` (which indices go together).
//! Nothing outside this folder, and the lowering folders named like it, looks at an operator's name.

mod beyond;
mod bias;
mod conv;
mod cost_view;
mod elementwise;
mod fold_view;
mod gemm;
mod infer_view;
mod join;
mod layout;
mod normalization;
mod pad;
mod part;
mod pool;
mod random;
mod reduce;
mod resize;
mod role;
mod shape;

use std::ops::RangeInclusive;

pub use beyond::{may_contract, may_hold_parameters};
pub use bias::{Bias, BiasOf};
pub use cost_view::{Cost, CostView, Product};
pub use elementwise::broadcast;
pub use fold_view::FoldView;
pub(crate) use fold_view::Instead;
pub use infer_view::{Fact, InferView};
pub use layout::permutation;
pub use part::taken;
pub use pool::{Padding, Window};
pub use random::draws_random;
pub use reduce::reduced_axes;
pub use resize::{Wanted, scaled, wanted};
pub use role::{FanIn, Role};
pub use shape::constant_value;

use crate::graph::{Content, Graph, Node, Refusal, ValueId};
use crate::lanes::LaneView;

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
    /// Operator-set versions whose meaning the row covers.
    pub opsets: RangeInclusive<i64>,
    /// Types and shapes.
    pub infer: Infer,
    /// Elements of small constants.
    pub fold: Fold,
    /// Work.
    pub cost: CostOf,
    /// Lanes.
    pub lanes: LanesOf,
    /// Whether the output holds sizes of the first input, and nothing else is read of it.
    pub measures: bool,
    /// Inputs that state sizes of the output.
    pub sizes: &'static [usize],
    /// Inputs that hold parameters when they are stored, and what they are.
    pub parameters: &'static [(usize, Role)],
    /// How many products each output sums over.
    pub fan_in: FanIn,
    /// Attributes and constant inputs that count lanes.
    pub counts: Counts,
    /// How a constant is added to the output.
    pub bias: BiasOf,
}

/// The newest operator-set version whose changes were checked against the rows.
pub const NEWEST_OPSET: i64 = 24;

impl OpRow {
    /// A row without parameters, contents, work of its own or counted attributes.
    const fn new(name: &'static str, infer: Infer, lanes: LanesOf) -> Self {
        Self {
            name,
            domain: "",
            opsets: 1..=NEWEST_OPSET,
            infer,
            fold: FoldView::unknown,
            cost: CostView::per_output_element,
            lanes,
            measures: false,
            sizes: &[],
            parameters: &[],
            fan_in: role::no_sum,
            counts: Resized::nothing,
            bias: bias::none,
        }
    }

    const fn opsets(mut self, opsets: RangeInclusive<i64>) -> Self {
        self.opsets = opsets;
        self
    }

    const fn fold(mut self, fold: Fold) -> Self {
        self.fold = fold;
        self
    }

    const fn cost(mut self, cost: CostOf) -> Self {
        self.cost = cost;
        self
    }

    const fn measures(mut self) -> Self {
        self.measures = true;
        self
    }

    const fn sizes(mut self, inputs: &'static [usize]) -> Self {
        self.sizes = inputs;
        self
    }

    const fn parameters(mut self, inputs: &'static [(usize, Role)]) -> Self {
        self.parameters = inputs;
        self
    }

    const fn fan_in(mut self, fan_in: FanIn) -> Self {
        self.fan_in = fan_in;
        self
    }

    const fn bias(mut self, bias: BiasOf) -> Self {
        self.bias = bias;
        self
    }

    const fn counts(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }
}

/// A node with the sizes it has after a cut.
pub struct Resized<'a> {
    /// The dense graph.
    pub graph: &'a Graph,
    /// The node.
    pub node: &'a Node,
    /// Sizes of its inputs after the cut, in order; `None` where unknown.
    pub inputs: Vec<Option<crate::graph::Shape>>,
    /// Sizes of its outputs after the cut.
    pub outputs: Vec<Option<crate::graph::Shape>>,
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
}

impl Resized<'_> {
    /// For operators in which nothing counts lanes.
    pub fn nothing(_: &Resized) -> Vec<Rewrite> {
        Vec::new()
    }

    /// Whether the numbers that reach an input change with the cut, so that it is to be stated anew in any case.
    fn moves(&self, input: usize) -> bool {
        self.moved.contains(&input)
    }

    /// Whether the sizes that reach an input are the new ones already.
    fn follows(&self, input: usize) -> bool {
        self.following.contains(&input)
    }

    /// The indices that stay on an axis of an input; `None` when all do.
    fn kept_in(&self, input: usize, axis: usize) -> Option<&'_ [usize]> {
        (self.kept)(self.node.input(input)?, axis)
    }

    /// The indices that stay on an axis of the first output; `None` when all do.
    fn kept_out(&self, axis: usize) -> Option<&'_ [usize]> {
        (self.kept)(self.node.output(0)?, axis)
    }

    /// The change of a list that older revisions give as an attribute and newer ones as an input.
    fn list(&self, attribute: &'static str, input: usize, values: Vec<i64>) -> Rewrite {
        if self.node.ints(attribute).is_some() {
            Rewrite::Ints(attribute, values)
        } else {
            Rewrite::Input(input, values)
        }
    }
}

/// All rows, family by family.
pub fn rows() -> impl Iterator<Item = &'static OpRow> {
    [
        conv::ROWS,
        gemm::ROWS,
        normalization::ROWS,
        elementwise::ROWS,
        pool::ROWS,
        reduce::ROWS,
        resize::ROWS,
        layout::ROWS,
        join::ROWS,
        part::ROWS,
        pad::ROWS,
        shape::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row of an operator by name, whatever the version.
pub fn row(domain: &str, op: &str) -> Option<&'static OpRow> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    rows().find(|row| row.name == op && row.domain == domain)
}
