//! What goes into a runtime and what comes out.

use std::borrow::Cow;
use std::collections::BTreeSet;

use images::intake::{Input, Intake};

use super::values::Values;
use crate::error::CertifyError;

/// Samples for a model: for each of its inputs, the values of every sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    samples: usize,
    feeds: Vec<Feed>,
}

/// What one input is fed for several samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The input's name; empty for a model's only input.
    pub name: String,
    /// Sizes of one sample, without a batch axis.
    pub sample: Vec<usize>,
    /// The input's axis along which samples lie; none where it takes one sample at a time.
    pub axis: Option<usize>,
    /// One sample after another, each row-major.
    pub values: Values,
}

/// One input's tensor in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Fed<'a> {
    /// The input's name; empty for a model's only input.
    pub name: Cow<'a, str>,
    /// Sizes of all axes.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Cow<'a, Values>,
}

/// An input as a file declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Sizes; `None` for an axis of any size.
    pub shape: Vec<Option<usize>>,
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
    /// Samples for a model's only input, stacked along its first axis.
    ///
    /// # Errors
    /// When `data` has not one value per element of `shape`, or there is no sample.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, CertifyError> {
        let Some((samples, sample)) = shape.split_first() else {
            return Err(CertifyError::Batch { shape, values: data.len() });
        };
        let feed = Feed { name: String::new(), sample: sample.to_vec(), axis: Some(0), values: data.into() };
        Self::of(*samples, vec![feed])
    }

    /// Samples for several inputs.
    ///
    /// # Errors
    /// When an input has not one value per element of each sample, or there is no sample or no input.
    pub fn of(samples: usize, feeds: Vec<Feed>) -> Result<Self, CertifyError> {
        let whole = |feed: &Feed| elements(&feed.sample).and_then(|one| one.checked_mul(samples));
        let wrong = feeds.iter().find(|feed| samples == 0 || whole(feed) != Some(feed.values.len()));
        match wrong {
            Some(feed) => {
                let shape = std::iter::once(samples).chain(feed.sample.iter().copied()).collect();
                Err(CertifyError::Batch { shape, values: feed.values.len() })
            }
            None if feeds.is_empty() => Err(CertifyError::Batch { shape: vec![samples], values: 0 }),
            None => Ok(Self { samples, feeds }),
        }
    }

    /// Samples of a data set, each with its values for every input.
    ///
    /// # Errors
    /// When there is no sample, or one has not the values that the inputs take.
    pub fn of_samples(intake: &Intake, samples: Vec<Vec<Values>>) -> Result<Self, CertifyError> {
        let count = samples.len();
        let mut samples = samples.into_iter();
        let mut whole = samples.next().unwrap_or_default();
        for sample in samples {
            whole.iter_mut().zip(sample).for_each(|(whole, values)| {
                whole.append(values);
            });
        }
        let feed = |(input, values): (&Input, Values)| Feed {
            name: input.name.clone(),
            sample: input.sample.clone(),
            axis: input.axis,
            values,
        };
        Self::of(count, intake.0.iter().zip(whole).map(feed).collect())
    }

    /// Samples in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether the batch holds no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// What each input is fed.
    #[must_use]
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Whether some input takes one sample at a time.
    #[must_use]
    pub fn is_one_by_one(&self) -> bool {
        self.feeds.iter().any(|feed| feed.axis.is_none())
    }

    /// The samples `start..start + size`, fewer where the batch ends before. `start` lies within the batch.
    #[must_use]
    pub fn samples(&self, start: usize, size: usize) -> Self {
        self.piece(start, size.min(self.samples - start))
    }

    /// The samples `start..start + size`, the last one repeated where the batch ends before.
    pub(crate) fn piece(&self, start: usize, size: usize) -> Self {
        let places: Vec<usize> = (start..start + size).map(|place| place.min(self.samples - 1)).collect();
        self.select(&places)
    }

    /// The samples at these places, which lie within the batch and are at least one.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        let feeds = self.feeds.iter().map(|feed| Feed { values: feed.of(places), ..feed.clone() });
        Self { samples: places.len(), feeds: feeds.collect() }
    }

    /// The same samples with every float replaced by its neighbour.
    #[must_use]
    pub fn next_floats(&self) -> Self {
        let feeds = self.feeds.iter().map(|feed| Feed { values: feed.values.next_floats(), ..feed.clone() });
        Self { samples: self.samples, feeds: feeds.collect() }
    }

    /// Samples of the same inputs behind these; none where those are of another kind.
    #[must_use]
    pub fn then(mut self, more: Self) -> Option<Self> {
        let alike = |(a, b): (&Feed, &Feed)| (&a.name, &a.sample, a.axis) == (&b.name, &b.sample, b.axis);
        if self.feeds.len() != more.feeds.len() || !self.feeds.iter().zip(&more.feeds).all(alike) {
            return None;
        }
        self.samples += more.samples;
        let mut pairs = self.feeds.iter_mut().zip(more.feeds);
        pairs.all(|(feed, more)| feed.values.append(more.values)).then_some(self)
    }

    /// The places of the first of every kind of sample: no two of them are equal.
    #[must_use]
    pub fn distinct(&self) -> Vec<usize> {
        let bytes =
            |place: usize| -> Vec<u8> { self.feeds.iter().flat_map(|feed| feed.of(&[place]).to_le_bytes()).collect() };
        let mut seen = BTreeSet::new();
        (0..self.samples).filter(|place| seen.insert(bytes(*place))).collect()
    }

    /// The tensors of a run of all samples.
    ///
    /// # Errors
    /// When an input takes one sample at a time, and there are several.
    pub fn fed(&self) -> Result<Vec<Fed<'_>>, CertifyError> {
        self.feeds.iter().map(|feed| feed.fed(self.samples)).collect()
    }
}

