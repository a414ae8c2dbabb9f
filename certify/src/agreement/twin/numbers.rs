//! What runtimes give, in types that hold it exactly.

use half::{bf16, f16};
use ort::value::{DynValue, TensorElementType, ValueType};

/// One output of one run, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
}

/// Elements; none of these conversions rounds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    /// Floats of at most 32 bits.
    Single(Vec<f32>),
    Double(Vec<f64>),
    /// Integers and truth values.
    Whole(Vec<i128>),
    Text(Vec<String>),
}

impl Shown {
    /// An output's elements; `None` when it is no tensor, or of a type that has no numbers.
    pub(super) fn of(value: &DynValue) -> Result<Option<Self>, ort::Error> {
        let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
            return Ok(None);
        };
        let shape = shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect();
        Ok(Numbers::of(value, *ty)?.map(|numbers| Self { shape, numbers }))
    }

    /// The indices that stay, axis by axis; `None` where one is not there.
    pub(super) fn gathered(self, kept: &[(usize, Vec<usize>)]) -> Option<Self> {
        kept.iter().try_fold(self, |shown, (axis, indices)| {
            let extent = *shown.shape.get(*axis)?;
            if indices.iter().any(|&index| index >= extent) {
                return None;
            }
            let inner: usize = shown.shape[axis + 1..].iter().product();
            let mut shape = shown.shape;
            shape[*axis] = indices.len();
            Some(Self { shape, numbers: shown.numbers.taken(extent, inner, indices) })
        })
    }
}

impl Numbers {
    fn of(value: &DynValue, element: TensorElementType) -> Result<Option<Self>, ort::Error> {
        macro_rules! elements {
            ($kind:ident, $type:ty, $convert:expr) => {
                Self::$kind(value.try_extract_tensor::<$type>()?.1.iter().copied().map($convert).collect())
            };
        }
        Ok(Some(match element {
            TensorElementType::Float32 => Self::Single(value.try_extract_tensor::<f32>()?.1.to_vec()),
            TensorElementType::Float16 => elements!(Single, f16, f16::to_f32),
            TensorElementType::Bfloat16 => elements!(Single, bf16, bf16::to_f32),
            TensorElementType::Float64 => Self::Double(value.try_extract_tensor::<f64>()?.1.to_vec()),
            TensorElementType::Bool => elements!(Whole, bool, i128::from),
            TensorElementType::Int8 => elements!(Whole, i8, i128::from),
            TensorElementType::Int16 => elements!(Whole, i16, i128::from),
            TensorElementType::Int32 => elements!(Whole, i32, i128::from),
            TensorElementType::Int64 => elements!(Whole, i64, i128::from),
            TensorElementType::Uint8 => elements!(Whole, u8, i128::from),
            TensorElementType::Uint16 => elements!(Whole, u16, i128::from),
            TensorElementType::Uint32 => elements!(Whole, u32, i128::from),
            TensorElementType::Uint64 => elements!(Whole, u64, i128::from),
            TensorElementType::String => Self::Text(value.try_extract_strings()?.1),
            _ => return Ok(None),
        }))
    }

    fn taken(self, extent: usize, inner: usize, indices: &[usize]) -> Self {
        match self {
            Self::Single(old) => Self::Single(taken(&old, extent, inner, indices)),
            Self::Double(old) => Self::Double(taken(&old, extent, inner, indices)),
            Self::Whole(old) => Self::Whole(taken(&old, extent, inner, indices)),
            Self::Text(old) => Self::Text(taken(&old, extent, inner, indices)),
        }
    }
}

fn taken<T: Clone>(old: &[T], extent: usize, inner: usize, indices: &[usize]) -> Vec<T> {
    let mut new = Vec::with_capacity(old.len() / extent.max(1) * indices.len());
    for block in old.chunks_exact((extent * inner).max(1)) {
        for &index in indices {
            new.extend_from_slice(&block[index * inner..(index + 1) * inner]);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_follows_every_axis() {
        let shown = Shown { shape: vec![2, 3, 2], numbers: Numbers::Whole((0..12).collect()) };
        let both = shown.clone().gathered(&[(1, vec![2, 0]), (0, vec![1])]);
        assert_eq!(both, Some(Shown { shape: vec![1, 2, 2], numbers: Numbers::Whole(vec![10, 11, 6, 7]) }));
        assert_eq!(shown.clone().gathered(&[(1, vec![3])]), None);
        assert_eq!(shown.gathered(&[(3, vec![0])]), None);
    }
}
