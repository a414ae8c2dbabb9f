//! What a network's outputs say of each image, in the one form that losses are taken on.
//!
//! An output becomes `[images, places, channels]`: class scores have their classes last, a map has one place per pixel,
//! a detector one per box. Integer outputs and those that are the same in every run say nothing that could be trained.

use tch::{Kind, TchError, Tensor};

use super::op::{Torch, is_float};
use super::ops::Head;

/// How an output's channels are to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Classes of the whole image, as the graph says: log-probabilities.
    Classes,
    /// Classes of each place, as the graph says: log-probabilities.
    ClassesByPlace,
    /// One row of numbers per image from the graph's only output: class scores, or an embedding.
    Scores,
    /// Anything else.
    Numbers,
}

impl Meaning {
    /// Whether the channels can be classes of the whole image.
    pub fn ranks_images(self) -> bool {
        matches!(self, Self::Classes | Self::Scores)
    }
}

/// One output for a batch.
#[derive(Debug)]
pub struct Answer {
    /// What it is.
    pub meaning: Meaning,
    /// `[images, places, channels]`.
    pub values: Tensor,
}

/// All outputs for a batch that say something of each image, in the graph's order.
#[derive(Debug)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// Class scores `[images, classes]`, where the first output is such.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn scores(&self) -> Result<Option<Tensor>, TchError> {
        let first = self.0.first().filter(|first| first.meaning.ranks_images());
        first.map(|first| first.values.f_squeeze_dim(1)).transpose()
    }

    /// The images from `start` on.
    ///
    /// # Errors
    /// There are not so many.
    pub fn narrow(&self, start: i64, count: i64) -> Result<Self, TchError> {
        self.map(|answer| answer.values.f_narrow(0, start, count))
    }

    /// Another batch of the same network behind this one.
    ///
    /// # Errors
    /// It is another network's.
    pub fn then(&self, other: &Self) -> Result<Self, TchError> {
        self.with(other, |a, b| Tensor::f_cat(&[&a.values, &b.values], 0))
    }

    /// The same answers with other values.
    ///
    /// # Errors
    /// `change` fails.
    pub fn map(&self, change: impl Fn(&Answer) -> Torch<Tensor>) -> Result<Self, TchError> {
        let changed = self.0.iter().map(|answer| Ok(Answer { meaning: answer.meaning, values: change(answer)? }));
        changed.collect::<Result<_, _>>().map(Self)
    }

    /// The same answers with values from two batches.
    ///
    /// # Errors
    /// `join` fails.
    pub fn with(&self, other: &Self, join: impl Fn(&Answer, &Answer) -> Torch<Tensor>) -> Result<Self, TchError> {
        let pairs = self.0.iter().zip(&other.0);
        let joined = pairs.map(|(a, b)| Ok(Answer { meaning: a.meaning, values: join(a, b)? }));
        joined.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are numbers that have to be told in a unit of their own before they can be compared.
    pub fn have_units(&self) -> bool {
        self.0.iter().any(|answer| matches!(answer.meaning, Meaning::Numbers | Meaning::Scores))
    }

    /// `[places, channels]` of each answer.
    pub fn shapes(&self) -> Vec<Vec<i64>> {
        self.0.iter().map(|answer| answer.values.size()[1..].to_vec()).collect()
    }
}

impl Head {
    /// The output for `images` images; `None` where it says nothing that could be trained. `pictures_last` says whether
    /// the network has its channels last.
    pub(super) fn read(&self, output: &Tensor, images: i64, channels_last: bool) -> Torch<Option<Answer>> {
        if !is_float(output) {
            return Ok(None);
        }
        let rows = rows(output, self.batch, images)?;
        let sizes = rows.size();
        let wide: Vec<usize> = (1..sizes.len()).filter(|&axis| sizes[axis] > 1).collect();
        let (meaning, channel) = match (self.softmax, &wide[..]) {
            (Some(softmax), &[axis]) if softmax.classes.is_none_or(|classes| classes == sizes[axis]) => {
                (Meaning::Classes, axis)
            }
            (Some(softmax), _) if softmax.axis.is_some_and(|axis| axis > 0 && axis < sizes.len()) => {
                (Meaning::ClassesByPlace, softmax.axis.unwrap_or(1))
            }
            (None, &[axis]) if self.scores => (Meaning::Scores, axis),
            _ => (Meaning::Numbers, channel_axis(&sizes, channels_last)),
        };
        let values = rows.f_movedim_int(channel as i64, -1)?;
        let values = values.f_reshape([images, -1, sizes.get(channel).copied().unwrap_or(1)])?;
        let probabilities = meaning != Meaning::Numbers && self.softmax.is_some_and(|softmax| !softmax.logarithmic);
        let values = if probabilities { values.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_log()? } else { values };
        Ok(Some(Answer { meaning, values: values.f_to_kind(Kind::Float)? }))
    }
}

/// An output with its images along the first axis; several rows of one image become an axis of their own.
fn rows(output: &Tensor, batch: usize, images: i64) -> Torch<Tensor> {
    let output = if batch > 0 { output.f_movedim_int(batch as i64, 0)? } else { output.shallow_clone() };
    let sizes = output.size();
    match sizes.first() {
        Some(&rows) if rows == images && sizes.len() > 1 => Ok(output),
        Some(&rows) if images > 0 && rows % images == 0 => {
            output.f_reshape([&[images, rows / images], &sizes[1..]].concat())
        }
        _ => Err(TchError::Shape(format!("an output of shape {sizes:?} has no row for each of {images} images"))),
    }
}

/// The axis along which an output's numbers differ in kind: the last of boxes, the channels of a map.
fn channel_axis(sizes: &[i64], channels_last: bool) -> usize {
    let last = sizes.len().saturating_sub(1);
    if sizes.len() > 3 && !channels_last { 1 } else { last }
}
