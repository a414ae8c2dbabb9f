//! The three checks of a cut: does the slim file compute what the dense one computes without the removed lanes?
//!
//! (a) The *masked twin*, the dense network with the removed lanes selected away, gives the slim network's outputs.
//! (b) At every tapped reading site the twin gives what the slim network has there, on the indices that were kept; the
//!     first site that differs names the culprit.
//! (c) *Poison*: the twin with other values in the writers of the removed lanes gives the twin's own outputs. So the
//!     twin really ignores those lanes, and (a) compares with the right thing.

use std::path::PathBuf;

use images::draw;
use serde::{Deserialize, Serialize};

use super::compare::{largest_finite, relative};
use crate::error::CertifyError;
use crate::runtimes::ort::OrtSession;
use crate::runtimes::{Batch, Options, Output, Session};

/// Samples that run at once: taps hold every activation of each.
const AT_ONCE: usize = 4;

/// The files of the checks, all with the same input.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The masked twin; its taps are graph outputs after the network's own.
    pub twin: PathBuf,
    /// The slim network, tapped likewise.
    pub slim: PathBuf,
    /// The masked twin with poisoned writers; taps are not read.
    pub poison: PathBuf,
    /// The names of the network's own outputs, the same in all three.
    pub outputs: Vec<String>,
    /// Reading sites, in the order of the graph.
    pub taps: Vec<Tap>,
}

/// One reading site.
#[derive(Clone, Debug)]
pub struct Tap {
    /// What to call it when it is the culprit.
    pub site: String,
    /// The output of the twin that shows it, dense.
    pub twin_output: String,
    /// The output of the slim file that shows it.
    pub slim_output: String,
    /// The axis that was cut; negative counts from the end.
    pub axis: i64,
    /// The indices kept on that axis, in the slim file's order.
    pub kept: Vec<usize>,
}

/// How much may differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinTolerance {
    /// For (a) and (b): largest difference in a sample over the largest kept value of the twin in that sample. Both
    /// sides add the same terms in another order, which costs around 1e-6 in practice; a wrong lane costs far more.
    pub relative: f64,
    /// For (c), in the same measure: the same kernels on the same kept numbers, so next to nothing.
    pub poison: f64,
}

impl Default for TwinTolerance {
    fn default() -> Self {
        Self { relative: 1e-4, poison: 1e-6 }
    }
}

/// Which of the three checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// (a) at the network's outputs.
    Outputs,
    /// (b) at a reading site.
    Taps,
    /// (c) poisoned against plain twin.
    Poison,
}

/// The worst place of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// The check.
    pub check: Check,
    /// The site or output.
    pub site: String,
    /// Its relative difference; absent when a value is not finite on one side.
    pub relative: Option<f64>,
    /// The sample, counted from 0.
    pub sample: usize,
}

/// What the checks found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinReport {
    /// Samples compared.
    pub samples: usize,
    /// What was allowed.
    pub tolerance: TwinTolerance,
    /// The worst place of each check.
    pub worst: Vec<Worst>,
    /// Where it went wrong: the first site past its tolerance, inner sites before outputs.
    pub culprit: Option<Worst>,
}

impl TwinReport {
    /// Whether all three checks hold.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.culprit.is_none()
    }
}

/// `count` standard normal samples of the input's own shape, scaled to `scale`; seeded.
///
/// # Errors
/// When the shape has no elements.
pub fn noise(sample_shape: &[usize], count: usize, scale: f32, seed: u64) -> Result<Batch, CertifyError> {
    let stride: usize = sample_shape.iter().product();
    let mut data = Vec::with_capacity(count * stride);
    for sample in 0..count {
        let mut rng = draw::rng(seed, "twin noise", 0, sample as u64);
        let mut pairs = std::iter::repeat_with(|| draw::normal_pair(&mut rng)).flat_map(|(a, b)| [a, b]);
        data.extend(pairs.by_ref().take(stride).map(|value| value * scale));
    }
    Batch::new([&[count], sample_shape].concat(), data)
}

