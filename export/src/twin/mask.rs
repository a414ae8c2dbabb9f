//! Masks at reading sites: removed lanes are selected away, so that not even infinities pass.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use import::{
    DType, Model, Tensor,
    graph::{Origin, ValueId},
    lanes::{Lanes, Reader},
    ops::quantised_at,
    proto::onnx::NodeProto,
};

use super::Site;
use crate::{
    draft::Draft,
    error::ExportError,
    nodes::{along, elementwise, int_attribute, simple_node},
    places::Places,
};

/// Since this version there is a Where to select with; before it, lanes are multiplied by zero.
const WHERE_SINCE: i64 = 9;
/// Since this version runtimes have a Mul; before it, the reader's weight loses what it would multiply lanes with.
const MULTIPLIES_SINCE: i64 = 7;

/// Axes of weights that hold masks, in operator sets that have nothing else to mask with.
pub(super) fn on_weights(model: &Model, lanes: &Lanes) -> HashSet<(ValueId, usize)> {
    if model.graph.opset("").unwrap_or(1) >= MULTIPLIES_SINCE {
        return HashSet::new();
    }
    let weight = |reader: &Reader| Some((model.graph.node(reader.node).input(reader.weight)?, reader.weight_axis));
    lanes.readers.iter().filter_map(weight).collect()
}

/// Masked values by value and axis: readers of the same lanes share one.
#[derive(Default)]
pub(super) struct Masks(HashMap<(ValueId, usize), (String, usize)>);

impl Masks {
    /// Makes the site's node read a masked value; gives the name of what it reads now.
    pub(super) fn read_through(
        &mut self,
        draft: &mut Draft<'_>,
        places: &Places,
        site: &Site<'_>,
    ) -> Result<String, ExportError> {
        let Some(kept) = places.on(site.value, site.axis) else {
            return Ok(site.name.to_owned());
        };
        if draft.opset() < MULTIPLIES_SINCE {
            return clear_weight(draft, places, site).map(|()| site.name.to_owned());
        }
        let key = (site.value, site.axis);
        let known = self.0.get(&key).filter(|(_, from)| *from <= site.node.index);
        let name = match known {
            Some((name, _)) => name.clone(),
            None => {
                let name = mask(draft, site, kept)?;
                self.0.insert(key, (name.clone(), site.node.index));
                name
            }
        };
        draft.set_input(site.node, site.input, &name);
        Ok(name)
    }
}

/// Zeroes what the site's weight multiplies removed lanes with.
fn clear_weight(draft: &mut Draft<'_>, places: &Places, site: &Site<'_>) -> Result<(), ExportError> {
    let (weight, axis) = site.weight;
    let Some(Origin::Stored(stored)) = weight.map(|weight| draft.model.graph.value(weight).origin) else {
        return Err(ExportError::NoTwin { node: site.node.to_string(), opset: draft.opset() });
    };
    let tensor = draft.tensor(stored)?;
    let Some(kept) = weight.and_then(|weight| places.on(weight, axis)) else {
        return Ok(());
    };
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let mut values = tensor.to_f64()?;
    for (flat, value) in values.iter_mut().enumerate() {
        if kept.binary_search(&(flat / inner % tensor.shape[axis])).is_err() {
            *value = 0.0;
        }
    }
    draft.set_tensor(stored, &Tensor::from_floats(tensor.dtype, &tensor.shape, &values)?);
    Ok(())
}

/// Puts the mask before the site's node.
fn mask(draft: &mut Draft<'_>, site: &Site<'_>, kept: &[usize]) -> Result<String, ExportError> {
    let mut stays = vec![false; site.extent];
    for &index in kept {
        stays[index] = true;
    }
    let mut node = match draft.opset() >= WHERE_SINCE {
        true => select(draft, site, &stays)?,
        false => multiply(draft, site, &stays)?,
    };
    let name = draft.fresh_name(&format!("{}_masked", site.name));
    node.name = Some(Bytes::copy_from_slice(name.as_bytes()));
    node.output = vec![Bytes::copy_from_slice(name.as_bytes())];
    draft.insert_before(site.node, node);
    Ok(name)
}

fn select(draft: &mut Draft<'_>, site: &Site<'_>, stays: &[bool]) -> Result<NodeProto, ExportError> {
    let bools: Vec<u8> = stays.iter().map(|&stays| u8::from(stays)).collect();
    let mask = Tensor { dtype: DType::Bool, shape: vec![bools.len()], data: bools.into() };
    let mask = draft.constant(site.node, "mask", &along(&mask, site.rank, site.axis, WHERE_SINCE));
    match site.dtype.is_integer() {
        true => select_quantised(draft, site, &mask),
        false => {
            let zero = Tensor::from_floats(site.dtype, &[], &[0.0])?;
            let zero = draft.constant(site.node, "zero", &zero);
            Ok(simple_node("Where", &[&mask, site.name, &zero], &[]))
        }
    }
}

/// Quantised numbers stand for zero where they are the zero point. Runtimes choose among few types of integers.
fn select_quantised(draft: &mut Draft<'_>, site: &Site<'_>, mask: &str) -> Result<NodeProto, ExportError> {
    let point = quantised_at(site.node, site.input).and_then(|form| site.node.input(form.zero_point?));
    let widened = |draft: &mut Draft<'_>, name: &str| {
        let wide = draft.fresh_name(&format!("{name}_wide"));
        draft.insert_before(site.node, cast(name, &wide, DType::I32));
        wide
    };
    let zero = match point {
        Some(point) => widened(draft, &draft.model.graph.value(point).name.clone()),
        None => draft.constant(site.node, "zero", &Tensor::from_ints(DType::I32, &[], &[0])?),
    };
    let numbers = widened(draft, site.name);
    let chosen = draft.fresh_name(&format!("{}_chosen", site.name));
    draft.insert_before(site.node, simple_node("Where", &[mask, &numbers, &zero], &[&chosen]));
    Ok(cast(&chosen, "", site.dtype))
}

fn cast(from: &str, to: &str, dtype: DType) -> NodeProto {
    let mut node = simple_node("Cast", &[from], &[to]);
    node.attribute.push(int_attribute("to", dtype.code().into()));
    node
}

fn multiply(draft: &mut Draft<'_>, site: &Site<'_>, stays: &[bool]) -> Result<NodeProto, ExportError> {
    let factors: Vec<f64> = stays.iter().map(|&stays| f64::from(u8::from(stays))).collect();
    let mask = Tensor::from_floats(site.dtype, &[factors.len()], &factors)?;
    let opset = draft.opset();
    let mask = draft.constant(site.node, "mask", &along(&mask, site.rank, site.axis, opset));
    Ok(elementwise("Mul", &[site.name, &mask], site.axis, opset))
}
