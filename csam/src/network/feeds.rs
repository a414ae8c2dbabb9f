//! What a network reads in one run.

use import::Graph;
use import::graph::ValueId;
use tch::{Device, Kind, TchError, Tensor};

use super::convert;
use super::error::NetworkError;
use super::op::Torch;

/// A tensor for each of a network's inputs, in the graph's order, with the images of each along its first axis.
#[derive(Debug)]
pub struct Feeds(Vec<Tensor>);

impl Feeds {
    /// Tensors of equally many images each.
    ///
    /// # Errors
    /// They are not, or there is no tensor.
    pub fn new(tensors: Vec<Tensor>) -> Result<Self, TchError> {
        let count = |tensor: &Tensor| tensor.size().first().copied();
        let first = tensors.first().and_then(count);
        match first.is_some() && tensors.iter().all(|tensor| count(tensor) == first) {
            true => Ok(Self(tensors)),
            false => Err(TchError::Shape("inputs of a network have different numbers of images".to_owned())),
        }
    }

    /// How many images there are.
    pub fn images(&self) -> i64 {
        self.0.first().and_then(|tensor| tensor.size().first().copied()).unwrap_or(0)
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }

    /// Some of the images.
    ///
    /// # Errors
    /// There are not so many.
    pub fn narrow(&self, start: i64, count: i64) -> Result<Self, TchError> {
        Ok(Self(self.0.iter().map(|tensor| tensor.f_narrow(0, start, count)).collect::<Result<_, _>>()?))
    }

    /// These images, and then others.
    ///
    /// # Errors
    /// The others are of another network.
    pub fn then(&self, more: &Self) -> Result<Self, TchError> {
        let pairs = self.0.iter().zip(&more.0);
        Ok(Self(pairs.map(|(a, b)| Tensor::f_cat(&[a, b], 0)).collect::<Result<_, _>>()?))
    }

    /// Whether these are the same numbers.
    pub fn is(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.equal(b))
    }

    /// The same tensors again.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self(self.0.iter().map(Tensor::shallow_clone).collect())
    }
}

/// The only input of a network.
impl From<Tensor> for Feeds {
    fn from(tensor: Tensor) -> Self {
        Self(vec![tensor])
    }
}

/// An input of a network.
pub(super) struct Port {
    /// The value that it becomes.
    pub(super) value: usize,
    kind: Kind,
    /// The axis along which the graph has its images; none where it takes one at a time.
    pub(super) axis: Option<usize>,
}

impl Port {
    pub(super) fn of(graph: &Graph, input: ValueId) -> Self {
        Self {
            value: input.0 as usize,
            kind: graph.value(input).dtype.and_then(convert::kind).unwrap_or(Kind::Float),
            axis: graph.batch_axis(input),
        }
    }

    /// The images as the graph has them.
    pub(super) fn lay(&self, images: &Tensor) -> Result<Tensor, NetworkError> {
        Ok(match self.axis {
            Some(0) => images.shallow_clone(),
            Some(axis) => images.f_movedim_int(0, axis as i64)?,
            None => images.f_squeeze_dim(0)?,
        })
    }

    /// A tensor as the network computes with it.
    pub(super) fn take(&self, tensor: &Tensor, device: Device) -> Torch<Tensor> {
        channels_last(tensor.f_to_device(device)?.f_to_kind(self.kind)?)
    }
}

/// Images with their channels innermost in memory, which convolution and normalisation pass on, and are faster in.
fn channels_last(input: Tensor) -> Torch<Tensor> {
    if input.dim() != 4 {
        return Ok(input);
    }
    input.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
