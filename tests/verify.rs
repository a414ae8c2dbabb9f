//! `verify` from outside: files and runtimes that agree, that differ, and that cannot be told apart.
#![allow(clippy::unwrap_used)]

mod support;

use fixtures::models::{Conv, Dim, Init, Layers};
use serde_json::Value;
use support::Place;

/// What `verify` says, and its exit status.
fn verified(place: &Place, arguments: &[&str]) -> (Value, Option<i32>) {
    let all = [&["verify"], arguments, &["--samples", "6", "--format", "json"]].concat();
    let output = place.espalier(&all).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or(Value::String(said)), output.status.code())
}

/// A small network whose weights have this seed; with a node more, its output has another name.
fn network(seed: u64, longer: bool) -> Vec<u8> {
    let batch = Dim::Symbol("batch");
    let mut net = Layers::new("two", 17, seed, Init::Lively);
    let x = net.pictures(batch, 3, 8);
    let x = net.block("first", &x, 8, Conv::bare(3));
    let x = net.conv("second", &x, 5, Conv::same(3));
    let x = if longer { net.map("Identity", &x) } else { x };
    let y = net.map("Sigmoid", &x);
    net.builder.output(&y.name, &[batch, Dim::Is(5), Dim::Is(8), Dim::Is(8)]);
    net.builder.finish()
}

#[test]
fn files_are_compared_on_numbers_that_nobody_gave() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    for (name, bytes) in [("a", network(0, false)), ("other", network(1, false)), ("renamed", network(0, true))] {
        std::fs::write(place.path(&format!("{name}.onnx")), bytes).unwrap();
    }
    let [a, other, renamed] = ["a.onnx", "other.onnx", "renamed.onnx"].map(|name| place.arg(name));
    let on = ["--runtimes", "ort,tract"];
    let (found, status) = verified(&place, &[&[a.as_str()][..], &on].concat());
    assert_eq!((status, &found["passed"]), (Some(0), &Value::Bool(true)), "{found}");
    assert_eq!(found["noise"].as_array().unwrap().len(), 2, "{found}");
    let (found, status) = verified(&place, &[&[a.as_str(), &a], &on[..]].concat());
    assert_eq!((status, found["runs"].as_array().unwrap().len()), (Some(0), 2), "{found}");
    let (found, status) = verified(&place, &[&a, &other, "--runtimes", "ort"]);
    assert_eq!((status, &found["runs"][0]["passed"]), (Some(1), &Value::Bool(false)), "{found}");
    let (found, status) = verified(&place, &[&a, &renamed, "--runtimes", "ort"]);
    assert_eq!((status, &found["mismatches"][0]["mismatch"]), (Some(0), &"renamed".into()), "{found}");
}

#[test]
fn a_file_that_was_cut_is_held_to_the_same_answers() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let (model, slim) = (place.model("resnet8"), place.arg("slim.onnx"));
    place.good(&["slim", &model, "--to", "channels=80%", "-o", &slim]);
    let (found, status) = verified(&place, &[&model, &slim]);
    assert!(status.is_some_and(|status| status < 2), "{found}");
    assert_eq!(found["outputs"][0]["kind"], "classes", "{found}");
}

#[test]
fn smaller_tensors_with_another_output_are_no_agreement() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let (ten, seven) = (place.model("resnet8"), place.arg("seven.onnx"));
    std::fs::write(place.path("seven.onnx"), fixtures::models::resnet::cifar(8, 7, 0)).unwrap();
    let (found, status) = verified(&place, &[&ten, &seven]);
    assert_eq!(status, Some(1), "{found}");
}

#[test]
fn a_network_that_magnifies_rounding_is_told_from_one_that_is_wrong() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    // Differences of nearly equal numbers, made large again: any rounding shows, on one runtime as between two.
    let batch = Dim::Symbol("batch");
    let mut net = Layers::new("magnifying", 17, 0, Init::Lively);
    let x = net.pictures(batch, 3, 8);
    let x = net.block("first", &x, 8, Conv::bare(3));
    let x = net.conv("second", &x, 6, Conv::same(3));
    let mut builder = net.builder;
    let far = builder.stored("far", &[1], &[3000.0]);
    let away = builder.node("Add", &[&x.name, &far], vec![]);
    let back = builder.node("Sub", &[&away, &far], vec![]);
    let shape = [batch, Dim::Is(6), Dim::Is(8), Dim::Is(8)];
    builder.output(&back, &shape);
    let place = Place::new();
    std::fs::write(place.path("magnifying.onnx"), builder.finish()).unwrap();
    let (found, status) = verified(&place, &[&place.arg("magnifying.onnx"), "--runtimes", "ort,tract"]);
    let pair = &found["pairs"][0];
    assert_eq!((status, &pair["passed"]), (Some(0), &Value::Bool(true)), "{found}");
}

#[test]
fn what_nothing_can_be_compared_on_is_an_error() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let model = place.model("chain");
    let error = place.refused(&["verify", &model, "--runtimes", "ort"]);
    assert!(error.contains("two"), "{error}");
}
