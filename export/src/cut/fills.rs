//! Constants that stand in for removed lanes, folded into biases:
//! `y = conv(x, W·m) + Σ W·(1−m)·μ`, with μ the mean of the reader's input per read index.

use std::collections::{BTreeSet, HashMap};

use import::{
    DType, Tensor,
    graph::{Graph, Node, Origin, StoredId, ValueId},
    lanes::{Fill, Lanes, Plan, Reader},
    ops::{Contraction, contraction_of},
};

use super::slice::take;
use crate::{draft::Draft, error::ExportError, places::Places};

/// Before this version Gemm needs an attribute to broadcast a bias that is a list.
const GEMM_BROADCASTS_SINCE: i64 = 7;

/// What the outputs of one reading node gain.
pub(super) struct Gain<'a> {
    node: &'a Node,
    weight: ValueId,
    form: Contraction,
    dtype: DType,
    output_rank: usize,
    /// Per dense index of the weight's output axis.
    values: Vec<f64>,
}

/// Works out what every filled reader's output gains, from dense weights.
pub(super) fn biases<'a>(
    draft: &Draft<'a>,
    lanes: &Lanes,
    plan: &Plan,
    places: &Places,
) -> Result<Vec<Gain<'a>>, ExportError> {
    let mut seen = BTreeSet::new();
    let gains = plan.fills.iter().map(|fill| {
        if !seen.insert(fill.node) {
            return Err(ExportError::FilledTwice { node: fill.node });
        }
        let gain = gain(draft, lanes, fill, places)?;
        gain.ok_or(ExportError::NoFill { node: fill.node, axis: fill.axis })
    });
    gains.collect()
}

/// What one fill is worth; `None` where no constant can stand in.
fn gain<'a>(draft: &Draft<'a>, lanes: &Lanes, fill: &Fill, places: &Places) -> Result<Option<Gain<'a>>, ExportError> {
    let graph = &draft.model.graph;
    let Some(reader) = reader(graph, lanes, fill) else {
        return Ok(None);
    };
    let node = graph.node(reader.node);
    let Some((form, weight, output_rank)) = form(graph, node, reader) else {
        return Ok(None);
    };
    let Origin::Stored(stored) = graph.value(weight).origin else {
        return Ok(None);
    };
    let dense = draft.tensor(stored)?;
    let kept = places.on(weight, reader.weight_axis);
    let removed = |index: &usize| kept.is_some_and(|kept| kept.binary_search(index).is_err());
    let means: HashMap<usize, f64> = fill
        .means
        .iter()
        .filter(|(index, _)| removed(index) && *index < dense.shape[reader.weight_axis])
        .map(|&(index, mean)| (index, mean.into()))
        .collect();
    let mut values = vec![0.0; dense.shape[form.written_axis]];
    for (index, mean) in means {
        let slice = take(&dense, reader.weight_axis, &[index]);
        for (value, sum) in values.iter_mut().zip(sums(&slice, form.written_axis)?) {
            *value += sum * mean * form.product_scale;
        }
    }
    Ok(Some(Gain { node, weight, form, dtype: dense.dtype, output_rank, values }))
}

/// The fillable reader a fill means.
fn reader<'a>(graph: &Graph, lanes: &'a Lanes, fill: &Fill) -> Option<&'a Reader> {
    lanes.readers.iter().find(|reader| {
        let node = graph.node(reader.node);
        reader.fillable && node.index == fill.node && reader.weight_axis == fill.axis
    })
}

/// How the node takes a bias, its weight, and the number of its output's axes.
fn form(graph: &Graph, node: &Node, reader: &Reader) -> Option<(Contraction, ValueId, usize)> {
    let rank = |value| Some(graph.value(value).shape.as_ref()?.len());
    let contraction = contraction_of(graph, node, reader.data)?;
    Some((contraction, node.input(reader.weight)?, rank(node.output(0)?)?))
}

/// The sum of all elements at each index of one axis.
fn sums(tensor: &Tensor, axis: usize) -> Result<Vec<f64>, ExportError> {
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let extent = tensor.shape[axis];
    let mut sums = vec![0.0; extent];
    for (chunk, values) in tensor.to_f64()?.chunks_exact(inner.max(1)).enumerate() {
        sums[chunk % extent] += values.iter().sum::<f64>();
    }
    Ok(sums)
}

/// Adds a gain to the node's bias: to the stored one, as a new one, or after the node.
pub(super) fn add(draft: &mut Draft<'_>, places: &Places, gain: Gain<'_>) -> Result<(), ExportError> {
    let node = gain.node;
    let mut values = gain.values;
    if let Some(kept) = places.on(gain.weight, gain.form.written_axis) {
        values = kept.iter().map(|&index| values[index]).collect();
    }
    let slot = gain.form.bias.filter(|_| draft.opset() >= GEMM_BROADCASTS_SINCE);
    let bias = slot.map(|slot| (slot, node.input(slot)));
    let for_bias: Vec<f64> = values.iter().map(|value| value / gain.form.bias_scale).collect();
    match bias {
        Some((slot, None)) => new_bias(draft, node, slot, gain.dtype, &for_bias),
        Some((_, Some(value))) if let Some(stored) = own(draft, value, for_bias.len())? => {
            add_to_stored(draft, stored, &for_bias)
        }
        _ => {
            let addend = Tensor::from_floats(gain.dtype, &[values.len()], &values)?;
            draft.add_after(node, gain.output_rank, gain.form.output_axis, &addend);
            Ok(())
        }
    }
}

fn new_bias(draft: &mut Draft<'_>, node: &Node, slot: usize, dtype: DType, values: &[f64]) -> Result<(), ExportError> {
    let bias = Tensor::from_floats(dtype, &[values.len()], values)?;
    let name = draft.constant(node, "fill", &bias);
    draft.set_input(node, slot, &name);
    Ok(())
}

/// The stored tensor behind a bias, when it is a list of `len` elements and this node's alone.
fn own(draft: &Draft<'_>, value: ValueId, len: usize) -> Result<Option<StoredId>, ExportError> {
    let entry = draft.model.graph.value(value);
    let Origin::Stored(stored) = entry.origin else {
        return Ok(None);
    };
    let tensor = draft.tensor(stored)?;
    let fits = tensor.len() == len && tensor.shape.last() == Some(&len);
    Ok((fits && draft.is_only_read_here(entry)).then_some(stored))
}

fn add_to_stored(draft: &mut Draft<'_>, stored: StoredId, values: &[f64]) -> Result<(), ExportError> {
    let old = draft.tensor(stored)?;
    let sums = old.to_f64()?.into_iter().zip(values);
    let sums: Vec<f64> = sums.map(|(old, gain)| old + gain).collect();
    draft.set_tensor(stored, &Tensor::from_floats(old.dtype, &old.shape, &sums)?);
    Ok(())
}
