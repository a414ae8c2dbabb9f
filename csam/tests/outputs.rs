//! Networks that are no classifiers: detectors with several outputs, maps, and files that take one image at a time.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder};
use csam::{
    check::check,
    network::{Lowering, Meaning, Network, Pass},
    search::search,
    tune::tune,
};
use fixtures::models::{Builder, Dim, int, ints};
use import::Model;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// A detector: places with boxes of hundreds of pixels, objectness below one, and class probabilities.
fn detector(batch: Dim, objectness: f32) -> Vec<u8> {
    let mut net = Builder::new("detector", 13, 3);
    let x = net.input("pictures", &[batch, Dim::Is(3), Dim::Is(8), Dim::Is(8)]);
    let [w, b] = [net.drawn("stem.weight", &[8, 3, 3, 3], 0.0, 0.4), net.drawn("stem.bias", &[8], 0.0, 0.1)];
    let x = net.node("Conv", &[&x, &w, &b], vec![ints("pads", &[1, 1, 1, 1])]);
    let x = net.node("Relu", &[&x], vec![]);
    let mut head = |name: &str, channels: usize, deviation: f32| {
        let w = net.drawn(&format!("{name}.weight"), &[channels, 8, 1, 1], 0.0, deviation);
        let y = net.node("Conv", &[&x, &w], vec![]);
        let y = net.node("Transpose", &[&y], vec![ints("perm", &[0, 2, 3, 1])]);
        let shape = net.integers(&format!("{name}.shape"), &[0, 64, channels as i64]);
        net.node("Reshape", &[&y, &shape], vec![])
    };
    let boxes = head("boxes", 4, 100.0);
    let object = head("object", 1, objectness);
    let classes = head("classes", 3, 0.5);
    let object = net.node("Sigmoid", &[&object], vec![]);
    let classes = net.node("Softmax", &[&classes], vec![int("axis", 2)]);
    for (name, channels) in [(&boxes, 4), (&object, 1), (&classes, 3)] {
        net.output(name, &[batch, Dim::Is(64), Dim::Is(channels)]);
    }
    net.finish()
}

/// A network that joins its image with itself along the batch axis and takes the first half back, so that no other
/// batch than its own can be had.
fn one_at_a_time() -> Vec<u8> {
    let mut net = Builder::new("one", 13, 4);
    let x = net.input("pictures", &[1, 3, 8, 8].map(Dim::Is));
    let twice = net.node("Concat", &[&x, &x], vec![int("axis", 0)]);
    let [start, end, axis] = [("start", 0), ("end", 1), ("axis", 0)].map(|(name, n)| net.integers(name, &[n]));
    let x = net.node("Slice", &[&twice, &start, &end, &axis], vec![]);
    let [w, b] = [net.drawn("w", &[8, 3, 3, 3], 0.0, 0.4), net.drawn("b", &[8], 0.0, 0.1)];
    let x = net.node("Conv", &[&x, &w, &b], vec![ints("pads", &[1, 1, 1, 1])]);
    let x = net.node("Relu", &[&x], vec![]);
    let w = net.drawn("map", &[2, 8, 1, 1], 0.0, 0.4);
    let x = net.node("Conv", &[&x, &w], vec![]);
    net.output(&x, &[1, 2, 8, 8].map(Dim::Is));
    net.finish()
}

/// A network of maps whose stored statistics are of brighter and livelier pictures than these.
fn from_elsewhere() -> Vec<u8> {
    let mut net = Builder::new("elsewhere", 13, 5);
    let x = net.input("pictures", &[BATCH, Dim::Is(3), Dim::Is(8), Dim::Is(8)]);
    let w = net.drawn("w", &[8, 3, 3, 3], 0.0, 0.4);
    let x = net.node("Conv", &[&x, &w], vec![ints("pads", &[1, 1, 1, 1])]);
    let mut each = |name: &str, value: f32| net.drawn(name, &[8], value, 0.0);
    let [scale, shift, mean, variance] =
        [each("scale", 1.0), each("shift", 0.5), each("mean", 2.0), each("variance", 100.0)];
    let x = net.node("BatchNormalization", &[&x, &scale, &shift, &mean, &variance], vec![]);
    let x = net.node("Relu", &[&x], vec![]);
    let w = net.drawn("map", &[2, 8, 1, 1], 0.0, 0.4);
    let x = net.node("Conv", &[&x, &w], vec![]);
    net.output(&x, &[BATCH, Dim::Is(2), Dim::Is(8), Dim::Is(8)]);
    net.finish()
}