/// Runs the three checks on ONNX Runtime, its graph optimiser off so that taps stay where they are.
///
/// # Errors
/// When a file does not load or run, or lacks an output that a check needs. Differences are in the report.
pub fn check(
    twin: &Twin,
    inputs: &Batch,
    tolerance: TwinTolerance,
    threads: usize,
) -> Result<TwinReport, CertifyError> {
    let options = Options { threads, optimise: false };
    let mut plain = OrtSession::load(&twin.twin, options)?;
    let mut slim = OrtSession::load(&twin.slim, options)?;
    let mut poison = OrtSession::load(&twin.poison, options)?;
    let mut tally = Tally::new(twin);
    for start in (0..inputs.len()).step_by(AT_ONCE) {
        let piece = inputs.samples(start, AT_ONCE);
        let outputs = Outputs { plain: plain.run(&piece)?, slim: slim.run(&piece)?, poison: poison.run(&piece)? };
        tally.add(twin, &outputs, start)?;
    }
    Ok(tally.report(inputs.len(), tolerance))
}

/// What the three files give for the same samples.
struct Outputs {
    plain: Vec<Output>,
    slim: Vec<Output>,
    poison: Vec<Output>,
}

/// The worst seen at every place, taps first, then outputs, then poison.
struct Tally {
    places: Vec<Place>,
}

struct Place {
    check: Check,
    site: String,
    relative: f64,
    sample: usize,
}

impl Tally {
    fn new(twin: &Twin) -> Self {
        let place = |check, site: &str| Place { check, site: site.to_owned(), relative: 0.0, sample: 0 };
        let taps = twin.taps.iter().map(|tap| place(Check::Taps, &tap.site));
        let outputs = twin.outputs.iter().map(|name| place(Check::Outputs, name));
        let poison = twin.outputs.iter().map(|name| place(Check::Poison, name));
        Self { places: taps.chain(outputs).chain(poison).collect() }
    }

    fn add(&mut self, twin: &Twin, outputs: &Outputs, start: usize) -> Result<(), CertifyError> {
        let mut places = self.places.iter_mut();
        for (tap, place) in twin.taps.iter().zip(&mut places) {
            let dense = gather(find(&outputs.plain, &tap.twin_output, &twin.twin)?, tap)?;
            place.add(&dense, find(&outputs.slim, &tap.slim_output, &twin.slim)?, start)?;
        }
        for (name, place) in twin.outputs.iter().zip(&mut places) {
            place.add(find(&outputs.plain, name, &twin.twin)?, find(&outputs.slim, name, &twin.slim)?, start)?;
        }
        for (name, place) in twin.outputs.iter().zip(&mut places) {
            place.add(find(&outputs.plain, name, &twin.twin)?, find(&outputs.poison, name, &twin.poison)?, start)?;
        }
        Ok(())
    }

    fn report(self, samples: usize, tolerance: TwinTolerance) -> TwinReport {
        let allowed = |check| if check == Check::Poison { tolerance.poison } else { tolerance.relative };
        let off = |place: &&Place| place.relative.is_nan() || place.relative > allowed(place.check);
        let culprit = self.places.iter().find(off).map(Place::worst);
        let of = |check| {
            let places = self.places.iter().filter(move |place| place.check == check);
            places.max_by(|a, b| a.relative.total_cmp(&b.relative)).map(Place::worst)
        };
        let worst = [Check::Outputs, Check::Taps, Check::Poison].into_iter().filter_map(of).collect();
        TwinReport { samples, tolerance, worst, culprit }
    }
}

impl Place {
    fn add(&mut self, reference: &Output, candidate: &Output, start: usize) -> Result<(), CertifyError> {
        if reference.shape != candidate.shape {
            return Err(CertifyError::Shapes {
                site: self.site.clone(),
                left: reference.shape.clone(),
                right: candidate.shape.clone(),
            });
        }
        let samples = reference.shape.first().copied().unwrap_or(1).max(1);
        let stride = (reference.values.len() / samples).max(1);
        let (reference, candidate) = (reference.values.to_f64(), candidate.values.to_f64());
        let whole = largest_finite(&reference);
        let pairs = reference.chunks(stride).zip(candidate.chunks(stride));
        for (index, (a, b)) in pairs.enumerate() {
            let found = relative(difference(a, b), largest_finite(a), whole);
            if found > self.relative {
                (self.relative, self.sample) = (found, start + index);
            }
        }
        Ok(())
    }

    fn worst(&self) -> Worst {
        let relative = self.relative.is_finite().then_some(self.relative);
        Worst { check: self.check, site: self.site.clone(), relative, sample: self.sample }
    }
}

/// Largest |a − b|; infinite where one side is not finite and the other is not the same.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |largest: f64, (a, b)| {
        if a == b || (a.is_nan() && b.is_nan()) {
            largest
        } else if a.is_finite() && b.is_finite() {
            largest.max((a - b).abs())
        } else {
            f64::INFINITY
        }
    })
}

