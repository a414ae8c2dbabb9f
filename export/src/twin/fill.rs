//! What fills add to a reading node's output, element by element from the dense weight.

use import::{
    Model, Tensor,
    graph::{Node, Origin, StoredId},
    lanes::{Fill, Lanes, Plan},
    ops::{Contraction, contraction_of},
};

use crate::{draft::Draft, error::ExportError, places::Places};

/// Adds every fill's constant after its node.
pub(super) fn add(draft: &mut Draft<'_>, lanes: &Lanes, plan: &Plan, places: &Places) -> Result<(), ExportError> {
    for fill in &plan.fills {
        let added = add_one(draft, lanes, fill, places)?;
        added.ok_or(ExportError::NoFill { node: fill.node, axis: fill.axis })?;
    }
    Ok(())
}

/// Adds one fill's constant; `None` where no constant can stand in.
fn add_one(draft: &mut Draft<'_>, lanes: &Lanes, fill: &Fill, places: &Places) -> Result<Option<()>, ExportError> {
    let Some(site) = Site::of(draft.model, lanes, fill) else {
        return Ok(None);
    };
    let weight = draft.tensor(site.stored)?;
    let mut means = vec![0.0; weight.shape[fill.axis]];
    for &(index, mean) in &fill.means {
        if let Some(slot) = means.get_mut(index) {
            *slot = f64::from(mean);
        }
    }
    let value = draft.model.graph.stored(site.stored).value;
    match places.on(value, fill.axis) {
        Some(kept) => kept.iter().for_each(|&index| means[index] = 0.0),
        None => return Ok(Some(())),
    }
    let sums = contract(&weight, fill.axis, site.contraction.written_axis, &means)?;
    let sums: Vec<f64> = sums.iter().map(|sum| sum * site.contraction.product_scale).collect();
    let addend = Tensor::from_floats(weight.dtype, &[sums.len()], &sums)?;
    draft.add_after(site.node, site.rank, site.contraction.output_axis, &addend);
    Ok(Some(()))
}

/// A reading node that a fill names.
struct Site<'a> {
    node: &'a Node,
    stored: StoredId,
    contraction: Contraction,
    rank: usize,
}

impl<'a> Site<'a> {
    fn of(model: &'a Model, lanes: &Lanes, fill: &Fill) -> Option<Self> {
        let graph = &model.graph;
        let reader = lanes.readers.iter().find(|reader| {
            reader.fillable && reader.weight_axis == fill.axis && graph.node(reader.node).index == fill.node
        })?;
        let node = graph.node(reader.node);
        let Origin::Stored(stored) = graph.value(node.input(reader.weight)?).origin else {
            return None;
        };
        let rank = |value| Some(graph.value(value).shape.as_ref()?.len());
        Some(Self {
            node,
            stored,
            contraction: contraction_of(graph, node, reader.data)?,
            rank: rank(node.output(0)?)?,
        })
    }
}

/// `Σ weight · mean` at each index of axis `out`, over all others; the mean goes by index of `read`.
fn contract(weight: &Tensor, read: usize, out: usize, means: &[f64]) -> Result<Vec<f64>, ExportError> {
    let stride = |axis: usize| weight.shape[axis + 1..].iter().product::<usize>();
    let (read_stride, out_stride) = (stride(read), stride(out));
    let mut sums = vec![0.0; weight.shape[out]];
    for (flat, value) in weight.to_f64()?.into_iter().enumerate() {
        let mean = means[flat / read_stride % weight.shape[read]];
        sums[flat / out_stride % weight.shape[out]] += value * mean;
    }
    Ok(sums)
}
