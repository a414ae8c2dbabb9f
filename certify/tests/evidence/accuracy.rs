//! Accuracy, and the image sets the other tests measure on.

use std::path::Path;
use std::sync::Arc;

use certify::CertifyError;
use certify::accuracy::accuracy;
use certify::agreement::compare::compare;
use certify::runtimes::{Batch, Kind, Options, load};
use fixtures::{models::small, needs};
use images::Picture;
use images::data::{DataError, ImageSet, Role, Source};
use images::intake::Intake;
use images::preprocess::{InputSettings, Preprocess, Resize};

use crate::Models;

/// The procedural pictures under other labels.
struct Relabelled(ImageSet);

impl Source for Relabelled {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        self.0.picture(index)
    }

    fn name(&self, index: usize) -> String {
        self.0.picture_name(index)
    }
}

/// `n` procedural pictures with these labels, or none.
pub(crate) fn pictures(n: usize, labels: Option<Vec<u32>>) -> ImageSet {
    let set = images::procedural::split(3, Role::Test, n);
    ImageSet::new("test", Role::Test, Arc::new(Relabelled(set)), n, labels)
}

/// Pictures scaled down to the small models' input.
pub(crate) fn intake() -> Intake {
    Intake::of_pictures("", preprocess())
}

pub(crate) fn preprocess() -> Preprocess {
    let settings = InputSettings { resize: Some(Resize::Exact), ..InputSettings::default() };
    Preprocess::resolve(&[None, Some(3), Some(8), Some(8)], &settings).unwrap()
}

/// The scores of each picture, one run at a time.
pub(crate) fn scores(model: &Path, set: &ImageSet) -> Vec<Vec<f64>> {
    let mut session = load(Kind::ORT, model, Options::default()).unwrap();
    let preprocess = preprocess();
    let one = |index| {
        let pixels = set.pixels(index, &preprocess).unwrap();
        let batch = Batch::new(preprocess.input_shape(1), preprocess.batch(std::iter::once(&pixels))).unwrap();
        session.run(&batch).unwrap().remove(0).values.to_f64()
    };
    (0..set.len()).map(one).collect()
}

/// The index of the largest score.
pub(crate) fn argmax(scores: &[f64]) -> u32 {
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap() as u32
}

#[test]
fn accuracy_counts_what_one_by_one_counts() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let model = models.file("residual.onnx", &small::residual());
    let mut labels: Vec<u32> = scores(&model, &pictures(300, None)).iter().map(|scores| argmax(scores)).collect();
    for label in labels.iter_mut().step_by(10) {
        *label = (*label + 1) % 2;
    }
    let wrong = labels.iter().enumerate().filter(|(index, label)| {
        let set = pictures(300, None);
        **label != argmax(&scores(&model, &set.select(&[*index]))[0])
    });
    let wrong = wrong.count() as u64;
    assert!(wrong > 0);
    let set = pictures(300, Some(labels));
    let mut told = 0;
    let found = accuracy(&model, &set, &intake(), 1, &mut |_| told += 1).unwrap();
    assert_eq!((found.top1.count, found.top1.of, found.right.len()), (300 - wrong, 300, 300));
    assert!(told == 3 && found.top1.lower < found.top1.share);
    assert_eq!(found.not_finite, 0);
}

#[test]
fn labels_that_are_missing_or_unknown_are_refused() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let model = models.file("residual.onnx", &small::residual());
    let run = |labels| accuracy(&model, &pictures(3, labels), &intake(), 1, &mut |_| ());
    assert!(matches!(run(None), Err(CertifyError::NoLabel { image: 0 })));
    assert!(matches!(run(Some(vec![0, 99, 0])), Err(CertifyError::Label { image: 1, label: 99, .. })));
}

/// Third-party models, where present: ONNX Runtime and tract agree on real files.
#[test]
fn third_party_models_agree() {
    for (name, sample) in [
        ("cifar10-resnet20-bn", [3, 32, 32]),
        ("cifar10-resnet20", [3, 32, 32]),
        ("cifar10-allconv", [3, 32, 32]),
        ("cifar10-nhwc-conv-large", [32, 32, 3]),
        ("mnist-pytorch-bn", [1, 28, 28]),
    ] {
        let Some(path) = needs::shared(&format!("models/{name}.onnx")).filter(|_| needs::onnx_runtime()) else {
            return;
        };
        let batch = crate::noise(&sample, 3);
        let answers = [Kind::ORT, Kind::TRACT].map(|kind| {
            let mut session = load(kind, &path, Options::default()).unwrap();
            session.run(&batch).unwrap()
        });
        let found = compare(&answers[0][0], &answers[1][0], 3, 1e-4).unwrap();
        assert!(found.passed, "{name}: {found:?}");
    }
}
