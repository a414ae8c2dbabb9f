//! Sparse constants: most elements are zero, and the others are listed with their places.

use std::path::Path;

use crate::proto::onnx::SparseTensorProto;
use crate::tensor::{Tensor, TensorError};

/// A sparse constant is read whole up to so many elements, and beyond that up to so many for each that is listed: few
/// bytes may declare any size.
const ALWAYS_READ: usize = 1 << 16;
const FOR_EACH_LISTED: usize = 256;

/// The constant with all its elements; `None` where there are too many of them, or its parts contradict each other.
///
/// # Errors
/// When its elements or their places cannot be read.
pub(crate) fn dense(sparse: &SparseTensorProto, folder: &Path) -> Result<Option<Tensor>, TensorError> {
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else { return Ok(None) };
    let (values, indices) = (Tensor::from_proto(values, folder)?, Tensor::from_proto(indices, folder)?);
    let shape: Option<Vec<usize>> = sparse.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let Some(shape) = shape else { return Ok(None) };
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let most = ALWAYS_READ.max(values.len().saturating_mul(FOR_EACH_LISTED));
    let (Some(count), 0) = (count.filter(|&count| count <= most), values.dtype.bits() % 8) else { return Ok(None) };
    Ok(places(&indices, &shape, values.len()).and_then(|places| filled(&values, &shape, count, &places)))
}

/// Row-major places of the listed elements: given as such, or as one index per axis.
fn places(indices: &Tensor, shape: &[usize], listed: usize) -> Option<Vec<usize>> {
    let numbers = indices.to_i64().ok()?;
    let numbers: Vec<usize> = numbers.into_iter().map(|number| usize::try_from(number).ok()).collect::<Option<_>>()?;
    match indices.shape[..] {
        [count] if count == listed => Some(numbers),
        [count, rank] if count == listed && rank == shape.len() && rank > 0 => {
            let flat = |index: &[usize]| {
                index.iter().zip(shape).try_fold(0usize, |flat, (&at, &size)| {
                    (at < size).then(|| flat.checked_mul(size)?.checked_add(at)).flatten()
                })
            };
            numbers.chunks_exact(rank).map(flat).collect()
        }
        _ => None,
    }
}

/// Zeros, but for the listed elements.
fn filled(values: &Tensor, shape: &[usize], count: usize, places: &[usize]) -> Option<Tensor> {
    let width = values.dtype.bits() / 8;
    let mut data = vec![0; count.checked_mul(width)?];
    for (element, &place) in values.data.chunks_exact(width.max(1)).zip(places) {
        // Any place may be listed; only those below the count can be multiplied.
        let start = (place < count).then(|| place * width)?;
        data.get_mut(start..start + width)?.copy_from_slice(element);
    }
    Some(Tensor { dtype: values.dtype, shape: shape.to_vec(), data: data.into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sparse(dims: &[i64], indices: (&[usize], &[i64]), values: &[f32]) -> SparseTensorProto {
        SparseTensorProto {
            values: Some(Tensor::from_f32(&[values.len()], values).unwrap().to_proto("values")),
            indices: Some(Tensor::from_i64(indices.0, indices.1).unwrap().to_proto("indices")),
            dims: dims.to_vec(),
        }
    }

    fn read(sparse: &SparseTensorProto) -> Option<Vec<f32>> {
        dense(sparse, Path::new("")).unwrap().map(|tensor| tensor.to_f32().unwrap())
    }

    #[test]
    fn both_forms_of_places_are_read() {
        let expected = Some(vec![0.0, 0.0, 5.0, 0.0, 6.0, 0.0]);
        assert_eq!(read(&sparse(&[2, 3], (&[2], &[2, 4]), &[5.0, 6.0])), expected);
        assert_eq!(read(&sparse(&[2, 3], (&[2, 2], &[0, 2, 1, 1]), &[5.0, 6.0])), expected);
    }

    #[test]
    fn what_contradicts_itself_or_is_huge_is_not_read() {
        assert_eq!(read(&sparse(&[2, 3], (&[1], &[6]), &[5.0])), None);
        assert_eq!(read(&sparse(&[2, 3], (&[1, 2], &[0, 3]), &[5.0])), None);
        assert_eq!(read(&sparse(&[2, 3], (&[2], &[0, 1]), &[5.0])), None);
        assert_eq!(read(&sparse(&[1 << 40, 1 << 40], (&[1], &[0]), &[5.0])), None);
        assert_eq!(read(&sparse(&[1 << 30], (&[1], &[0]), &[5.0])), None);
        assert_eq!(read(&sparse(&[2, 3], (&[1], &[i64::MAX]), &[5.0])), None);
    }
}
