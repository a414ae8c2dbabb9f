//! Batch normalisation, and dropout (the identity in inference).

use tch::{Kind as Element, Tensor, no_grad};

use super::{Kind, Lowered, Row};
use crate::network::Statistics;
use crate::network::op::{Frame, Inputs, Op, Torch, many};
use crate::network::view::View;

pub(super) const ROWS: &[Row] =
    &[Row::new("BatchNormalization", batch_normalization).kind(Kind::Normalisation), Row::new("Dropout", dropout)];

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
        frozen: !(view.trained(3) && view.trained(4)),
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

/// Dropout passes its data through in inference; its mask output says that everything is kept.
fn dropout(view: &View) -> Lowered {
    if view.has(2) && view.constant_number(2) != Some(0.0) {
        return Err(view.unsupported("it drops values in inference"));
    }
    let masked = view.node.output(1).is_some();
    Ok(many(move |x| {
        let data = x.at(0)?;
        let mask = masked.then(|| data.f_ones_like()?.f_to_kind(Element::Bool)).transpose()?;
        Ok(std::iter::once(data.shallow_clone()).chain(mask).collect())
    }))
}
