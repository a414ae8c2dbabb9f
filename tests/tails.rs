//! Networks whose outputs lie behind what cannot be trained, the whole way: trained before it, checked behind it.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{Place, said};

/// A run on random pictures that takes seconds, and its report.
fn pruned(place: &Place, name: &str, more: &[&str]) -> Value {
    let torch = support::torch().unwrap();
    let model = place.model(name);
    let inputs = ["--input", "normal", "--data", "random:64", "--no-labels", "--runtimes", "ort,tract,torch"];
    let quick = ["--epochs", "1", "--batch", "12", "--set", "search.batch=12", "--set", "tune.warm_up=1"];
    let run = ["prune", &model, "--to", "macs=70%", "-o", name, "--threads", "1"];
    let mut command = place.espalier(&[&run[..], &inputs, &quick, more].concat());
    let output = command.env("ESPALIER_TORCH", torch).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{name}: {}", said(&output));
    let kept = std::fs::read(place.path(&format!("{name}/report.json"))).unwrap();
    serde_json::from_slice(&kept).unwrap()
}

#[test]
fn a_detector_is_trained_before_its_selection_of_boxes_and_checked_behind_it() {
    if support::torch().is_none() {
        return;
    }
    let place = Place::new();
    for (name, outputs) in [("detector", 4), ("named-pixels", 2), ("recogniser", 2)] {
        let report = pruned(&place, name, &[]);
        assert!(report["budgets"][0]["share"].as_f64().unwrap() <= 0.7, "{name}");
        let remarks = report["remarks"].to_string();
        assert!(remarks.contains("trained up to"), "{name}: {remarks}");
        // The answers at what was learned are told beside those behind it.
        assert_eq!(report["answers"][1]["outputs"].as_array().unwrap().len(), outputs, "{name}");
        let pairs = report["agreement"]["pairs"].to_string();
        assert!(pairs.contains("tract"), "{name}: {pairs}");
    }
}

#[test]
fn a_value_to_train_up_to_is_named_by_hand() {
    if support::torch().is_none() {
        return;
    }
    let place = Place::new();
    let report = pruned(&place, "residual", &["--until", "relu_8_0"]);
    let learned = report["answers"][1]["outputs"][1]["output"].as_str();
    assert_eq!(learned, Some("relu_8_0"), "{}", report["answers"]);
    let model = place.arg("residual.onnx");
    let wrong = ["prune", &model, "--input", "normal", "--to", "macs=70%", "--until", "nowhere", "-o", "wrong"];
    assert!(place.refused(&wrong).contains("`nowhere`"));
}
