//! Pooling over windows and over all positions.

use import::graph::Refusal;
use import::ops::Window;
use tch::{Kind as Element, TchError, Tensor};

use super::window::{Placed, window};
use super::{Lowered, Row};
use crate::network::op::{Torch, is_float, many, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("MaxPool", max_pool),
    Row::new("AveragePool", average_pool),
    Row::new("GlobalAveragePool", |_| Ok(pure(|x| x.at(0)?.f_mean_dim(positions(x.at(0)?), true, None)))),
    Row::new("LpPool", lp_pool),
    Row::new("GlobalLpPool", global_lp_pool),
    Row::new("MaxUnpool", max_unpool),
    Row::new("GlobalMaxPool", |_| Ok(pure(|x| x.at(0)?.f_amax(positions(x.at(0)?), true)))),
];

/// The axes after batch and channels.
fn positions(data: &Tensor) -> Vec<i64> {
    (2..data.dim() as i64).collect()
}

fn pooling(view: &View) -> Result<Window, Box<Refusal>> {
    let axes = view.node.ints("kernel_shape").map_or(0, <[i64]>::len);
    window(view, axes, None)
}

fn max_pool(view: &View) -> Lowered {
    let window = pooling(view)?;
    let places = view.node.output(1).is_some();
    let by_columns = view.node.int_or("storage_order", 0) != 0;
    Ok(many(move |x| {
        let data = x.at(0)?;
        let placed = Placed::on(&window, data)?;
        let zero = vec![0; window.kernel.len()];
        // An all-padding window of torch's own would be smaller than any number, but integers know none.
        let pads = placed.symmetric(|axis| window.kernel[axis] / 2);
        let padded = match pads {
            Some(_) => data.shallow_clone(),
            None => placed.pad(data, lowest(data))?,
        };
        let pads = pads.unwrap_or(zero);
        if !places {
            return Ok(vec![max(&window, &padded, &pads)?]);
        }
        let (values, found) = max_and_places(&window, &padded, &pads)?;
        let shift: Vec<i64> = if padded.size() == data.size() { vec![0; pads.len()] } else { placed.before() };
        Ok(vec![values, over_all(data, &padded, &shift, &found, by_columns)?])
    }))
}

/// Maxima put back to their places, which are counted over the whole value; everything else is zero.
fn max_unpool(view: &View) -> Lowered {
    if view.has(2) {
        return Err(view.unsupported("its size is stated, and runtimes do not agree on where its places then lie"));
    }
    let window = pooling(view)?;
    Ok(pure(move |x| {
        let (data, places) = (x.at(0)?, x.at(1)?);
        let mut size = data.size();
        for (axis, size) in size.iter_mut().skip(2).enumerate() {
            let unfit = || TchError::Shape(format!("its padding leaves nothing of an axis of {size}"));
            *size = window.unpooled_size(axis, *size).ok_or_else(unfit)?;
        }
        let flat = Tensor::f_zeros([size.iter().product::<i64>()], (data.kind(), data.device()))?;
        let places = places.f_flatten(0, -1)?.f_to_device(data.device())?;
        flat.f_scatter(0, &places, &data.f_flatten(0, -1)?)?.f_reshape(&size)
    }))
}

/// What no element is below.
fn lowest(data: &Tensor) -> f64 {
    match data.kind() {
        Element::Int8 => f64::from(i8::MIN),
        Element::Uint8 => 0.0,
        _ => f64::NEG_INFINITY,
    }
}

fn max(window: &Window, data: &Tensor, pads: &[i64]) -> Torch<Tensor> {
    let Window { kernel, strides, dilations, .. } = window;
    let exact = is_float(data);
    let wide = if exact { data.shallow_clone() } else { data.f_to_kind(Element::Double)? };
    let pooled = match kernel.len() {
        1 => wide.f_max_pool1d(kernel, strides, pads, dilations, false),
        2 => wide.f_max_pool2d(kernel, strides, pads, dilations, false),
        _ => wide.f_max_pool3d(kernel, strides, pads, dilations, false),
    };
    if exact { pooled } else { pooled?.f_to_kind(data.kind()) }
}

fn max_and_places(window: &Window, data: &Tensor, pads: &[i64]) -> Torch<(Tensor, Tensor)> {
    let Window { kernel, strides, dilations, .. } = window;
    match kernel.len() {
        1 => data.f_max_pool1d_with_indices(kernel, strides, pads, dilations, false),
        2 => data.f_max_pool2d_with_indices(kernel, strides, pads, dilations, false),
        _ => data.f_max_pool3d_with_indices(kernel, strides, pads, dilations, false),
    }
}

