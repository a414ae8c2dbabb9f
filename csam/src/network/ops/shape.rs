//! Shape arithmetic and constants: integers that live on the CPU and are read while the model runs.

use std::path::Path;

use import::Tensor as Stored;
use import::graph::Content;
use import::tensor::DType;
use tch::{Device, Kind as Element, TchError, Tensor};

use super::{Lowered, Row};
use crate::network::convert;
use crate::network::op::{Frame, Inputs, Ints, Op, Torch, extent, is_float, pure, read_ints};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("Constant", constant),
    Row::new("Shape", shape),
    Row::new("Size", |_| Ok(pure(|x| Tensor::f_from_slice(&[x.at(0)?.numel() as i64])?.f_reshape([] as [i64; 0])))),
    Row::new("Range", |_| Ok(pure(range))),
    Row::new("Gather", gather),
    Row::new("Cast", cast),
    Row::new("CastLike", |_| Ok(Box::new(Cast(None)))),
    Row::new("ConstantOfShape", constant_of_shape),
];

/// The short forms (`value_int`, `value_floats` …); tensors in Constant nodes are stored tensors.
fn constant(view: &View) -> Lowered {
    let content = view.node.output(0).and_then(|id| view.graph.value(id).content.as_ref());
    let Some(Content::Tensor(held)) = content else { return Err(view.unsupported("its value is not known")) };
    let tensor = convert::to_torch(&view.node.name, held).map_err(|error| view.unsupported(error.to_string()))?;
    Ok(pure(move |_| Ok(tensor.shallow_clone())))
}

fn shape(view: &View) -> Lowered {
    let (start, end) = (view.node.int_or("start", 0), view.node.int_or("end", i64::MAX));
    Ok(pure(move |x| {
        let size = x.at(0)?.size();
        let rank = size.len() as i64;
        let bound = |n: i64| (if n < 0 { n.saturating_add(rank) } else { n }).clamp(0, rank) as usize;
        Tensor::f_from_slice(size.get(bound(start)..bound(end)).unwrap_or_default())
    }))
}

fn range(x: &Inputs) -> Torch<Tensor> {
    let kind = x.at(0)?.kind();
    if is_float(x.at(0)?) {
        let bound = |input| x.at(input)?.f_reshape([1])?.f_double_value(&[0]);
        let (start, limit, step) = (bound(0)?, bound(1)?, bound(2)?);
        let count = ((limit - start) / step).ceil().max(0.0);
        let steps = Tensor::f_arange(count, (Element::Double, x.at(0)?.device()))?;
        return steps.f_mul_scalar(step)?.f_add_scalar(start)?.f_to_kind(kind);
    }
    let bound = |input| Ok::<_, TchError>(read_ints(x.at(input)?)?.first().copied().unwrap_or(0));
    let (start, limit, step) = (bound(0)?, bound(1)?, bound(2)?);
    let towards = step != 0 && (limit > start) == (step > 0) && limit != start;
    let limit = if towards { limit } else { start };
    Tensor::f_arange_start_step(start, limit, if step == 0 { 1 } else { step }, (kind, Device::Cpu))
}

fn gather(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 0);
    let Some(indices) = view.constant(1) else {
        return Ok(pure(move |x| gathered(x.at(0)?, axis, &x.at(1)?.size(), &read_ints(x.at(1)?)?)));
    };
    let shape = indices.size();
    let indices = read_ints(indices).map_err(|_| view.contradiction("its indices are not integers"))?;
    Ok(pure(move |x| gathered(x.at(0)?, axis, &shape, &indices)))
}

/// The slices at some indices along an axis, which is replaced by the shape of the indices.
fn gathered(data: &Tensor, axis: i64, shape: &[i64], indices: &[i64]) -> Torch<Tensor> {
    let extent = extent(data, axis)?;
    if let ([], [index]) = (shape, indices) {
        return data.f_select(axis, *index);
    }
    let wrapped: Vec<i64> = indices.iter().map(|&i| if i < 0 { i + extent } else { i }).collect();
    let picked = data.f_index_select(axis, &Tensor::f_from_slice(&wrapped)?.f_to_device(data.device())?)?;
    let at = (if axis < 0 { axis + data.dim() as i64 } else { axis }) as usize;
    let mut size = data.size();
    size.splice(at..=at, shape.iter().copied());
    picked.f_reshape(&size)
}

fn cast(view: &View) -> Lowered {
    let dtype = view.node.int("to").and_then(|code| i32::try_from(code).ok()).and_then(DType::from_code);
    let kind =
        dtype.and_then(convert::kind).ok_or_else(|| view.unsupported("it casts to a type torch does not have"))?;
    Ok(Box::new(Cast(Some(kind))))
}

/// To this type, or to that of input 1. Integers of shape arithmetic live on the CPU; numbers made of them go where the
/// other numbers are.
struct Cast(Option<Element>);

impl Op for Cast {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        let kind = match self.0 {
            Some(kind) => kind,
            None => inputs.at(1)?.kind(),
        };
        let cast = inputs.at(0)?.f_to_kind(kind)?;
        Ok(vec![if is_float(&cast) { cast.f_to_device(frame.device)? } else { cast }])
    }
}

fn constant_of_shape(view: &View) -> Lowered {
    let shape = view.list("shape", 0)?.ok_or_else(|| view.contradiction("it has no shape"))?;
    let element = match view.node.proto.tensor("value") {
        Some(proto) => {
            Stored::from_proto(proto, Path::new("")).map_err(|error| view.contradiction(error.to_string()))?
        }
        None => Stored::from_f32(&[1], &[0.0]).map_err(|error| view.contradiction(error.to_string()))?,
    };
    let element = convert::to_torch(&view.node.name, &element).map_err(|error| view.unsupported(error.to_string()))?;
    Ok(Box::new(Filled { shape, element }))
}

/// A value of a given shape with one number everywhere. Floating-point ones go where the other numbers are.
struct Filled {
    shape: Ints,
    element: Tensor,
}

impl Op for Filled {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        let shape = self.shape.get(inputs)?;
        let element = self.element.f_reshape([] as [i64; 0])?;
        let element = if is_float(&element) { element.f_to_device(frame.device)? } else { element };
        Ok(vec![element.f_expand(shape.as_ref(), false)?])
    }
}