const BATCH: Dim = Dim::Symbol("batch");

fn noise(count: i64) -> Tensor {
    let steps = Tensor::arange(count * 192, (Kind::Double, Device::Cpu));
    ((steps * 12.9898).sin() * 43_758.545_3).frac().reshape([count, 3, 8, 8]).to_kind(Kind::Float)
}

#[test]
fn every_output_is_read_for_what_it_is() {
    let network =
        |bytes: Vec<u8>| Network::lower(&Model::from_bytes(bytes.into()).unwrap(), None, Lowering::training()).unwrap();
    let said = network(detector(BATCH, 1.0)).answers(&noise(3).into(), &mut Pass::default()).unwrap();
    let meanings: Vec<Meaning> = said.0.iter().map(|answer| answer.meaning).collect();
    assert_eq!(meanings, [Meaning::Numbers, Meaning::Numbers, Meaning::ClassesByPlace]);
    assert_eq!(said.shapes(), [[64, 4], [64, 1], [64, 3]]);
    assert!(said.scores().unwrap().is_none());
    let map = network(one_at_a_time()).answers(&noise(1).into(), &mut Pass::default()).unwrap();
    assert_eq!((map.0[0].meaning, map.shapes()), (Meaning::Numbers, vec![vec![64, 2]]));
}

#[test]
fn probabilities_are_known_through_layout_operators() {
    let through = |operators: &dyn Fn(&mut Builder, String) -> String| {
        let mut net = Builder::new("behind", 13, 5);
        let x = net.input("pictures", &[BATCH, Dim::Is(3), Dim::Is(8), Dim::Is(8)]);
        let w = net.drawn("w", &[5, 3, 8, 8], 0.0, 0.1);
        let x = net.node("Conv", &[&x, &w], vec![]);
        let x = net.node("Softmax", &[&x], vec![int("axis", 1)]);
        let y = operators(&mut net, x);
        net.output(&y, &[BATCH, Dim::Is(5)]);
        let model = Model::from_bytes(net.finish().into()).unwrap();
        let network = Network::lower(&model, None, Lowering::training()).unwrap();
        let said = network.answers(&noise(2).into(), &mut Pass::default()).unwrap();
        assert_eq!(said.0[0].meaning, Meaning::Classes);
        let sums = said.scores().unwrap().unwrap().exp().sum_dim_intlist(1, false, Kind::Float);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
    };
    through(&|net, x| {
        let axes = net.integers("axes", &[2, 3]);
        net.node("Squeeze", &[&x, &axes], vec![])
    });
    through(&|net, x| {
        let shape = net.integers("shape", &[-1, 5]);
        let x = net.node("Reshape", &[&x, &shape], vec![]);
        net.node("Identity", &[&x], vec![])
    });
    through(&|net, x| net.node("Flatten", &[&x], vec![]));
}

/// Facts and losses of a tuning without labels.
fn tuned(bench: &Bench, teacher: &str, settings: Value) -> (Value, Vec<f64>) {
    let job = bench.job("out", json!({ "labels": false, "teacher": bench.path(teacher), "tune": settings }));
    let recorder = Recorder::default();
    tune(&job, "tune", recorder.events(), recorder.stop.clone()).unwrap();
    let losses = recorder.steps("tune").iter().map(|step| step["loss"].as_f64().unwrap()).collect();
    (recorder.last(), losses)
}