/// Places counted over the whole value, from places in each channel of its padded form.
fn over_all(data: &Tensor, padded: &Tensor, shift: &[i64], found: &Tensor, by_columns: bool) -> Torch<Tensor> {
    let (size, wide) = (data.size(), padded.size());
    let (planes, space) = (size[0] * size[1], &size[2..]);
    let mut rest = found.shallow_clone();
    let mut place = found.f_zeros_like()?;
    for axis in (0..space.len()).rev() {
        let coordinate = rest.f_remainder(wide[axis + 2])?.f_sub_scalar(shift[axis])?;
        rest = rest.f_div_scalar_mode(wide[axis + 2], "trunc")?;
        let inner: i64 = if by_columns { space[..axis].iter().product() } else { space[axis + 1..].iter().product() };
        place = place.f_add(&coordinate.f_mul_scalar(inner)?)?;
    }
    let starts = Tensor::f_arange(planes, (Element::Int64, data.device()))?;
    let starts = starts.f_mul_scalar(space.iter().product::<i64>())?;
    let mut spread = vec![size[0], size[1]];
    spread.resize(size.len(), 1);
    place.f_add(&starts.f_reshape(&spread)?)
}

fn average_pool(view: &View) -> Lowered {
    let window = pooling(view)?;
    let count_padding = view.node.int_or("count_include_pad", 0) != 0;
    let dilated = window.dilations.iter().any(|&n| n != 1);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let placed = Placed::on(&window, data)?;
        if let Some(pads) = placed.symmetric(|axis| window.kernel[axis] / 2).filter(|_| !dilated) {
            return average(&window, data, &pads, count_padding);
        }
        // The sum over the whole window, over the number of elements in it that count.
        let ones = data.f_narrow(0, 0, 1)?.f_narrow(1, 0, 1)?.f_ones_like()?;
        let counted = if count_padding {
            placed.pad_overhang(&placed.pad_given(&ones, 1.0)?, 0.0)?
        } else {
            placed.pad(&ones, 0.0)?
        };
        // A window that lies wholly in the padding has no mean; it is zero.
        let count = sums(&window, &counted)?.f_clamp_min(1.0)?;
        sums(&window, &placed.pad(data, 0.0)?)?.f_div(&count)
    }))
}

/// The sum over every window of padded data, channel by channel.
fn sums(window: &Window, padded: &Tensor) -> Torch<Tensor> {
    let Window { kernel, strides, dilations, .. } = window;
    let size = padded.size();
    let planes = padded.f_reshape([&[size[0] * size[1], 1], &size[2..]].concat())?;
    let ones = Tensor::f_ones([&[1, 1], kernel.as_slice()].concat(), (padded.kind(), padded.device()))?;
    let zero = vec![0; kernel.len()];
    let summed = planes.f_convolution(&ones, None::<Tensor>, strides, &zero, dilations, false, &zero, 1)?;
    summed.f_reshape([&size[..2], &summed.size()[2..]].concat())
}

fn lp_pool(view: &View) -> Lowered {
    let window = pooling(view)?;
    let power = view.node.int_or("p", 2) as f64;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let powers = data.f_abs()?.f_pow_tensor_scalar(power)?;
        sums(&window, &Placed::on(&window, data)?.pad(&powers, 0.0)?)?.f_pow_tensor_scalar(power.recip())
    }))
}

fn global_lp_pool(view: &View) -> Lowered {
    let power = view.node.int_or("p", 2) as f64;
    Ok(pure(move |x| {
        let powers = x.at(0)?.f_abs()?.f_pow_tensor_scalar(power)?;
        powers.f_sum_dim_intlist(positions(x.at(0)?), true, None)?.f_pow_tensor_scalar(power.recip())
    }))
}

fn average(window: &Window, data: &Tensor, pads: &[i64], count_padding: bool) -> Torch<Tensor> {
    let Window { kernel, strides, .. } = window;
    match kernel.len() {
        1 => data.f_avg_pool1d(kernel, strides, pads, false, count_padding),
        2 => data.f_avg_pool2d(kernel, strides, pads, false, count_padding, None),
        _ => data.f_avg_pool3d(kernel, strides, pads, false, count_padding, None),
    }
}
