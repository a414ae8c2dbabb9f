//! Normalisation by running statistics or by the data's own, and dropout (the identity in inference).

use tch::{Kind as Element, TchError, Tensor, no_grad};

use super::{Lowered, Row};
use crate::network::Statistics;
use crate::network::op::{Frame, Inputs, Op, Torch, extent, many, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("BatchNormalization", batch_normalization),
    Row::new("InstanceNormalization", instance_normalization),
    Row::new("LayerNormalization", layer_normalization),
    Row::new("RMSNormalization", rms_normalization),
    Row::new("GroupNormalization", |view| group_normalization(view, false)),
    Row::new("GroupNormalization", |view| group_normalization(view, true)).before(21),
    Row::new("MeanVarianceNormalization", early_mean_variance).before(9),
    Row::new("MeanVarianceNormalization", mean_variance_normalization),
    Row::new("LpNormalization", lp_normalization),
    Row::new("LRN", neighbour_normalization),
    Row::new("Dropout", dropout),
];

fn batch_normalization(view: &View) -> Lowered {
    if view.node.outputs.iter().skip(1).any(Option::is_some) || view.node.int_or("training_mode", 0) != 0 {
        return Err(view.unsupported("it is exported in training form"));
    }
    if view.node.int_or("spatial", 1) == 0 {
        return Err(view.unsupported("it normalises every position on its own"));
    }
    Ok(Box::new(Normalise {
        momentum: f64::from(view.node.float_or("momentum", 0.9)),
        epsilon: f64::from(view.node.float_or("epsilon", 1e-5)),
        frozen: view.frozen || !(view.trained(3) && view.trained(4)),
    }))
}

/// `scale · (x − mean) / √(var + epsilon) + shift` per channel, with running or batch statistics.
pub(in crate::network) struct Normalise {
    pub(in crate::network) momentum: f64,
    pub(in crate::network) epsilon: f64,
    /// Whether mean and variance are no running statistics of its own, but given: then they are always used.
    pub(in crate::network) frozen: bool,
}

impl Normalise {
    /// Moves running statistics towards those of a batch: `running = keep · running + (1 − keep) · batch`.
    fn update(&self, running: &Tensor, batch: &Tensor, keep: f64) -> Torch<()> {
        no_grad(|| running.shallow_clone().f_lerp_(batch, 1.0 - keep).map(drop))
    }

    /// The population variance from what torch saves for the backward run.
    fn batch_variance(&self, inverse_deviation: &Tensor) -> Torch<Tensor> {
        no_grad(|| inverse_deviation.f_pow_tensor_scalar(-2.0)?.f_sub_scalar(self.epsilon)?.f_clamp_min(0.0))
    }
}

impl Op for Normalise {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        let data = inputs.at(0)?;
        let [scale, shift, mean, variance] = [inputs.at(1)?, inputs.at(2)?, inputs.at(3)?, inputs.at(4)?];
        let (scale, shift) = (Some(scale), Some(shift));
        let statistics = if self.frozen { Statistics::Running } else { frame.statistics };
        let keep = match statistics {
            Statistics::Running => {
                let out =
                    data.f_batch_norm(scale, shift, Some(mean), Some(variance), false, 0.0, self.epsilon, false)?;
                return Ok(vec![out]);
            }
            Statistics::Batch => 1.0,
            Statistics::BatchUpdate => self.momentum,
            Statistics::Accumulate { seen } => seen as f64 / (seen as f64 + 1.0),
        };
        let none = None::<&Tensor>;
        let (out, batch_mean, inverse) = data.f_native_batch_norm(scale, shift, none, none, true, 0.0, self.epsilon)?;
        if keep < 1.0 {
            self.update(mean, &batch_mean.f_detach()?, keep)?;
            self.update(variance, &self.batch_variance(&inverse.f_detach()?)?, keep)?;
        }
        Ok(vec![out])
    }

    fn fresh(&self) -> bool {
        true
    }
}

fn instance_normalization(view: &View) -> Lowered {
    let epsilon = f64::from(view.node.float_or("epsilon", 1e-5));
    Ok(pure(move |x| {
        let none = None::<&Tensor>;
        x.at(0)?.f_instance_norm(Some(x.at(1)?), Some(x.at(2)?), none, none, true, 0.0, epsilon, false)
    }))
}

fn layer_normalization(view: &View) -> Lowered {
    let epsilon = f64::from(view.node.float_or("epsilon", 1e-5));
    let axis = view.node.int_or("axis", -1);
    Ok(many(move |x| {
        let data = x.at(0)?;
        let none = None::<&Tensor>;
        let (normalised, mean, inverse) = data.f_native_layer_norm(from_axis(data, axis), none, none, epsilon)?;
        let scaled = normalised.f_mul(x.at(1)?)?;
        let shifted = x.get(2).map_or(Ok(scaled.shallow_clone()), |shift| scaled.f_add(shift))?;
        Ok(vec![shifted, mean, inverse])
    }))
}