impl Feed {
    /// The values of some samples.
    fn of(&self, places: &[usize]) -> Values {
        let stride: usize = self.sample.iter().product();
        self.values.pick(places.iter().map(|place| place * stride..(place + 1) * stride))
    }

    /// The tensor of so many samples.
    fn fed(&self, samples: usize) -> Result<Fed<'_>, CertifyError> {
        let mut shape = self.sample.clone();
        let name = Cow::Borrowed(self.name.as_str());
        let Some(axis) = self.axis else {
            if samples != 1 {
                return Err(CertifyError::OneByOne { input: self.name.clone(), samples });
            }
            return Ok(Fed { name, shape, values: Cow::Borrowed(&self.values) });
        };
        let axis = axis.min(shape.len());
        let outer: usize = shape[..axis].iter().product();
        shape.insert(axis, samples);
        if outer == 1 {
            return Ok(Fed { name, shape, values: Cow::Borrowed(&self.values) });
        }
        // Sample by sample becomes block by block.
        let inner: usize = self.sample[axis..].iter().product();
        let places = (0..outer).flat_map(|block| (0..samples).map(move |sample| (sample * outer + block) * inner));
        Ok(Fed { name, shape, values: Cow::Owned(self.values.pick(places.map(|start| start..start + inner))) })
    }
}

impl Fed<'_> {
    /// The place of each of a model's inputs among these; the only one has the only input whatever its name.
    ///
    /// # Errors
    /// When an input is fed nothing; the error names it.
    pub(crate) fn places<'n>(
        feds: &[Self],
        inputs: impl ExactSizeIterator<Item = &'n str>,
    ) -> Result<Vec<usize>, String> {
        if inputs.len() == 1 && feds.len() == 1 {
            return Ok(vec![0]);
        }
        let place = |name: &str| {
            let place = feds.iter().position(|fed| fed.name == name);
            place.ok_or_else(|| format!("its input `{name}` is fed nothing"))
        };
        inputs.map(place).collect()
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

    fn two_inputs() -> Batch {
        let values = |count: u8| Values::from((0..count).map(f32::from).collect::<Vec<_>>());
        let across = Feed { name: "a".into(), sample: vec![2, 3], axis: Some(1), values: values(12) };
        let whole = Feed { name: "b".into(), sample: vec![2], axis: None, values: Values::I64(vec![1, 2, 1, 2]) };
        Batch::of(2, vec![across, whole]).unwrap()
    }

    #[test]
    fn samples_lie_along_the_axis_that_an_input_has_for_them() {
        let batch = two_inputs();
        let one = batch.samples(1, 1);
        let fed = one.fed().unwrap();
        assert_eq!((&fed[0].shape, fed[0].values.to_f64()), (&vec![2, 1, 3], (6..12).map(f64::from).collect()));
        assert_eq!((&fed[1].shape, fed[1].values.as_ref()), (&vec![2], &Values::I64(vec![1, 2])));
        assert!(matches!(batch.fed(), Err(CertifyError::OneByOne { .. })) && batch.is_one_by_one());
        let both = Batch::of(2, batch.feeds()[..1].to_vec()).unwrap();
        let fed = both.fed().unwrap();
        assert_eq!(fed[0].shape, [2, 2, 3]);
        assert_eq!(fed[0].values.to_f64(), [0., 1., 2., 6., 7., 8., 3., 4., 5., 9., 10., 11.]);
    }

    #[test]
    fn samples_are_told_apart_by_all_inputs() {
        let batch = two_inputs();
        assert_eq!(batch.distinct(), [0, 1]);
        assert_eq!(batch.select(&[1, 1, 0]).distinct(), [0, 2]);
        let more = batch.clone().then(batch.clone()).unwrap();
        assert_eq!((more.len(), more.samples(2, 2)), (4, batch));
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
