//! What computing a constant sees of a node: elements of all inputs, in double precision.

use ndarray::{ArrayD, ArrayViewD, Axis, Ix1, Ix2, IxDyn, Zip};

use super::infer_view::resolve_axis;
use crate::graph::{Graph, Node};
use crate::tensor::DType;

/// Elements of a value, of any type.
pub type Elements = ArrayD<f64>;
/// Elements of the first output, from those of the inputs; `None` for a form that is not covered.
pub type Compute = fn(&ComputeView) -> Option<Elements>;

/// A node whose inputs' elements are all known.
pub struct ComputeView<'a> {
    /// The node.
    pub node: &'a Node,
    pub(crate) graph: &'a Graph,
    /// Elements by input; `None` for one that is left out.
    pub(crate) inputs: Vec<Option<&'a Elements>>,
    /// Sizes of the first output.
    pub(crate) shape: Vec<usize>,
}

impl ComputeView<'_> {
    /// The elements of an input.
    pub(super) fn at(&self, input: usize) -> Option<&Elements> {
        self.inputs.get(input).copied().flatten()
    }

    /// The elements of an input, as integers.
    pub(super) fn ints(&self, input: usize) -> Option<Vec<i64>> {
        Some(self.at(input)?.iter().map(|&element| element as i64).collect())
    }

    /// A list given as an attribute in older revisions and as an input in newer ones.
    pub(super) fn list(&self, attribute: &str, input: usize) -> Option<Vec<i64>> {
        self.node.ints(attribute).map(<[i64]>::to_vec).or_else(|| self.ints(input))
    }

    /// Whether an input holds integers.
    pub(super) fn is_whole(&self, input: usize) -> bool {
        let dtype = self.node.input(input).and_then(|value| self.graph.value(value).dtype);
        dtype.is_some_and(DType::is_integer)
    }

    /// Sizes of the first output.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The first input's elements as they are.
    pub(super) fn same(&self) -> Option<Elements> {
        self.at(0).cloned()
    }

    /// A function of each element.
    pub(super) fn each(&self, of: fn(f64) -> f64) -> Option<Elements> {
        Some(self.at(0)?.mapv(of))
    }

    /// A function of all operands, element by element, from the first on.
    pub(super) fn joint(&self, of: impl Fn(f64, f64) -> f64) -> Option<Elements> {
        let spread = |input: usize| self.at(input)?.broadcast(IxDyn(&self.shape));
        let first = spread(0)?.to_owned();
        (1..self.inputs.len()).try_fold(first, |mut all, input| {
            Zip::from(&mut all).and(spread(input)?).for_each(|x, &y| *x = of(*x, y));
            Some(all)
        })
    }

    /// The same elements, in order, on other axes.
    pub(super) fn regrouped(&self) -> Option<Elements> {
        let flat = self.at(0)?.iter().copied().collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape), flat).ok()
    }

    /// Spread over the output's sizes.
    pub(super) fn spread(&self) -> Option<Elements> {
        Some(self.at(0)?.broadcast(IxDyn(&self.shape))?.to_owned())
    }

    /// The same elements with axes in this order.
    pub(super) fn permuted(&self, order: &[usize]) -> Option<Elements> {
        let data = self.at(0)?;
        (data.ndim() == order.len()).then(|| data.view().permuted_axes(IxDyn(order)).to_owned())
    }

    /// A number for all elements that differ on these axes alone.
    pub(super) fn reduced(&self, axes: &[usize], of: impl Fn(&[f64]) -> f64) -> Option<Elements> {
        let data = self.at(0)?;
        let kept: Vec<usize> = (0..data.ndim()).filter(|axis| !axes.contains(axis)).collect();
        let order = [kept.as_slice(), axes].concat();
        let together: usize = axes.iter().map(|&axis| data.shape().get(axis).copied().unwrap_or(0)).product();
        if order.len() != data.ndim() || together == 0 {
            return None;
        }
        let elements: Vec<f64> = data.view().permuted_axes(IxDyn(&order)).iter().copied().collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape), elements.chunks(together).map(of).collect()).ok()
    }

    /// The operands end to end along an axis.
    pub(super) fn concatenated(&self, axis: i64) -> Option<Elements> {
        let parts: Vec<ArrayViewD<f64>> =
            self.inputs.iter().map(|part| Some((*part)?.view())).collect::<Option<_>>()?;
        let axis = resolve_axis(axis, parts.first()?.ndim())?;
        ndarray::concatenate(Axis(axis), &parts).ok()
    }

    /// The elements at these indices of an axis, where the indices are a list or one.
    pub(super) fn picked(&self, axis: i64, indices: &[i64]) -> Option<Elements> {
        let data = self.at(0)?;
        let axis = resolve_axis(axis, data.ndim())?;
        let indices: Option<Vec<usize>> =
            indices.iter().map(|&index| resolve_axis(index, data.shape()[axis])).collect();
        let picked = data.select(Axis(axis), &indices?);
        picked.into_shape_with_order(IxDyn(&self.shape)).ok()
    }

    /// The product of two matrices or vectors.
    pub(super) fn multiplied(&self) -> Option<Elements> {
        let (a, b) = (self.at(0)?, self.at(1)?);
        let product = match (a.ndim(), b.ndim()) {
            (2, 2) => {
                let (a, b) = (a.view().into_dimensionality::<Ix2>().ok()?, b.view().into_dimensionality::<Ix2>().ok()?);
                (a.ncols() == b.nrows()).then(|| a.dot(&b).into_dyn())?
            }
            (2, 1) => {
                let (a, b) = (a.view().into_dimensionality::<Ix2>().ok()?, b.view().into_dimensionality::<Ix1>().ok()?);
                (a.ncols() == b.len()).then(|| a.dot(&b).into_dyn())?
            }
            (1, 2) => {
                let (a, b) = (a.view().into_dimensionality::<Ix1>().ok()?, b.view().into_dimensionality::<Ix2>().ok()?);
                (a.len() == b.nrows()).then(|| b.t().dot(&a).into_dyn())?
            }
            (1, 1) => {
                let sum = (a.len() == b.len()).then(|| a.iter().zip(b).map(|(x, y)| x * y).sum())?;
                ArrayD::from_elem(IxDyn(&[]), sum)
            }
            _ => return None,
        };
        Some(product)
    }

    /// `scale · (x − mean) / √(variance + epsilon) + shift` along axis 1, from inputs 1 to 4.
    pub(super) fn normalised(&self, epsilon: f64) -> Option<Elements> {
        let mut data = self.at(0)?.clone();
        let list = |input: usize| Some(self.at(input)?.iter().copied().collect::<Vec<f64>>());
        let (scale, shift, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
        let channels = if data.ndim() > 1 { data.shape()[1] } else { return None };
        if [&scale, &shift, &mean, &variance].iter().any(|list| list.len() != channels) {
            return None;
        }
        for (channel, mut slice) in data.axis_iter_mut(Axis(1)).enumerate() {
            let by = scale[channel] / (variance[channel] + epsilon).sqrt();
            slice.mapv_inplace(|x| (x - mean[channel]) * by + shift[channel]);
        }
        Some(data)
    }
}
