//! Elements picked, placed and ordered by index.

use tch::{Device, Kind, TchError, Tensor};

use super::{Lowered, Row};
use crate::network::op::{Inputs, Torch, along, extent, many, pure, read_ints};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("GatherElements", gather_elements),
    Row::new("GatherND", gather_nd),
    Row::new("Scatter", scatter_elements),
    Row::new("ScatterElements", scatter_elements),
    Row::new("ScatterND", scatter_nd),
    Row::new("ReverseSequence", reverse_sequence),
    Row::new("Compress", compress),
    Row::new("OneHot", one_hot),
    Row::new("EyeLike", eye_like),
    Row::new("NonZero", |_| Ok(pure(|x| x.at(0)?.f_nonzero()?.f_transpose(0, 1)))),
    Row::new("Trilu", trilu),
    Row::new("CumSum", |view| accumulated(view, 0, |data, axis| data.f_cumsum(axis, data.kind()))),
    Row::new("CumProd", |view| accumulated(view, 1, |data, axis| data.f_cumprod(axis, data.kind()))),
    Row::new("TopK", top),
];

/// Indices where the data is; negative ones count from the end of an axis of this extent.
fn wrapped(indices: &Tensor, extent: i64, device: Device) -> Torch<Tensor> {
    let indices = indices.f_to_device(device)?.f_to_kind(Kind::Int64)?;
    indices.f_add_scalar(extent)?.f_where_self(&indices.f_lt(0)?, &indices)
}

fn gather_elements(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 0);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        data.f_gather(axis, &wrapped(x.at(1)?, extent(data, axis)?, data.device())?, false)
    }))
}

fn scatter_elements(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 0);
    let reduction = reduction(view)?;
    Ok(pure(move |x| {
        let (data, updates) = (x.at(0)?, x.at(2)?);
        let indices = wrapped(x.at(1)?, extent(data, axis)?, data.device())?;
        match reduction {
            None => data.f_scatter(axis, &indices, updates),
            Some(reduce) => {
                let places = element_places(&indices, axis, &data.size())?;
                let (flat, updates) = (data.f_flatten(0, -1)?, updates.f_flatten(0, -1)?);
                combined(&flat, &places, &updates, reduce)?.f_reshape(data.size())
            }
        }
    }))
}

/// Places in row-major order of elements that keep their own index on every axis but one.
fn element_places(indices: &Tensor, axis: i64, size: &[i64]) -> Torch<Tensor> {
    let rank = size.len();
    if indices.dim() != rank {
        return Err(TchError::Shape(format!("indices of shape {:?} into {size:?}", indices.size())));
    }
    let at = if axis < 0 { axis + rank as i64 } else { axis } as usize;
    let mut places = indices.f_zeros_like()?;
    for (axis, &extent) in size.iter().enumerate() {
        let own = Tensor::f_arange(indices.size()[axis], (Kind::Int64, indices.device()))?;
        let own = if axis == at { indices.shallow_clone() } else { along(&own, axis, rank)? };
        places = places.f_mul_scalar(extent)?.f_add(&own)?;
    }
    places.f_flatten(0, -1)
}

/// Rows at some places combined with others.
fn combined(rows: &Tensor, places: &Tensor, updates: &Tensor, reduce: &str) -> Torch<Tensor> {
    match reduce {
        "sum" => rows.f_index_add(0, places, updates),
        _ => rows.f_index_reduce(0, places, updates, reduce, true),
    }
}

/// How elements that meet are combined, as torch calls it; `None` where they replace one another.
fn reduction(view: &View) -> Result<Option<&'static str>, Box<import::graph::Refusal>> {
    Ok(match view.node.text_or("reduction", "none").as_ref() {
        "none" => None,
        "add" => Some("sum"),
        "mul" => Some("prod"),
        "max" => Some("amax"),
        "min" => Some("amin"),
        other => return Err(view.unsupported(format!("it combines elements by `{other}`"))),
    })
}

