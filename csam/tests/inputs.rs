//! Searching and tuning networks that read something else than pictures.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder};
use csam::{check::check, search::search, tune::tune};
use images::intake::Origin;
use serde_json::json;

/// A network's name, and for each input its name, the sizes of a sample, and what is drawn.
type Case = (&'static str, &'static [(&'static str, &'static [usize], &'static str)]);

const CASES: [Case; 4] = [
    ("audio", &[("audio", &[1, 64], "normal")]),
    ("volume", &[("volume", &[2, 4, 8, 8], "normal")]),
    ("board", &[("board", &[7, 3, 3], "ints:0:1")]),
    ("masked", &[("x", &[4, 16], "normal"), ("mask", &[1, 16], "ints:0:1")]),
];

#[test]
fn networks_of_any_input_are_searched_by_every_method() {
    for (name, inputs) in CASES {
        let bench = Bench::new(name);
        for method in ["csam", "taylor"] {
            let settings =
                json!({ "method": method, "epochs": 2.0, "batch": 24, "batches": 1, "rounds": 2, "floor": 1 });
            let changes = json!({ "search": settings, "tune": { "epochs": 3.0, "batch": 12 } });
            let job = bench.random_job(method, inputs, changes);
            let recorder = Recorder::default();
            let left_out =
                |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains("left out"));
            check(&job, recorder.events(), recorder.stop.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(recorder.told().iter().any(left_out), "{name}");
            search(&job, recorder.events(), recorder.stop.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(recorder.last()["kept"].as_u64().unwrap() > 0, "{name}: {}", recorder.last());
        }
    }
}

#[test]
fn a_network_of_any_input_learns_from_another_without_labels() {
    for (name, inputs) in CASES {
        let bench = Bench::new(name);
        std::fs::copy(bench.path("model.onnx"), bench.path("teacher.onnx")).unwrap();
        let mut job = bench.random_job(
            "out",
            inputs,
            json!({ "fresh": true, "teacher": bench.path("teacher.onnx"), "tune": { "epochs": 5.0, "batch": 12, "warm_up": 5 } }),
        );
        job.budget.clear();
        let recorder = Recorder::default();
        tune(&job, "train", recorder.events(), recorder.stop.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let losses: Vec<f64> = recorder.steps("train").iter().map(|step| step["loss"].as_f64().unwrap()).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..8]), mean(&losses[losses.len() - 8..]));
        assert!(last < 0.8 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn a_type_that_torch_has_not_is_refused_by_name() {
    let bench = Bench::new("board");
    let mut job = bench.random_job("out", CASES[2].1, json!({}));
    job.inputs.0[0].element = images::values::Element::U32;
    assert!(matches!(job.inputs.0[0].from, Origin::Random { .. }));
    let recorder = Recorder::default();
    let error = check(&job, recorder.events(), recorder.stop.clone()).unwrap_err().to_string();
    assert!(error.contains("`board` holds U32"), "{error}");
}

#[test]
fn a_job_says_the_sizes_that_a_file_leaves_open() {
    let bench = Bench::new("open-sides");
    let changes = json!({ "shapes": [["x", [1, 3, 8, 8]]], "tune": { "batch": 12 }, "search": { "rounds": 2 } });
    let job = bench.random_job("out", &[("x", &[3, 8, 8], "normal")], changes);
    let recorder = Recorder::default();
    check(&job, recorder.events(), recorder.stop.clone()).unwrap();
    let wrong = bench.random_job("out", &[("x", &[3, 8, 8], "normal")], json!({ "shapes": [["x", [1, 4, 8, 8]]] }));
    let error = check(&wrong, recorder.events(), recorder.stop.clone()).unwrap_err().to_string();
    assert!(error.contains("declared as [batch, 3, height, width]"), "{error}");
}
