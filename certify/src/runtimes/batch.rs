//! What goes into a runtime and what comes out, and runs in pieces of a fixed size.

use crate::error::CertifyError;

/// Samples stacked along the first axis, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[n, ...]`.
    pub shape: Vec<usize>,
    /// One value per element.
    pub data: Vec<f32>,
}

/// One output of a model, converted to `f32`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The output's name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// One value per element.
    pub data: Vec<f32>,
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
    fn piece(&self, start: usize, size: usize) -> Self {
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

/// Runs `batch` in pieces of exactly `size` samples, padding the last one with its own last sample, and joins the
/// outputs along their first axis without the padding. An output may have several rows per sample.
///
/// # Errors
/// What `run` reports, and [`CertifyError::Unjoinable`] for an output without a whole number of rows per sample.
pub fn in_pieces(
    batch: &Batch,
    size: usize,
    mut run: impl FnMut(&Batch) -> Result<Vec<Output>, CertifyError>,
) -> Result<Vec<Output>, CertifyError> {
    if size == batch.len() || size == 0 {
        return run(batch);
    }
    let mut joined: Vec<Output> = Vec::new();
    for start in (0..batch.len()).step_by(size) {
        let kept = size.min(batch.len() - start);
        for (index, output) in run(&batch.piece(start, size))?.into_iter().enumerate() {
            let output = first_samples(output, size, kept)?;
            match joined.get_mut(index) {
                Some(whole) => append(whole, output, size)?,
                None => joined.push(output),
            }
        }
    }
    Ok(joined)
}

/// Drops the rows of the samples past `kept` of `size`.
fn first_samples(mut output: Output, size: usize, kept: usize) -> Result<Output, CertifyError> {
    let rows = output.shape.first().copied().unwrap_or(0);
    if rows == 0 || rows % size != 0 {
        return Err(CertifyError::Unjoinable { output: output.name, shape: output.shape, batch: size });
    }
    let stride = output.data.len() / rows;
    let rows = rows / size * kept;
    output.data.truncate(rows * stride);
    output.shape[0] = rows;
    Ok(output)
}

fn append(whole: &mut Output, piece: Output, size: usize) -> Result<(), CertifyError> {
    if whole.shape[1..] != piece.shape[1..] {
        return Err(CertifyError::Unjoinable { output: piece.name, shape: piece.shape, batch: size });
    }
    whole.shape[0] += piece.shape[0];
    whole.data.extend(piece.data);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Doubles every value; two rows per sample in the second output.
    fn double(batch: &Batch) -> Vec<Output> {
        let doubled: Vec<f32> = batch.data.iter().map(|v| v * 2.0).collect();
        vec![
            Output { name: "y".into(), shape: batch.shape.clone(), data: doubled.clone() },
            Output { name: "rows".into(), shape: vec![batch.data.len()], data: doubled },
        ]
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let batch = Batch::new(vec![7, 2], (0..14u8).map(f32::from).collect()).unwrap();
        for size in [1, 2, 3, 7, 20] {
            let mut sizes = Vec::new();
            let joined = in_pieces(&batch, size, |piece| {
                sizes.push(piece.len());
                Ok(double(piece))
            });
            assert_eq!(joined.unwrap(), double(&batch), "pieces of {size}");
            assert!(sizes.iter().all(|n| *n == size));
        }
    }

    #[test]
    fn outputs_without_a_batch_axis_are_refused() {
        let batch = Batch::new(vec![3, 1], vec![0.0; 3]).unwrap();
        let scalar = |_: &Batch| Ok(vec![Output { name: "s".into(), shape: vec![], data: vec![1.0] }]);
        assert!(matches!(in_pieces(&batch, 2, scalar), Err(CertifyError::Unjoinable { .. })));
        assert!(in_pieces(&batch, 3, scalar).is_ok());
    }

    #[test]
    fn shape_and_data_must_fit() {
        assert!(Batch::new(vec![2, 3], vec![0.0; 5]).is_err());
        assert!(Batch::new(vec![0, 3], vec![]).is_err());
        assert!(Batch::new(vec![usize::MAX, 3], vec![]).is_err());
    }
}