#[test]
fn a_detector_learns_all_its_outputs() {
    // The student's objectness says nothing; its boxes, a thousand times as large, are the teacher's.
    let bench = Bench::with(&detector(BATCH, 0.0));
    std::fs::write(bench.path("teacher.onnx"), detector(BATCH, 3.0)).unwrap();
    let (told, losses) = tuned(&bench, "teacher.onnx", json!({ "epochs": 12.0, "batch": 12, "augment": false }));
    // One of three outputs explains nothing of its teacher's variance.
    assert!(losses[0] > 0.3, "{losses:?}");
    assert!(told["validation_loss"].as_f64().unwrap() < 0.6 * losses[0], "{told}");
    assert!(told["validation"].is_null(), "there is no class to be right about");
}

#[test]
fn a_detector_is_searched_by_every_method() {
    let bench = Bench::with(&detector(Dim::Is(1), 1.0));
    for method in ["csam", "taylor", "magnitude"] {
        let settings = json!({ "method": method, "epochs": 2.0, "batch": 24, "batches": 1, "rounds": 2, "floor": 1 });
        let sections = json!({ "labels": false, "search": settings, "tune": { "epochs": 3.0, "batch": 12 } });
        let job = bench.job(method, sections);
        let recorder = Recorder::default();
        check(&job, recorder.events(), recorder.stop.clone()).unwrap();
        assert!(recorder.last()["classes"].is_null());
        search(&job, recorder.events(), recorder.stop.clone()).unwrap();
        assert!(recorder.last()["kept"].as_u64().unwrap() < 8, "{}", recorder.last());
    }
}

#[test]
fn labels_are_refused_before_any_work_where_there_are_no_class_scores() {
    let bench = Bench::with(&detector(BATCH, 1.0));
    let recorder = Recorder::default();
    let error = check(&bench.job("out", json!({})), recorder.events(), recorder.stop.clone()).unwrap_err();
    assert!(error.to_string().contains("--no-labels"), "{error}");
}

#[test]
fn a_network_of_one_image_at_a_time_is_trained_image_by_image() {
    let bench = Bench::with(&one_at_a_time());
    let settings = json!({ "epochs": 2.0, "batch": 12, "transformed": 0.5 });
    let job = bench.job("check", json!({ "labels": false, "tune": settings }));
    let recorder = Recorder::default();
    check(&job, recorder.events(), recorder.stop.clone()).unwrap();
    assert!(recorder.told().iter().any(|event| event["text"].as_str().is_some_and(|t| t.contains("at a time"))));
    let (told, losses) = tuned(&bench, "model.onnx", settings);
    assert_eq!((losses.len(), told["copies"].as_u64().is_some()), (16, true));
    assert!(losses.iter().all(|loss| loss.is_finite()));
}

#[test]
fn a_network_that_its_batches_do_not_explain_keeps_its_stored_statistics() {
    let bench = Bench::with(&from_elsewhere());
    let first = |normalise: &str| {
        let settings = json!({ "epochs": 2.0, "batch": 24, "augment": false, "normalise": normalise, "rate": 1e-6 });
        tuned(&bench, "model.onnx", settings).1[0]
    };
    // The network learns from itself: there is nothing to make good.
    assert!(first("batch") > 3.0 && first("auto") < 1e-6, "{} {}", first("batch"), first("auto"));
    let plan = std::fs::read_to_string(bench.path("out/plan.json")).unwrap();
    assert!(!plan.contains("\"mean\"") && !plan.contains("\"variance\""), "{plan}");
    let job = bench.job("search", json!({ "labels": false, "tune": { "batch": 24 }, "search": { "rounds": 2 } }));
    let recorder = Recorder::default();
    search(&job, recorder.events(), recorder.stop.clone()).unwrap();
    let told = recorder.told();
    assert!(
        told.iter().any(|event| event["text"].as_str().is_some_and(|t| t.contains("stored statistics"))),
        "{told:?}"
    );
}
