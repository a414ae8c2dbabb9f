//! `diff` from outside.
#![allow(clippy::unwrap_used)]

mod support;

use support::Place;

#[test]
fn what_changed_is_told_in_a_screenful() {
    let place = Place::new();
    let (dense, slim) = (place.model("resnet8"), place.arg("other.onnx"));
    let same = place.good(&["diff", &dense, &dense]);
    assert!(same.contains("do not differ"), "{same}");
    std::fs::write(place.path("other.onnx"), fixtures::models::resnet::cifar(8, 7, 1)).unwrap();
    let text = place.good(&["diff", &dense, &slim]);
    assert!(text.contains("[open, 10] → F32 [open, 7]") && text.contains("with other elements"), "{text}");
    assert!(text.lines().count() < 60, "{text}");
    let found = place.json(&["diff", &dense, &slim]);
    let reshaped = found["reshaped"].as_array().unwrap();
    assert!(reshaped.iter().any(|changed| changed["what"] == "fc.weight"), "{found}");
    let moved = found["moved"].as_array().unwrap();
    assert!(moved.len() > 5 && moved[0]["relative"].as_f64() >= moved[1]["relative"].as_f64(), "{found}");
}

#[test]
fn a_cut_shows_as_smaller_tensors_alone() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let (dense, slim) = (place.model("chain"), place.arg("slim.onnx"));
    place.good(&["slim", &dense, "--to", "channels=50%", "-o", &slim]);
    let found = place.json(&["diff", &dense, &slim]);
    for nothing in ["interface", "operators", "removed", "added", "renamed"] {
        assert!(found[nothing].as_array().unwrap().is_empty(), "{nothing}: {found}");
    }
    assert!(!found["reshaped"].as_array().unwrap().is_empty(), "{found}");
}