fn find<'a>(outputs: &'a [Output], name: &str, model: &std::path::Path) -> Result<&'a Output, CertifyError> {
    outputs
        .iter()
        .find(|output| output.name == name)
        .ok_or_else(|| CertifyError::NoOutput { model: model.to_path_buf(), output: name.to_owned() })
}

/// The kept indices of a tap, in order.
fn gather(dense: &Output, tap: &Tap) -> Result<Output, CertifyError> {
    let rank = dense.shape.len();
    let axis =
        usize::try_from(if tap.axis < 0 { tap.axis + rank as i64 } else { tap.axis }).ok().filter(|axis| *axis < rank);
    let fits = axis.filter(|axis| tap.kept.iter().all(|index| *index < dense.shape[*axis]));
    let Some(axis) = fits else {
        let (site, left, right) = (tap.site.clone(), dense.shape.clone(), vec![tap.kept.len()]);
        return Err(CertifyError::Shapes { site, left, right });
    };
    let inner: usize = dense.shape[axis + 1..].iter().product();
    let mut shape = dense.shape.clone();
    shape[axis] = tap.kept.len();
    let outer: usize = dense.shape[..axis].iter().product();
    let block = dense.shape[axis] * inner;
    let starts = (0..outer).flat_map(|outer| tap.kept.iter().map(move |index| outer * block + index * inner));
    let values = dense.values.pick(starts.map(|start| start..start + inner));
    Ok(Output { name: dense.name.clone(), shape, values })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output(shape: &[usize], data: &[f32]) -> Output {
        Output { name: "y".into(), shape: shape.to_vec(), values: data.to_vec().into() }
    }

    fn tap(axis: i64, kept: &[usize]) -> Tap {
        Tap { site: "s".into(), twin_output: "t".into(), slim_output: "s".into(), axis, kept: kept.to_vec() }
    }

    #[test]
    fn gathering_follows_the_axis() {
        let dense = output(&[2, 3, 2], &(0..12u8).map(f32::from).collect::<Vec<_>>());
        let middle = gather(&dense, &tap(1, &[2, 0])).unwrap();
        assert_eq!((middle.shape, middle.values), (vec![2, 2, 2], vec![4f32, 5., 0., 1., 10., 11., 6., 7.].into()));
        let last = gather(&dense, &tap(-1, &[1])).unwrap();
        assert_eq!((last.shape, last.values), (vec![2, 3, 1], vec![1f32, 3., 5., 7., 9., 11.].into()));
        assert!(gather(&dense, &tap(1, &[3])).is_err() && gather(&dense, &tap(3, &[0])).is_err());
    }

    #[test]
    fn the_first_site_past_its_tolerance_is_the_culprit() {
        let twin = Twin {
            twin: "t".into(),
            slim: "s".into(),
            poison: "p".into(),
            outputs: vec!["y".into()],
            taps: vec![
                Tap { site: "first".into(), twin_output: "a".into(), slim_output: "a".into(), axis: 1, kept: vec![0] },
                Tap { site: "second".into(), twin_output: "b".into(), slim_output: "b".into(), axis: 1, kept: vec![0] },
            ],
        };
        let named = |name: &str, shape: &[usize], data: &[f32]| Output { name: name.into(), ..output(shape, data) };
        let plain =
            vec![named("y", &[1, 1], &[1.0]), named("a", &[1, 2], &[1.0, 9.0]), named("b", &[1, 2], &[1.0, 9.0])];
        let run = |a: f32, b: f32, y: f32, poisoned: f32| {
            let slim = vec![named("y", &[1, 1], &[y]), named("a", &[1, 1], &[a]), named("b", &[1, 1], &[b])];
            let outputs = Outputs { plain: plain.clone(), slim, poison: vec![named("y", &[1, 1], &[poisoned])] };
            let mut tally = Tally::new(&twin);
            tally.add(&twin, &outputs, 0).unwrap();
            tally.report(1, TwinTolerance::default()).culprit.map(|worst| (worst.check, worst.site))
        };
        assert_eq!(run(1.0, 1.00001, 1.0, 1.0), None);
        assert_eq!(run(1.0, 1.1, 2.0, 1.0), Some((Check::Taps, "second".into())));
        assert_eq!(run(1.1, 1.1, 1.0, 1.0), Some((Check::Taps, "first".into())));
        assert_eq!(run(1.0, 1.0, f32::NAN, 1.0), Some((Check::Outputs, "y".into())));
        assert_eq!(run(1.0, 1.0, 1.0, 1.00001), Some((Check::Poison, "y".into())));
    }
}
