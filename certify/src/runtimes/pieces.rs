//! Batches that run in pieces, and outputs put together again.
//!
//! Which axis of an output is the batch is not written in a file. Where pieces of two sizes run, it is the axis on
//! which their outputs differ; so a batch is never cut into pieces of one size where that can be avoided.

use super::batch::{Batch, Output};
use crate::error::CertifyError;

/// How a batch is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// So many samples in every run, as the file fixes: the last run is filled up with its own last sample.
    Exactly(usize),
    /// At most so many samples in a run.
    AtMost(usize),
}

/// What runs at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The samples.
    pub batch: Batch,
    /// How many of them count; the rest fill up.
    pub kept: usize,
}

impl Pieces {
    /// The pieces of a batch, in order.
    #[must_use]
    pub fn cut(self, batch: &Batch) -> Vec<Piece> {
        let mut start = 0;
        let mut pieces = Vec::new();
        for (kept, ran) in self.sizes(batch.len()) {
            pieces.push(Piece { batch: batch.piece(start, ran), kept });
            start += kept;
        }
        pieces
    }

    /// Runs a batch in pieces and joins the outputs.
    ///
    /// # Errors
    /// What `run` reports, and [`CertifyError::Unjoinable`] for outputs that do not fit each other.
    pub fn run(
        self,
        batch: &Batch,
        run: impl FnMut(&Batch) -> Result<Vec<Output>, CertifyError>,
    ) -> Result<Vec<Output>, CertifyError> {
        let pieces = self.cut(batch);
        let runs = pieces.iter().map(|piece| &piece.batch).map(run).collect::<Result<_, _>>()?;
        join(&pieces, runs)
    }

    /// Samples that count and samples that run, piece by piece.
    fn sizes(self, samples: usize) -> Vec<(usize, usize)> {
        let size = match self {
            Self::Exactly(size) | Self::AtMost(size) => size.max(1),
        };
        let (whole, rest) = (samples / size, samples % size);
        let mut kept = vec![size; whole];
        kept.extend((rest > 0).then_some(rest));
        match self {
            Self::Exactly(_) => kept.into_iter().map(|kept| (kept, size)).collect(),
            Self::AtMost(_) => {
                if whole > 1 && rest == 0 && size > 1 {
                    kept.splice(whole - 1.., [size - 1, 1]);
                }
                kept.into_iter().map(|kept| (kept, kept)).collect()
            }
        }
    }
}

/// Puts the outputs of all pieces together. Along the batch axis, samples that fill up are dropped; an output without a
/// batch axis gets one in front, an entry for each piece, so that nothing is lost.
///
/// # Errors
/// [`CertifyError::Unjoinable`] where pieces differ in the number of outputs, in type, or on more than one axis.
pub fn join(pieces: &[Piece], runs: Vec<Vec<Output>>) -> Result<Vec<Output>, CertifyError> {
    let count = runs.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<Output>> = vec![Vec::new(); count];
    for outputs in runs {
        if outputs.len() != count {
            return Err(CertifyError::Outputs { first: count, other: outputs.len() });
        }
        columns.iter_mut().zip(outputs).for_each(|(column, output)| column.push(output));
    }
    columns.into_iter().map(|column| joined(pieces, column)).collect()
}

/// One output of all pieces.
fn joined(pieces: &[Piece], mut outputs: Vec<Output>) -> Result<Output, CertifyError> {
    let axis = batch_axis(pieces, &outputs)?;
    if let Some(axis) = axis {
        for (piece, output) in pieces.iter().zip(&mut outputs) {
            drop_filling(piece, output, axis);
        }
    }
    match (axis, outputs.len()) {
        (_, 1) => Ok(outputs.remove(0)),
        (Some(axis), _) => concatenated(outputs, axis),
        (None, _) => {
            outputs.iter_mut().for_each(|output| output.shape.insert(0, 1));
            concatenated(outputs, 0)
        }
    }
}

/// The one axis on which pieces differ; where none does, the first axis of as many entries as samples ran, or the first
/// one with a whole number of them per sample, if pieces of one size leave that open.
fn batch_axis(pieces: &[Piece], outputs: &[Output]) -> Result<Option<usize>, CertifyError> {
    let Some((first, piece)) = outputs.first().zip(pieces.first()) else { return Ok(None) };
    let size = piece.batch.len();
    let unjoinable = |output: &Output| CertifyError::Unjoinable {
        output: output.name.clone(),
        shape: output.shape.clone(),
        batch: size,
    };
    let mut differs = None;
    for output in &outputs[1..] {
        if output.shape.len() != first.shape.len() {
            return Err(unjoinable(output));
        }
        for axis in (0..first.shape.len()).filter(|axis| output.shape[*axis] != first.shape[*axis]) {
            if differs.is_some_and(|known| known != axis) {
                return Err(unjoinable(output));
            }
            differs = Some(axis);
        }
    }
    let sizes_differ = pieces.iter().any(|piece| piece.batch.len() != size);
    if differs.is_some() || sizes_differ {
        return Ok(differs);
    }
    let exact = first.shape.iter().position(|extent| *extent == size);
    let parts = || first.shape.first().is_some_and(|extent| *extent > 0 && extent % size == 0).then_some(0);
    Ok(exact.or_else(parts))
}

