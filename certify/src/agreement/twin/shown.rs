//! What a file shows at one place in one run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use ort::value::{DynValue, TensorElementType, ValueType};

use crate::runtimes::Values;
use crate::runtimes::ort::{as_element, values};

/// One output of one run, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

impl Shown {
    /// An output's elements; `None` when it is no tensor, or of a type that cannot be compared.
    pub(super) fn of(value: &DynValue) -> Result<Option<Self>, ort::Error> {
        let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
            return Ok(None);
        };
        let shape = shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect();
        let values = match *ty {
            TensorElementType::String => texts(&value.try_extract_strings()?.1),
            element if as_element(element).is_none() => return Ok(None),
            element => values(value, element)?,
        };
        Ok(Some(Self { shape, values }))
    }

    /// The indices that stay, axis by axis; `None` where one is not there.
    pub(super) fn gathered(self, kept: &[(usize, Vec<usize>)]) -> Option<Self> {
        kept.iter().try_fold(self, |Self { mut shape, values }, (axis, indices)| {
            let extent = *shape.get(*axis)?;
            if indices.iter().any(|&index| index >= extent) {
                return None;
            }
            let inner: usize = shape[axis + 1..].iter().product();
            let values = values.pick(ranges(values.len(), extent, inner, indices));
            shape[*axis] = indices.len();
            Some(Self { shape, values })
        })
    }
}

/// Where the elements of some indices of an axis lie, block by block.
fn ranges(len: usize, extent: usize, inner: usize, indices: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let blocks = (0..len).step_by((extent * inner).max(1));
    blocks.flat_map(move |block| indices.iter().map(move |index| block + index * inner..block + (index + 1) * inner))
}

/// Texts are the same or not, and so are their hashes.
fn texts(texts: &[String]) -> Values {
    let hash = |text: &String| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    };
    Values::U64(texts.iter().map(hash).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_follows_every_axis() {
        let shown = Shown { shape: vec![2, 3, 2], values: Values::I32((0..12).collect()) };
        let both = shown.clone().gathered(&[(1, vec![2, 0]), (0, vec![1])]);
        assert_eq!(both, Some(Shown { shape: vec![1, 2, 2], values: Values::I32(vec![10, 11, 6, 7]) }));
        assert_eq!(shown.clone().gathered(&[(1, vec![3])]), None);
        assert_eq!(shown.gathered(&[(3, vec![0])]), None);
    }

    #[test]
    fn texts_differ_where_their_letters_do() {
        let of = |words: &[&str]| texts(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["cat", "dog"]), of(&["cat", "dog"]));
        assert_ne!(of(&["cat", "dog"]), of(&["cat", "dot"]));
    }
}
