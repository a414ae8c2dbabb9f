//! Normalisations for networks whose own were folded away by the exporter.
//!
//! One is inserted after a convolution as the identity, trained like any batch normalisation, and folded back into the
//! convolution's weight and bias when the network is written.

use import::graph::{Node, ValueId};
use import::ops::{Role, contraction_of};
use tch::{Device, Kind, Tensor, no_grad};

use super::lower::Builder;
use super::op::{Op, Torch};
use super::ops::Normalise;
use super::step::{Source, Step};
use super::store::Leaf;
use super::{Feeds, Network, NetworkError, Pass};

/// The values that exporters of the common training frameworks write.
const MOMENTUM: f64 = 0.9;
const EPSILON: f64 = 1e-5;

/// Where an inserted normalisation and its convolution are.
pub(super) struct Inserted {
    /// The step that normalises.
    pub(super) step: usize,
    /// The convolution's step.
    pub(super) maker: usize,
    /// The leaf of the convolution's weight.
    pub(super) weight: usize,
    /// The leaf of its bias.
    pub(super) bias: usize,
    /// The first of four leaves: scale, shift, mean, variance.
    pub(super) first: usize,
}

/// The operator.
pub(super) fn op() -> Box<dyn Op> {
    Box::new(Normalise { momentum: MOMENTUM, epsilon: EPSILON, frozen: false })
}

/// Scale, shift, mean and variance of an identity over channels of this shape.
pub(super) fn leaves(convolution: &str, shape: Vec<i64>, device: Device) -> Result<[Leaf; 4], NetworkError> {
    let filled = |value: f64| Tensor::f_full(&shape, value, (Kind::Float, device));
    let leaf =
        |what: &str, value, role| Leaf::new(format!("{convolution}/normalise.{what}"), filled(value)?, role, None);
    Ok([
        leaf("scale", 1.0, Role::Scale)?,
        leaf("shift", 0.0, Role::Shift)?,
        leaf("mean", 0.0, Role::Mean)?,
        leaf("variance", 1.0 - EPSILON, Role::Variance)?,
    ])
}

/// A normalisation by fixed statistics as `scale · x + shift`, in double precision.
pub(super) fn affine(
    scale: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    epsilon: f64,
) -> Torch<[Tensor; 2]> {
    let wide = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
    let scale = wide(scale)?.f_div(&wide(variance)?.f_add_scalar(epsilon)?.f_sqrt()?)?;
    let shift = wide(shift)?.f_sub(&wide(mean)?.f_mul(&scale)?)?;
    Ok([scale, shift])
}

impl Builder<'_> {
    /// Puts an identity normalisation behind the step just added, when it can be folded back into it.
    pub(super) fn normalise(&mut self, node: &Node) -> Result<(), NetworkError> {
        let leaf = |value: Option<ValueId>| {
            let name = &self.graph.value(value?).name;
            self.leaves.iter().position(|leaf| leaf.name == *name)
        };
        let Some(sums) = contraction_of(self.graph, node, 0) else { return Ok(()) };
        let bias = sums.bias.and_then(|bias| node.input(bias));
        let (Some(weight), Some(bias)) = (leaf(node.input(sums.weight)), leaf(bias)) else { return Ok(()) };
        let Some(step) = self.steps.last_mut().filter(|step| step.op.folds()) else { return Ok(()) };
        let Some(output) = step.outputs.first_mut() else { return Ok(()) };
        let after = output.replace(self.values);
        let data = Source::Value(self.values);
        self.makers.insert(self.values, self.steps.len() - 1);
        self.values += 1;
        let leaves = leaves(&self.leaves[weight].name, self.leaves[bias].tensor.size(), self.options.device)?;
        let own = (self.leaves.len()..).take(leaves.len()).map(Source::Leaf);
        let inputs = std::iter::once(data).chain(own).collect();
        let at =
            Inserted { step: self.steps.len(), maker: self.steps.len() - 1, weight, bias, first: self.leaves.len() };
        self.inserted.push(at);
        self.leaves.extend(leaves);
        self.add(Step {
            name: format!("the normalisation inserted after {node}"),
            op: op(),
            inputs,
            outputs: vec![after],
            readings: Vec::new(),
            leaving_out: Vec::new(),
            spent: Vec::new(),
            overwrite: false,
        });
        Ok(())
    }
}