/// Index tuples `[…, k]` into the first k of some sizes, as places in row-major order.
fn places(indices: &Tensor, sizes: &[i64], device: Device) -> Torch<Tensor> {
    let named = indices.size().last().copied().unwrap_or(0);
    let sizes = usize::try_from(named).ok().and_then(|named| sizes.get(..named));
    let sizes = sizes.ok_or_else(|| TchError::Shape(format!("indices of {named} axes")))?;
    let indices = indices.f_to_device(device)?.f_to_kind(Kind::Int64)?;
    let mut places = indices.f_select(-1, 0)?.f_zeros_like()?;
    for (axis, &size) in sizes.iter().enumerate() {
        let index = wrapped(&indices.f_select(-1, axis as i64)?, size, device)?;
        places = places.f_mul_scalar(size)?.f_add(&index)?;
    }
    Ok(places)
}

fn gather_nd(view: &View) -> Lowered {
    let batch = usize::try_from(view.node.int_or("batch_dims", 0)).unwrap_or(0);
    Ok(pure(move |x| {
        let (data, indices) = (x.at(0)?, x.at(1)?);
        let (size, wanted) = (data.size(), indices.size());
        let named = wanted.last().map_or(0, |&named| named as usize);
        let fits = batch < wanted.len() && batch + named <= size.len();
        if !fits {
            return Err(TchError::Shape(format!("indices of {wanted:?} into {size:?}")));
        }
        let (samples, inner) =
            (size[..batch].iter().product::<i64>(), size[batch..batch + named].iter().product::<i64>());
        let rest = &size[batch + named..];
        let places = places(indices, &size[batch..], data.device())?.f_reshape([samples, -1])?;
        let starts = Tensor::f_arange(samples, (Kind::Int64, data.device()))?.f_mul_scalar(inner)?;
        let places = places.f_add(&along(&starts, 0, 2)?)?.f_flatten(0, -1)?;
        let rows = data.f_reshape([&[samples * inner], rest].concat())?;
        rows.f_index_select(0, &places)?.f_reshape([&wanted[..wanted.len() - 1], rest].concat())
    }))
}

fn scatter_nd(view: &View) -> Lowered {
    let reduction = reduction(view)?;
    Ok(pure(move |x| {
        let (data, indices, updates) = (x.at(0)?, x.at(1)?, x.at(2)?);
        let size = data.size();
        let places = places(indices, &size, data.device())?.f_flatten(0, -1)?;
        let named = indices.size().last().map_or(0, |&named| named as usize);
        let rest = &size[named..];
        let rows = data.f_reshape([&[size[..named].iter().product::<i64>()], rest].concat())?;
        let updates = updates.f_reshape([&[places.numel() as i64], rest].concat())?;
        let placed = match reduction {
            None => rows.f_index_put(&[Some(&places)], &updates, false),
            Some(reduce) => combined(&rows, &places, &updates, reduce),
        };
        placed?.f_reshape(&size)
    }))
}

/// The first elements of every sequence, as many as it has, in reverse order.
fn reverse_sequence(view: &View) -> Lowered {
    let (batch, time) = (view.node.int_or("batch_axis", 1), view.node.int_or("time_axis", 0));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let rank = data.dim();
        let steps = Tensor::f_arange(extent(data, time)?, (Kind::Int64, data.device()))?;
        let steps = along(&steps, time as usize, rank)?;
        let lengths = along(&x.at(1)?.f_to_kind(Kind::Int64)?, batch as usize, rank)?;
        let reversed = lengths.f_sub_scalar(1)?.f_sub(&steps)?;
        let source = reversed.f_where_self(&reversed.f_ge(0)?, &steps)?;
        data.f_gather(time, &source.f_expand(data.size(), false)?, false)
    }))
}