/// The sizes of all axes from one on.
fn from_axis(data: &Tensor, axis: i64) -> Vec<i64> {
    let first = if axis < 0 { axis + data.dim() as i64 } else { axis };
    data.size().split_off(usize::try_from(first).unwrap_or(0).min(data.dim()))
}

/// `scale · x / √(mean of x² + epsilon)` over the last axes.
fn rms_normalization(view: &View) -> Lowered {
    let epsilon = f64::from(view.node.float_or("epsilon", 1e-5));
    let axis = view.node.int_or("axis", -1);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let last: Vec<i64> = (1..=from_axis(data, axis).len() as i64).map(|from_end| -from_end).collect();
        let squares = data.f_square()?.f_mean_dim(&last[..], true, None)?.f_add_scalar(epsilon)?;
        data.f_mul(&squares.f_rsqrt()?)?.f_mul(x.at(1)?)
    }))
}

/// By the statistics of groups of channels; scale and shift hold a number per channel, or per group.
fn group_normalization(view: &View, per_group: bool) -> Lowered {
    let epsilon = f64::from(view.node.float_or("epsilon", 1e-5));
    let groups = view.node.int_or("num_groups", 1);
    if groups < 1 {
        return Err(view.contradiction(format!("it has {groups} groups")));
    }
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let repeats = if per_group { extent(data, 1)? / groups } else { 1 };
        let spread = |input| x.at(input)?.f_repeat_interleave_self_int(repeats, 0, None);
        data.f_group_norm(groups, Some(&spread(1)?), Some(&spread(2)?), epsilon, false)
    }))
}

/// `(x − mean) / deviation` over some axes.
fn mean_variance_normalization(view: &View) -> Lowered {
    mean_variance(view.node.ints("axes").unwrap_or(&[0, 2, 3]).to_vec(), true)
}

/// The form that runtimes had before the standard.
fn early_mean_variance(view: &View) -> Lowered {
    let across = view.node.int_or("across_channels", 0) != 0;
    let axes = if across { vec![0, 1, 2, 3] } else { vec![0, 2, 3] };
    mean_variance(axes, view.node.int_or("normalize_variance", 1) != 0)
}

fn mean_variance(axes: Vec<i64>, divided: bool) -> Lowered {
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let centred = data.f_sub(&data.f_mean_dim(&axes[..], true, None)?)?;
        if !divided {
            return Ok(centred);
        }
        // A root has no gradient at zero.
        let variance = centred.f_square()?.f_mean_dim(&axes[..], true, None)?.f_clamp_min(LEAST_VARIANCE)?;
        // What keeps a constant from being divided by zero is the standard's.
        centred.f_div(&variance.f_sqrt()?.f_add_scalar(1e-9)?)
    }))
}

/// Its root is far below what is added to it.
const LEAST_VARIANCE: f64 = 1e-30;

/// Divided by the norm along an axis; what is zero stays zero.
fn lp_normalization(view: &View) -> Lowered {
    let (axis, power) = (view.node.int_or("axis", -1), view.node.int_or("p", 2));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let norm = data.f_norm_scalaropt_dim(power, [axis], true)?;
        data.f_div(&norm.f_where_self(&norm.f_ne(0.0)?, &norm.f_ones_like()?)?)
    }))
}

/// `x / (bias + alpha/size · Σ x²)^beta`, summed over `size` neighbouring channels: torch's mean over them, with zeros
/// beyond the first and last channel.
fn neighbour_normalization(view: &View) -> Lowered {
    let size = view.node.int_or("size", 0);
    if size < 1 {
        return Err(view.contradiction(format!("it has {size} neighbours")));
    }
    let [alpha, beta, bias] = [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)]
        .map(|(name, usual)| f64::from(view.node.float_or(name, usual)));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let [samples, channels] = [extent(data, 0)?, extent(data, 1)?];
        let squares = data.f_square()?.f_reshape([samples, 1, channels, -1])?;
        // Of an even number of neighbours, the odd one comes after.
        let squares = squares.f_constant_pad_nd([0, 0, (size - 1) / 2, size / 2])?;
        let mean = squares.f_avg_pool2d([size, 1], [1, 1], [0, 0], false, true, None::<i64>)?;
        let divisor = mean.f_mul_scalar(alpha)?.f_add_scalar(bias)?.f_pow_tensor_scalar(beta)?;
        data.f_div(&divisor.f_reshape(data.size())?)
    }))
}

/// Dropout passes its data through in inference; its mask output says that everything is kept.
fn dropout(view: &View) -> Lowered {
    let masked = view.node.output(1).is_some();
    Ok(many(move |x| {
        let data = x.at(0)?;
        let number = |input: usize, usual: f64| match x.get(input) {
            Some(value) => value.f_reshape([-1])?.f_to_kind(Element::Double)?.f_double_value(&[0]),
            None => Ok(usual),
        };
        if number(2, 0.0)? != 0.0 && number(1, 0.5)? != 0.0 {
            return Err(TchError::Shape("it drops values in inference".to_owned()));
        }
        let mask = masked.then(|| data.f_ones_like()?.f_to_kind(Element::Bool)).transpose()?;
        Ok(std::iter::once(data.shallow_clone()).chain(mask).collect())
    }))
}
