//! Tensors with only some of their indices.

use import::Tensor;

/// The tensor with only the `kept` indices of `axis`, in their order. Elements must fill bytes.
pub(super) fn take(tensor: &Tensor, axis: usize, kept: &[usize]) -> Tensor {
    let extent = tensor.shape[axis];
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let step = inner * tensor.dtype.bits() / 8;
    let mut data = Vec::with_capacity(tensor.data.len() / extent.max(1) * kept.len());
    for block in tensor.data.chunks_exact((extent * step).max(1)) {
        for &index in kept {
            data.extend_from_slice(&block[index * step..(index + 1) * step]);
        }
    }
    let mut shape = tensor.shape.clone();
    shape[axis] = kept.len();
    Tensor { dtype: tensor.dtype, shape, data: data.into() }
}