/// Running moments of one convolution's output: `E[x]` and `E[x²]` per channel, in double precision.
struct Moments([Tensor; 2]);

impl Moments {
    fn of(data: &Tensor) -> Torch<Self> {
        let axes: Vec<i64> = (0..data.dim() as i64).filter(|&axis| axis != 1).collect();
        let data = data.f_to_kind(Kind::Double)?;
        Ok(Self([data.f_mean_dim(&axes[..], false, None)?, data.f_square()?.f_mean_dim(&axes[..], false, None)?]))
    }

    fn merge(&mut self, batch: &Self, share: f64) -> Torch<()> {
        for (old, new) in self.0.iter_mut().zip(&batch.0) {
            *old = old.f_lerp(new, share)?;
        }
        Ok(())
    }

    fn variance(&self) -> Torch<Tensor> {
        let [mean, square] = &self.0;
        square.f_sub(&mean.f_square()?)?.f_clamp_min(0.0)
    }
}

impl Network {
    /// Measures the data of the inserted normalisations over batches of images, and sets their statistics, scales and
    /// shifts so that the network's outputs stay what they are. Without inserted normalisations nothing runs.
    ///
    /// # Errors
    /// When a batch does not fit the network.
    pub fn measure_inserted(&mut self, batches: impl IntoIterator<Item = Feeds>) -> Result<(), NetworkError> {
        if self.inserted.is_empty() {
            return Ok(());
        }
        let mut moments: Vec<Option<Moments>> = self.inserted.iter().map(|_| None).collect();
        let mut images = 0.0;
        for batch in batches {
            let count = batch.images() as f64;
            images += count;
            no_grad(|| self.observe_inserted(&batch, &mut moments, count / images))?;
        }
        for (inserted, moments) in self.inserted.iter().zip(moments) {
            if let Some(moments) = moments {
                no_grad(|| inserted.become_identity(&mut self.leaves, &moments))?;
            }
        }
        Ok(())
    }

    fn observe_inserted(&self, batch: &Feeds, moments: &mut [Option<Moments>], share: f64) -> Result<(), NetworkError> {
        self.run(&self.laid(batch)?, &mut Pass::default(), &mut |step, inputs| {
            let Some(at) = self.inserted.iter().position(|inserted| inserted.step == step) else { return Ok(()) };
            let batch = Moments::of(inputs.at(0)?)?;
            match &mut moments[at] {
                Some(all) => all.merge(&batch, share),
                first => {
                    *first = Some(batch);
                    Ok(())
                }
            }
        })?;
        Ok(())
    }
}

impl Inserted {
    /// Sets statistics from what was measured, and scale and shift so that they cancel.
    fn become_identity(&self, leaves: &mut [Leaf], moments: &Moments) -> Torch<()> {
        let variance = moments.variance()?;
        let deviation = variance.f_add_scalar(EPSILON)?.f_sqrt()?;
        let mean = &moments.0[0];
        for (leaf, value) in leaves[self.first..].iter_mut().zip([&deviation, mean, mean, &variance]) {
            leaf.tensor.f_copy_(value)?;
        }
        Ok(())
    }

    /// The convolution's weight and bias with the normalisation folded in.
    pub(super) fn folded(&self, leaves: &[Leaf], convolution: &dyn Op) -> Torch<[Tensor; 2]> {
        let [scale, shift, mean, variance] = [0, 1, 2, 3].map(|i| &leaves[self.first + i].tensor);
        let [scale, shift] = affine(scale, shift, mean, variance, EPSILON)?;
        let wide = |leaf: usize| leaves[leaf].tensor.f_detach()?.f_to_kind(Kind::Double);
        convolution.fold(&wide(self.weight)?, Some(&wide(self.bias)?), &scale, &shift)
    }
}
