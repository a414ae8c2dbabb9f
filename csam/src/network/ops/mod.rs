//! The torch lowering of every operator, in files named like those of the operator table.

mod conv;
mod conv_transpose;
mod deform_conv;
mod elementwise;
mod gemm;
mod indexed;
mod join;
mod layout;
mod logic;
mod normalization;
mod pad;
mod part;
mod pool;
mod quantize;
mod reduce;
mod regions;
mod resize;
mod shape;
mod space;
mod window;

use import::Graph;
use import::graph::{Code, Dim, Node, Origin, Refusal, ValueId};
use import::ops::{Family, NEWEST_OPSET, row_of};

pub(super) use normalization::Normalise;

use super::op::Op;
use super::view::View;

/// An operator with its attributes resolved, or why there is none.
pub(super) type Lowered = Result<Box<dyn Op>, Box<Refusal>>;

/// Turns a node into an operator.
pub(super) type Lower = fn(&View) -> Lowered;

/// One operator's lowering.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) lower: Lower,
    /// The operator set from which another row lowers the operator, or none does.
    before: i64,
}

impl Row {
    const fn new(name: &'static str, lower: Lower) -> Self {
        Self { name, lower, before: NEWEST_OPSET + 1 }
    }

    const fn before(mut self, opset: i64) -> Self {
        self.before = opset;
        self
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        conv::ROWS,
        conv_transpose::ROWS,
        deform_conv::ROWS,
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
        logic::ROWS,
        space::ROWS,
        indexed::ROWS,
        quantize::ROWS,
        shape::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The lowering of an operator at an operator set; those of other domains have none.
pub(super) fn row(domain: &str, op: &str, opset: i64) -> Option<&'static Row> {
    let standard = matches!(domain, "" | "ai.onnx");
    let fitting = rows().filter(|row| standard && row.name == op && opset < row.before);
    fitting.min_by_key(|row| row.before)
}

/// The refusal of a node whose operator has no lowering.
pub(super) fn without_lowering(node: &Node) -> Refusal {
    let remedy = "cut without training, or export the model without it";
    Refusal::new(Code::UnknownOperator, node, "this operator has no torch lowering", remedy)
}

/// What the graph says of one of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The axis of the images.
    pub(super) batch: usize,
    /// The softmax that it comes from, with nothing but the order and grouping of its elements in between.
    pub(super) softmax: Option<Softmax>,
    /// Whether it is the only output, and one row of learned sums per image.
    pub(super) scores: bool,
}

/// Where an output's probabilities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Softmax {
    /// The output's axis of the classes, where nothing regroups axes behind the softmax.
    pub(super) axis: Option<usize>,
    /// The number of classes, where known.
    pub(super) classes: Option<i64>,
    /// Whether it gives log-probabilities.
    pub(super) logarithmic: bool,
}

/// What the graph says of each of some outputs.
pub(super) fn heads(graph: &Graph, outputs: &[ValueId]) -> Vec<Head> {
    let batch = graph.batch().map_or(&[][..], Dim::symbols);
    let carries = |size: &Dim| size.symbols().iter().any(|symbol| batch.contains(symbol));
    let head = |&output: &ValueId| {
        let shape = graph.value(output).shape.as_deref().unwrap_or_default();
        let (source, regrouped) = behind_layout(graph, output);
        let softmax = softmax(graph, source, regrouped);
        let scores = outputs.len() == 1 && softmax.is_none() && makes_scores(graph, source);
        Head { batch: shape.iter().position(carries).unwrap_or(0), softmax, scores }
    };
    outputs.iter().map(head).collect()
}

/// The value that an output repeats, and whether its axes were regrouped on the way.
fn behind_layout(graph: &Graph, output: ValueId) -> (ValueId, bool) {
    let (mut value, mut regrouped) = (output, false);
    while let Origin::Node(id, 0) = graph.value(value).origin {
        let node = graph.node(id);
        match (family(node), node.input(0)) {
            (Family::Same, Some(data)) => value = data,
            (Family::Regrouping, Some(data)) => (value, regrouped) = (data, true),
            _ => break,
        }
    }
    (value, regrouped)
}

fn softmax(graph: &Graph, value: ValueId, regrouped: bool) -> Option<Softmax> {
    let Origin::Node(id, _) = graph.value(value).origin else { return None };
    let node = graph.node(id);
    let Family::Softmax { logarithmic, flattening } = family(node) else { return None };
    let axis = node.int_or("axis", if flattening { 1 } else { -1 });
    let shape = graph.value(value).shape.as_ref();
    let axis = if axis < 0 { axis + shape?.len() as i64 } else { axis };
    let axis = usize::try_from(axis).ok()?;
    let all = |sizes: &[Dim]| sizes.iter().map(Dim::value).product::<Option<i64>>();
    let classes = shape.and_then(|shape| all(shape.get(axis..if flattening { shape.len() } else { axis + 1 })?));
    let beyond = shape.is_none_or(|shape| shape.iter().skip(axis + 1).all(|size| size.is(1)));
    Some(Softmax { axis: Some(axis).filter(|_| !regrouped && (!flattening || beyond)), classes, logarithmic })
}

/// Whether a value is one row of learned sums per image, as class scores are: not a map laid out as a row.
fn makes_scores(graph: &Graph, value: ValueId) -> bool {
    let Origin::Node(id, _) = graph.value(value).origin else { return false };
    let learned = matches!(
        family(graph.node(id)),
        Family::Contraction | Family::Addition | Family::Normalisation | Family::Average
    );
    let row = |shape: &Vec<Dim>| shape.len() >= 2 && shape[2..].iter().all(|size| size.is(1)) && !shape[1].is(1);
    learned && graph.value(value).shape.as_ref().is_some_and(row)
}

/// The family of a node's operator.
pub(super) fn family(node: &Node) -> Family {
    row_of(node).map_or(Family::Other, |row| row.family)
}

#[cfg(test)]
mod tests {
    /// A lowering that only refuses, with a reason, counts too: it is written down.
    #[test]
    fn every_row_of_the_table_has_a_lowering() {
        let missing = |row: &&import::ops::OpRow| super::row(row.domain, row.name, row.before - 1).is_none();
        let missing: Vec<&str> = import::ops::rows().filter(missing).map(|row| row.name).collect();
        assert!(missing.is_empty(), "no lowering for {missing:?}");
    }
}