fn compress(view: &View) -> Lowered {
    let axis = view.node.int("axis");
    Ok(pure(move |x| {
        let kept = x.at(1)?.f_to_kind(Kind::Bool)?.f_nonzero()?.f_flatten(0, -1)?;
        let (data, axis) = match axis {
            Some(axis) => (x.at(0)?.shallow_clone(), axis),
            None => (x.at(0)?.f_flatten(0, -1)?, 0),
        };
        data.f_index_select(axis, &kept.f_to_device(data.device())?)
    }))
}

/// One value at each index along a new axis, and another everywhere else.
fn one_hot(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", -1);
    Ok(pure(move |x| {
        let (indices, values) = (x.at(0)?, x.at(2)?);
        let depth = single(x, 1)?;
        let rank = indices.dim() + 1;
        let at = if axis < 0 { axis + rank as i64 } else { axis };
        let wrapped = wrapped(indices, depth, values.device())?.f_unsqueeze(at)?;
        let all = Tensor::f_arange(depth, (Kind::Int64, values.device()))?;
        let hit = wrapped.f_eq_tensor(&along(&all, at as usize, rank)?)?;
        values.f_select(0, 1)?.f_where_self(&hit, &values.f_select(0, 0)?)
    }))
}

fn single(x: &Inputs, input: usize) -> Torch<i64> {
    let list = read_ints(x.at(input)?)?;
    list.first().copied().ok_or_else(|| TchError::Shape(format!("input {input} is empty")))
}

fn eye_like(view: &View) -> Lowered {
    let diagonal = view.node.int_or("k", 0);
    let kind = view.node.output(0).and_then(|output| view.graph.value(output).dtype);
    let kind = kind.and_then(crate::network::convert::kind);
    let kind = kind.ok_or_else(|| view.unsupported("its type is not known"))?;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let (rows, columns) = data.size2().map_err(|_| TchError::Shape("it is no matrix".to_owned()))?;
        let count = |extent: i64| Tensor::f_arange(extent, (Kind::Int64, data.device()));
        let on = count(rows)?.f_add_scalar(diagonal)?.f_unsqueeze(1)?.f_eq_tensor(&count(columns)?)?;
        on.f_to_kind(kind)
    }))
}

fn trilu(view: &View) -> Lowered {
    let upper = view.node.int_or("upper", 1) != 0;
    Ok(pure(move |x| {
        let diagonal = if x.get(1).is_some() { single(x, 1)? } else { 0 };
        if upper { x.at(0)?.f_triu(diagonal) } else { x.at(0)?.f_tril(diagonal) }
    }))
}

/// Everything up to an element, along an axis, from the other end where told; without itself where told.
fn accumulated(view: &View, nothing: i64, over: fn(&Tensor, i64) -> Torch<Tensor>) -> Lowered {
    let (exclusive, reverse) = (view.node.int_or("exclusive", 0) != 0, view.node.int_or("reverse", 0) != 0);
    Ok(pure(move |x| {
        let axis = single(x, 1)?;
        let turned = |data: &Tensor| if reverse { data.f_flip([axis]) } else { Ok(data.shallow_clone()) };
        let data = turned(x.at(0)?)?;
        let mut all = over(&data, axis)?;
        if exclusive {
            let last = extent(&data, axis)? - 1;
            let first = data.f_narrow(axis, 0, 1)?.f_full_like(nothing)?;
            all = Tensor::f_cat(&[&first, &all.f_narrow(axis, 0, last)?], axis)?;
        }
        turned(&all)
    }))
}

/// Of equal elements, the one of the lower index comes first.
fn top(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", -1);
    let largest = view.node.int_or("largest", 1) != 0;
    let count = view.list("k", 1)?;
    let stated = view.node.int("k");
    Ok(many(move |x| {
        let count = match (stated, &count) {
            (Some(count), _) => count,
            (None, Some(count)) => count.get(x)?.first().copied().unwrap_or(0),
            (None, None) => return Err(TchError::Shape("`k` is missing".to_owned())),
        };
        let (values, places) = x.at(0)?.f_sort_stable(true, axis, largest)?;
        Ok(vec![values.f_narrow(axis, 0, count)?, places.f_narrow(axis, 0, count)?])
    }))
}
