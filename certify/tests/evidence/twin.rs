//! The three checks of a cut, on a hand-made cut of two matrix products.

use certify::CertifyError;
use certify::agreement::twin::{Check, Feed, Job, Precision, Range, Tap, Twin, TwinReport, check};
use fixtures::{
    models::{Builder, Dim},
    needs,
};

use crate::Models;

const BATCH: Dim = Dim::Symbol("batch");
/// 4 inputs, 3 lanes.
const FIRST: [f32; 12] = [0.5, -0.2, 0.3, 0.1, 0.9, -0.4, -0.7, 0.2, 0.6, 0.8, -0.3, 0.25];
/// 3 lanes, 2 outputs.
const SECOND: [f32; 6] = [0.4, -0.6, 0.7, 0.2, -0.5, 0.9];
/// Lane 1 goes.
const KEPT: [usize; 2] = [0, 2];

/// `x·W₁`, lane 1 replaced by zero where `masked`, `·W₂`; the lanes shown as output `lanes`.
fn twin(first: &[f32], masked: bool) -> Vec<u8> {
    let mut net = Builder::new("twin", 13, 0);
    let x = net.input("x", &[BATCH, Dim::Is(4)]);
    let (w1, w2) = (net.stored("w1", &[4, 3], first), net.stored("w2", &[3, 2], &SECOND));
    let mask = net.stored("mask", &[3], &[1.0, if masked { 0.0 } else { 1.0 }, 1.0]);
    let lanes = net.node("MatMul", &[&x, &w1], vec![]);
    let read = net.node("Mul", &[&lanes, &mask], vec![]);
    let y = net.node("MatMul", &[&read, &w2], vec![]);
    finish(net, &y, &lanes, 3)
}

fn slim(first: &[f32]) -> Vec<u8> {
    let columns = first.chunks(3).flat_map(|row| KEPT.map(|lane| row[lane])).collect::<Vec<_>>();
    let rows = KEPT.iter().flat_map(|lane| SECOND[lane * 2..lane * 2 + 2].to_vec()).collect::<Vec<_>>();
    let mut net = Builder::new("slim", 13, 0);
    let x = net.input("x", &[BATCH, Dim::Is(4)]);
    let (w1, w2) = (net.stored("w1", &[4, 2], &columns), net.stored("w2", &[2, 2], &rows));
    let lanes = net.node("MatMul", &[&x, &w1], vec![]);
    let y = net.node("MatMul", &[&lanes, &w2], vec![]);
    finish(net, &y, &lanes, 2)
}

fn finish(mut net: Builder, y: &str, lanes: &str, width: i64) -> Vec<u8> {
    net.output(y, &[BATCH, Dim::Is(2)]);
    net.output(lanes, &[BATCH, Dim::Is(width)]);
    net.finish()
}

/// The names of output and tap in a model that was built as above.
fn names(models: &Models, bytes: &[u8], name: &str) -> (std::path::PathBuf, String, String) {
    let path = models.file(name, bytes);
    let session = certify::runtimes::ort::OrtSession::load(&path, Default::default()).unwrap();
    let names = session.output_names();
    (path, names[0].clone(), names[1].clone())
}

fn checked(twin_bytes: &[u8], slim_bytes: &[u8], poison_bytes: &[u8]) -> Result<TwinReport, CertifyError> {
    let models = Models::new();
    let (masked, y, twin_output) = names(&models, twin_bytes, "twin.onnx");
    let (slim, slim_y, slim_output) = names(&models, slim_bytes, "slim.onnx");
    let (poisoned, ..) = names(&models, poison_bytes, "poison.onnx");
    // The builder numbers its values, so the slim network's output has another name than the twin's.
    let outputs = if y == slim_y { vec![y] } else { vec![] };
    let kept = vec![(1, KEPT.to_vec())];
    let tap = Tap { site: "second product".into(), twin_output, slim_output, axis: 1, kept };
    check(&job(Twin { jittered: masked.clone(), masked, slim, poisoned, outputs, taps: vec![tap] }))
}

fn job(twin: Twin) -> Job {
    Job {
        twin,
        sizes: vec![vec![Feed { name: "x".into(), shape: vec![3, 4] }]],
        sizes_wanted: 1,
        ranges: vec![(Range::Normal, 3)],
        pictures: None,
        precision: Precision::Single,
        seed: 1,
        threads: 1,
        optimise: false,
        memory: None,
    }
}

fn poisoned() -> Vec<f32> {
    let column = |(index, value): (usize, &f32)| if index % 3 == 1 { -3.0 * value + 1.0 } else { *value };
    FIRST.iter().enumerate().map(column).collect()
}

#[test]
fn a_right_cut_passes_and_each_wrong_one_is_named() {
    if !needs::onnx_runtime() {
        return;
    }
    let good = checked(&twin(&FIRST, true), &slim(&FIRST), &twin(&poisoned(), true)).unwrap();
    assert!(good.passed(), "{good:?}");
    assert_eq!(good.samples, 9);

    // One weight of one kept lane is off by a thousandth: the tap names the site.
    let mut planted = FIRST;
    planted[3] += 1e-3;
    let wrong = checked(&twin(&FIRST, true), &slim(&planted), &twin(&poisoned(), true)).unwrap();
    let culprit = wrong.culprit.unwrap();
    assert_eq!((culprit.check, culprit.site.as_str()), (Check::Taps, "second product"));
    assert!(culprit.relative.unwrap() > 1e-4);
}

#[test]
fn a_twin_that_does_not_select_its_lanes_away_is_poisoned() {
    if !needs::onnx_runtime() {
        return;
    }
    let (models, leaking) = (Models::new(), twin(&FIRST, false));
    let (path, y, tap) = names(&models, &leaking, "twin.onnx");
    let (poison, ..) = names(&models, &twin(&poisoned(), false), "poison.onnx");
    let taps = vec![Tap { site: "lanes".into(), twin_output: tap.clone(), slim_output: tap, axis: 1, kept: vec![] }];
    let (masked, jittered) = (path.clone(), path.clone());
    let twin = Twin { masked, slim: path, jittered, poisoned: poison, outputs: vec![y], taps };
    let report = check(&job(twin)).unwrap();
    assert_eq!(report.culprit.unwrap().check, Check::Poison);
}

#[test]
fn a_tap_that_is_not_there_is_an_error() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let (path, y, _) = names(&models, &twin(&FIRST, true), "twin.onnx");
    let taps =
        vec![Tap { site: "s".into(), twin_output: "nowhere".into(), slim_output: y.clone(), axis: 1, kept: vec![] }];
    let (masked, jittered, poisoned) = (path.clone(), path.clone(), path.clone());
    let error = check(&job(Twin { masked, slim: path, jittered, poisoned, outputs: vec![y], taps })).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}
