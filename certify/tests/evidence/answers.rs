//! A smaller network's answers against the large one's: what is measured, and what is called ruined.

use std::path::{Path, PathBuf};

use certify::CertifyError;
use certify::answers::{Answers, Candidate, Collapse, Kind, Measure, Settings, answers};
use fixtures::{
    models::{Builder, Dim, int, ints, small},
    needs,
};

use crate::Models;
use crate::accuracy::{intake, pictures};

const INPUT: [Dim; 4] = [Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)];

fn compared(dense: &Path, candidate: &Path, settings: &Settings) -> Result<Answers, CertifyError> {
    let candidate = Candidate { name: "slim".into(), model: candidate.into() };
    Ok(answers(dense, &[candidate], &pictures(60, None), &intake(), settings, &mut |_| ())?.remove(0))
}

/// Scores of four classes, by which of the mean colours is stronger.
fn classifier(models: &Models, name: &str, weight: f32, bias: f32) -> PathBuf {
    let mut net = Builder::new(name, 13, 0);
    let x = net.input("x", &INPUT);
    let mean = net.node("GlobalAveragePool", &[&x], vec![]);
    let flat = net.node("Flatten", &[&mean], vec![]);
    let signs = [1.0, -1.0, 0.0, 0.0, -1.0, 1.0, 0.5, -0.5, 0.0, 0.0, -0.5, 0.5];
    let weights = net.stored("w", &[3, 4], &signs.map(|sign| sign * weight));
    let biases = net.stored("b", &[4], &[bias, 0.0, 0.0, 0.0]);
    let y = net.node("Gemm", &[&flat, &weights, &biases], vec![]);
    net.output(&y, &[Dim::Symbol("batch"), Dim::Is(4)]);
    models.file(&format!("{name}.onnx"), &net.finish())
}

#[test]
fn a_classifier_is_measured_by_its_classes_and_ruins_are_named() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let dense = classifier(&models, "dense", 1.0, 0.0);
    let found = |candidate: &Path| compared(&dense, candidate, &Settings::default()).unwrap();

    let itself = found(&dense);
    assert!(itself.usable() && itself.pictures == 60, "{itself:?}");
    let same = itself.same().unwrap();
    assert_eq!((same.count, same.of, itself.outputs[0].kind), (60, 60, Kind::Classes));
    assert!(same.lower > 0.9 && same.upper == 1.0);

    let near = found(&classifier(&models, "near", 1.0, 0.02));
    assert!(near.usable() && near.same().unwrap().share > 0.5, "{near:?}");

    let collapsed = found(&classifier(&models, "collapsed", 1e-3, 1.0));
    let Some(Collapse::OneClass { class: 0, share, dense_share }) = collapsed.outputs[0].collapse else {
        panic!("{collapsed:?}")
    };
    assert!(share == 1.0 && dense_share < 0.95 && !collapsed.usable());
    assert!(collapsed.ruins()[0].contains("has collapsed"), "{:?}", collapsed.ruins());

    let broken = found(&classifier(&models, "broken", f32::NAN, 0.0));
    assert_eq!((broken.outputs[0].not_finite, broken.usable(), broken.same()), (240, false, None));
}

/// The picture itself, a map of two classes, and a vector of numbers, each times `scale` plus a little.
fn outputs(models: &Models, name: &str, scale: f32) -> PathBuf {
    let mut net = Builder::new(name, 13, 0);
    let x = net.input("x", &INPUT);
    let s = net.stored("s", &[1], &[scale]);
    let picture = net.node("Mul", &[&x, &s], vec![]);
    let kernel = net.stored("k", &[2, 3, 1, 1], &[1.0, 0.0, -1.0, -1.0, 0.0, scale]);
    let scores = net.node("Conv", &[&x, &kernel], vec![]);
    let map = net.node("Softmax", &[&scores], vec![int("axis", 1)]);
    let rows = net.integers("rows", &[0, 3, 64]);
    let boxes = net.node("Reshape", &[&picture, &rows], vec![]);
    let pooled = net.node("ReduceMean", &[&boxes], vec![ints("axes", &[1])]);
    let wide = net.integers("wide", &[0, 4, 16]);
    let values = net.node("Reshape", &[&pooled, &wide], vec![]);
    net.output(&picture, &INPUT);
    net.output(&map, &[Dim::Symbol("batch"), Dim::Is(2), Dim::Is(8), Dim::Is(8)]);
    net.output(&values, &[Dim::Symbol("batch"), Dim::Is(4), Dim::Is(16)]);
    models.file(&format!("{name}.onnx"), &net.finish())
}

#[test]
fn pictures_maps_and_values_have_their_own_measures() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let (dense, near) = (outputs(&models, "dense", 1.0), outputs(&models, "near", 0.99));
    let found = compared(&dense, &near, &Settings::default()).unwrap();
    let kinds: Vec<Kind> = found.outputs.iter().map(|output| output.kind).collect();
    assert_eq!(kinds, [Kind::Image, Kind::Map, Kind::Values], "{found:?}");
    let measures: Vec<Measure> = found.outputs.iter().filter_map(|output| output.measure).collect();
    let [
        Measure::Image { psnr: Some(psnr), peak: 1.0 },
        Measure::Map { same, mean_iou },
        Measure::Values { relative_error: Some(error), cosine: Some(cosine), explained_variance: Some(explained) },
    ] = measures[..]
    else {
        panic!("{measures:?}")
    };
    // A picture in [0, 1] that is 1 % darker is between 40 and 60 dB away.
    assert!((40.0..60.0).contains(&psnr), "{psnr}");
    assert!(same > 0.9 && same < 1.0 && mean_iou > 0.8 && mean_iou < 1.0, "{same} {mean_iou}");
    assert!((error - 0.01).abs() < 1e-4 && cosine > 0.9999 && explained > 0.9 && explained < 1.0);
    assert!(found.usable());

    let dark = compared(&dense, &outputs(&models, "dark", 0.0), &Settings::default()).unwrap();
    assert!(matches!(dark.outputs[0].collapse, Some(Collapse::Constant { .. })), "{dark:?}");
    assert!(matches!(dark.outputs[2].collapse, Some(Collapse::Constant { .. })) && dark.outputs[2].dead_channels == 16);
}

#[test]
fn kinds_can_be_set_and_are_refused_where_they_do_not_fit() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let dense = classifier(&models, "dense", 1.0, 0.0);
    let name = compared(&dense, &dense, &Settings::default()).unwrap().outputs[0].output.clone();
    let set = |name: &str, kind| Settings { kinds: [(name.to_owned(), kind)].into(), ..Settings::default() };
    let values = compared(&dense, &dense, &set(&name, Kind::Values)).unwrap();
    assert!(matches!(values.outputs[0].measure, Some(Measure::Values { .. })));
    assert!(matches!(compared(&dense, &dense, &set(&name, Kind::Image)), Err(CertifyError::Kind { .. })));
    assert!(matches!(compared(&dense, &dense, &set("nosuch", Kind::Map)), Err(CertifyError::NoSuchOutput { .. })));
}

#[test]
fn outputs_of_another_shape_are_not_compared() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let dense = classifier(&models, "dense", 1.0, 0.0);
    let other = models.file("residual.onnx", &small::residual());
    let found = compared(&dense, &other, &Settings::default()).unwrap();
    assert!(found.outputs[0].incomparable.is_some() && found.outputs[0].measure.is_none());
}
