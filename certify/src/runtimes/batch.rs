//! What goes into a runtime and what comes out.

use super::values::Values;
use crate::error::CertifyError;

/// Samples stacked along the first axis, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[n, ...]`.
    pub shape: Vec<usize>,
    /// One value per element.
    pub data: Vec<f32>,
}

/// One output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The output's name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// One per element, in the type that the runtime gave.
    pub values: Values,
}

impl Output {
    /// The axis along which `samples` samples lie: the first one of that extent; else the first axis, where it has a
    /// whole number of entries for each of them.
    #[must_use]
    pub fn batch_axis(&self, samples: usize) -> Option<usize> {
        let exact = self.shape.iter().position(|extent| *extent == samples);
        let parts = || self.shape.first().is_some_and(|extent| extent % samples.max(1) == 0).then_some(0);
        exact.or_else(parts).filter(|_| samples > 0)
    }

    /// The values of each of `samples` samples, or of the whole as one sample where there is no batch axis.
    pub fn samples(&self, samples: usize) -> impl Iterator<Item = Values> {
        let (axis, count) = self.batch_axis(samples).map_or((0, 1), |axis| (axis, samples));
        let outer: usize = self.shape.iter().take(axis).product();
        let stride = self.values.len() / (outer * count).max(1);
        (0..count).map(move |sample| {
            let starts = (0..outer).map(|block| (block * count + sample) * stride);
            self.values.pick(starts.map(|start| start..start + stride))
        })
    }
}

impl Batch {
    /// A batch of at least one sample.
    ///
    /// # Errors
    /// When `data` has not one value per element of `shape`.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, CertifyError> {
        if elements(&shape) == Some(data.len()) && shape.first().is_some_and(|n| *n > 0) {
            Ok(Self { shape, data })
        } else {
            Err(CertifyError::Batch { shape, values: data.len() })
        }
    }

    /// Samples in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Whether the batch holds no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values per sample.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.data.len() / self.len().max(1)
    }

    /// The samples `start..start + size`, fewer where the batch ends before. `start` lies within the batch.
    #[must_use]
    pub fn samples(&self, start: usize, size: usize) -> Self {
        self.piece(start, size.min(self.len() - start))
    }

    /// The samples `start..start + size`, the last one repeated where the batch ends before.
    pub(super) fn piece(&self, start: usize, size: usize) -> Self {
        let stride = self.stride();
        let end = (start + size).min(self.len());
        let mut data = self.data[start * stride..end * stride].to_vec();
        for _ in end..start + size {
            data.extend_from_slice(&self.data[(end - 1) * stride..end * stride]);
        }
        let mut shape = self.shape.clone();
        shape[0] = size;
        Self { shape, data }
    }
}

/// The number of elements of a shape; `None` when it does not fit.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shape_and_data_must_fit() {
        assert!(Batch::new(vec![2, 3], vec![0.0; 5]).is_err());
        assert!(Batch::new(vec![0, 3], vec![]).is_err());
        assert!(Batch::new(vec![usize::MAX, 3], vec![]).is_err());
    }

    #[test]
    fn samples_lie_along_the_axis_of_their_number() {
        let output = |shape: &[usize]| {
            let count: u16 = shape.iter().product::<usize>().try_into().unwrap();
            let values = (0..count).map(f32::from).collect::<Vec<_>>().into();
            Output { name: "y".into(), shape: shape.to_vec(), values }
        };
        let second = |shape: &[usize], samples| output(shape).samples(samples).nth(1).map(|values| values.to_f64());
        assert_eq!(second(&[2, 3], 2), Some(vec![3.0, 4.0, 5.0]));
        assert_eq!(second(&[3, 2], 2), Some(vec![1.0, 3.0, 5.0]));
        assert_eq!(second(&[4, 1], 2), Some(vec![2.0, 3.0]));
        assert_eq!(output(&[3, 5]).samples(2).count(), 1);
        assert_eq!(output(&[]).samples(2).count(), 1);
    }
}