/// Drops what belongs to samples that only fill up, where an axis has a whole number of entries per sample.
fn drop_filling(piece: &Piece, output: &mut Output, axis: usize) {
    let (ran, extent) = (piece.batch.len(), output.shape[axis]);
    if piece.kept == ran || extent % ran != 0 {
        return;
    }
    let kept = extent / ran * piece.kept;
    let (outer, stride) = around(output, axis);
    let blocks = (0..outer).map(|block| block * extent * stride);
    output.values = output.values.pick(blocks.map(|start| start..start + kept * stride));
    output.shape[axis] = kept;
}

/// Outputs of one shape but for `axis`, one after another on it.
fn concatenated(outputs: Vec<Output>, axis: usize) -> Result<Output, CertifyError> {
    let mut outputs = outputs.into_iter();
    let Some(first) = outputs.next() else { return Err(CertifyError::Outputs { first: 0, other: 0 }) };
    outputs.try_fold(first, |whole, output| appended(whole, output, axis))
}

fn appended(mut whole: Output, more: Output, axis: usize) -> Result<Output, CertifyError> {
    let ((outer, stride), extents) = (around(&whole, axis), [whole.shape[axis], more.shape[axis]]);
    let fits = whole.values.element() == more.values.element();
    if !fits {
        return Err(CertifyError::Unjoinable { output: more.name, shape: more.shape, batch: extents[1] });
    }
    if outer == 1 {
        whole.values.append(more.values);
    } else {
        let mut values = whole.values.pick([]);
        for block in 0..outer {
            for (part, extent) in [(&whole.values, extents[0]), (&more.values, extents[1])] {
                let length = extent * stride;
                values.append(part.pick(std::iter::once(block * length..(block + 1) * length)));
            }
        }
        whole.values = values;
    }
    whole.shape[axis] += extents[1];
    Ok(whole)
}

/// Blocks before an axis, and elements of one entry on it.
fn around(output: &Output, axis: usize) -> (usize, usize) {
    (output.shape[..axis].iter().product(), output.shape[axis + 1..].iter().product())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn batch() -> Batch {
        Batch::new(vec![7, 2], (0..14u8).map(f32::from).collect()).unwrap()
    }

    fn numbers(batch: &Batch) -> Vec<f32> {
        batch.feeds()[0].values.to_f64().into_iter().map(|value| value as f32).collect()
    }

    fn output(name: &str, shape: &[usize], data: Vec<f32>) -> Output {
        Output { name: name.into(), shape: shape.to_vec(), values: data.into() }
    }

    /// Doubles every value: samples first, two rows per sample, and samples on axis 1.
    fn double(batch: &Batch) -> Vec<Output> {
        let n = batch.len();
        let doubled: Vec<f32> = numbers(batch).iter().map(|v| v * 2.0).collect();
        let across = (0..2).flat_map(|column| (0..n).map(move |row| row * 2 + column)).map(|at| doubled[at]);
        vec![
            output("y", &[n, 2], doubled.clone()),
            output("rows", &[n * 2], doubled.clone()),
            output("across", &[2, n, 1], across.collect()),
        ]
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        for pieces in [2, 3, 6, 7, 20].map(Pieces::AtMost) {
            assert_eq!(pieces.run(&batch(), |piece| Ok(double(piece))).unwrap(), double(&batch()), "{pieces:?}");
        }
        for size in [3, 4, 7, 20] {
            let joined = Pieces::Exactly(size).run(&batch(), |piece| {
                assert_eq!(piece.len(), size);
                Ok(double(piece))
            });
            assert_eq!(joined.unwrap(), double(&batch()), "{size}");
        }
    }

    #[test]
    fn nothing_is_lost_where_the_batch_axis_is_unknown() {
        let ones = Pieces::AtMost(1).run(&batch(), |piece| Ok(double(piece))).unwrap();
        assert_eq!(ones.iter().map(|output| output.values.len()).collect::<Vec<_>>(), [14, 14, 14]);
        let mean = |piece: &Batch| Ok(vec![output("mean", &[], vec![numbers(piece)[0]])]);
        let means = Pieces::AtMost(3).run(&batch(), mean).unwrap();
        assert_eq!((&means[0].shape, means[0].values.to_f64()), (&vec![3], vec![0.0, 6.0, 12.0]));
        assert_eq!(Pieces::AtMost(7).run(&batch(), mean).unwrap()[0].shape, Vec::<usize>::new());
    }

    #[test]
    fn outputs_that_differ_on_two_axes_are_refused() {
        let square = |piece: &Batch| Ok(vec![output("s", &[piece.len(), piece.len()], vec![0.0; piece.len().pow(2)])]);
        assert!(matches!(Pieces::AtMost(3).run(&batch(), square), Err(CertifyError::Unjoinable { .. })));
        assert!(Pieces::AtMost(7).run(&batch(), square).is_ok());
    }
}
