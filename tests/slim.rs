//! `slim` and `inspect` on every fixture: the cut passes its gate, is repeatable, and says what it reached.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use fixtures::models::small;
use support::Place;

#[test]
fn every_fixture_is_cut_exactly_or_says_why_not() {
    let place = Place::new();
    let all = [small::all(), small::places(), small::scoped(), small::quantized()];
    for (name, bytes) in all.into_iter().flatten() {
        let model = place.model(name);
        let done = place.json(&["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"]);
        assert!(done["twin"]["culprit"].is_null(), "{name}");
        assert!(done["removed"].as_u64().unwrap() > 0, "{name}");
        assert!(done["slim"]["macs"].as_f64() < done["dense"]["macs"].as_f64(), "{name}");
        assert!(fs::metadata(place.path("slim.onnx")).unwrap().len() < bytes.len() as u64, "{name}");
    }
}

#[test]
fn random_networks_are_cut_exactly() {
    let place = Place::new();
    for seed in 0..12 {
        let model = place.model(&format!("random-{seed}"));
        let arguments = ["slim", &model, "--to", "macs=60%", "--method", "random", "--seed", "3", "-o", "slim.onnx"];
        let output = place.espalier(&arguments).output().unwrap();
        // A network whose every channel is tied to few others may not reach the budget; nothing else may go wrong.
        let said = support::said(&output);
        assert!(output.status.success() || said.contains("cannot be met"), "seed {seed}: {said}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    let model = place.model("residual");
    let cut = |out: &str| {
        place.good(&["slim", &model, "--to", "macs=50%", "-o", out]);
        fs::read(place.path(out)).unwrap()
    };
    assert_eq!(cut("a.onnx"), cut("b.onnx"));
}

#[test]
fn a_declared_batch_stays_unless_it_is_to_be_free() {
    let place = Place::new();
    let model = place.model("fixed-batch");
    let batch = |more: &[&str]| {
        place.good(&[&["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"], more].concat());
        let slim = import::Model::open(&place.path("slim.onnx")).unwrap();
        slim.graph.batch().unwrap().value()
    };
    assert_eq!((batch(&[]), batch(&["--free-batch"])), (Some(1), None));
}

#[test]
fn a_plan_is_followed_and_an_empty_one_changes_nothing() {
    let place = Place::new();
    let model = place.model("chain");
    let plan = r#"{"schema": 1, "remove": [{"tensor": "first.conv.weight", "axis": 0, "indices": [0, 5]}]}"#;
    fs::write(place.path("plan.json"), plan).unwrap();
    let done = place.json(&["slim", &model, "--plan", "plan.json", "-o", "slim.onnx"]);
    assert_eq!(done["removed"], 2);
    fs::write(place.path("empty.json"), r#"{"schema": 1}"#).unwrap();
    place.good(&["slim", &model, "--plan", "empty.json", "-o", "same.onnx"]);
    assert_eq!(fs::read(&model).unwrap(), fs::read(place.path("same.onnx")).unwrap());
}

#[test]
fn budgets_are_met_as_asked_and_the_floor_holds() {
    let place = Place::new();
    let model = place.model("resnet8");
    let done = place.json(&["slim", &model, "--to", "macs=40%", "--allocation", "banded", "-o", "slim.onnx"]);
    let share = done["slim"]["macs"].as_f64().unwrap() / done["dense"]["macs"].as_f64().unwrap();
    assert!((0.38..=0.40).contains(&share), "{share}");
    assert!((share - done["budgets"][0]["share"].as_f64().unwrap()).abs() < 1e-9);
}

#[test]
fn kept_tensors_stay_whole() {
    let place = Place::new();
    let model = place.model("chain");
    let groups = |arguments: &[&str]| {
        place.json(&[&["inspect", &model], arguments].concat())["groups"].as_array().unwrap().len()
    };
    assert_eq!((groups(&[]), groups(&["--keep", "first"])), (2, 1));
}

#[test]
fn lanes_are_scored_ranked_and_bounded_as_asked() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let (model, out) = (place.model("resnet8"), place.arg("out.onnx"));
    let slim = |more: &[&str]| {
        place.good(&[&["slim", &model, "--to", "macs=60%", "-o", &out], more].concat());
        std::fs::read(place.path("out.onnx")).unwrap()
    };
    let usual = slim(&[]);
    for other in [
        &["--criterion", "l1"][..],
        &["--criterion", "bn-scale"],
        &["--criterion", "fpgm"],
        &["--allocation", "global", "--reduce", "sum", "--normalise", "none"],
        &["--allocation", "isomorphic", "--normalise", "none"],
        &["--layer", "fc=90%.."],
    ] {
        assert_ne!(slim(other), usual, "{other:?}");
    }
    let wrong = place.refused(&["slim", &model, "--to", "macs=60%", "--layer", "nowhere=3..", "-o", &out]);
    assert!(wrong.contains("`nowhere`"), "{wrong}");
    let wrong = place.refused(&["slim", &model, "--to", "macs=60%", "--layer", "fc:3", "-o", &out]);
    assert!(wrong.contains("search.layer") && wrong.contains("NAME=16.."), "{wrong}");
}

#[test]
fn what_was_written_out_in_place_is_compared_at_a_size_that_the_network_takes() {
    if !fixtures::needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    std::fs::write(place.path("long.onnx"), small::of_long_sequences()).unwrap();
    let done = place.json(&["slim", &place.arg("long.onnx"), "--to", "channels=50%", "-o", &place.arg("out.onnx")]);
    assert!(done["removed"].as_u64().unwrap() > 0, "{done}");
}
