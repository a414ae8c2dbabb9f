//! Trainings that run away, or only do harm: they go back, fail in a sentence, or return what was best.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder, contents};
use csam::{CsamError, search::search, tune::tune};
use import::{Model, Tensor};
use job::Job;
use serde_json::{Value, json};

fn run(job: &Job, recorder: &Recorder) -> Result<(), CsamError> {
    tune(job, "tune", recorder.events(), recorder.stop.clone())
}

fn taught(bench: &Bench, out: &str, settings: Value) -> Job {
    bench.job(out, json!({ "teacher": bench.path("model.onnx"), "tune": settings }))
}

/// Notes that say that a phase went back.
fn retreats(recorder: &Recorder) -> Vec<String> {
    let notes = recorder.told().into_iter().filter(|event| event["event"] == "note");
    notes.map(|event| event["text"].as_str().unwrap().to_owned()).filter(|text| text.contains("ran away")).collect()
}

/// How far the tensors that a training wrote are from the file's, at most, as a share of the file's largest.
fn farthest(bench: &Bench, job: &Job) -> f64 {
    let model = Model::open(&bench.path("model.onnx")).unwrap();
    let written = job.out.join("tensors.safetensors");
    let Ok(bytes) = std::fs::read(written) else { return 0.0 };
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let apart = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let graph = &model.graph;
        let stored = graph.stored.iter().find(|stored| graph.value(stored.value).name == name).unwrap();
        let old = stored.tensor.to_f32().unwrap();
        let new = Tensor { data: view.data().to_vec().into(), ..stored.tensor.clone() }.to_f32().unwrap();
        let largest = old.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
        old.iter().zip(new).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
    };
    tensors.tensors().into_iter().map(apart).fold(0.0, f32::max).into()
}

#[test]
fn a_loss_that_runs_away_takes_the_phase_back_twice_and_then_ends_it() {
    let bench = Bench::new("residual");
    let job = taught(&bench, "out", json!({ "epochs": 4.0, "batch": 12, "batches": 1, "rate": 1e6, "warm_up": 0 }));
    let recorder = Recorder::default();
    let error = run(&job, &recorder).unwrap_err();
    assert!(matches!(error, CsamError::Diverged { retreats: 2, .. }), "{error}");
    assert_eq!(error.status(), 2);
    let told = retreats(&recorder);
    assert!(told.len() == 2 && told[0].contains("rate 250000") && told[1].contains("rate 62500"), "{told:?}");
    assert!(!job.out.exists(), "a ruined network is not written");
}

#[test]
fn a_phase_that_went_back_is_interrupted_and_resumed_to_the_same_bytes() {
    let bench = Bench::new("residual");
    // Found by trying: it runs away at this rate, and holds at a quarter of it.
    let settings = json!({ "normalise": "batch", "epochs": 4.0, "batch": 12, "batches": 1, "rate": RUNS_AWAY, "warm_up": 0, "validate": 1.0 });
    let whole = taught(&bench, "whole", settings.clone());
    let recorder = Recorder::default();
    run(&whole, &recorder).unwrap();
    let back = retreats(&recorder);
    assert!(!back.is_empty(), "this rate should run away");
    let after = recorder.steps("tune").len() as u64;
    let mut broken = taught(&bench, "broken", settings);
    (broken.checkpoint, broken.resume) = (Some(bench.path("checkpoint")), true);
    for step in [3, 9, 20, 30] {
        let recorder = Recorder::until("tune", step);
        let stopped = run(&broken, &recorder).unwrap_err();
        assert!(matches!(stopped, CsamError::Interrupted { .. }), "{stopped}");
    }
    run(&broken, &Recorder::default()).unwrap();
    assert!(after > 0 && contents(&whole.out) == contents(&broken.out), "the resumed run differs");
}

/// A rate at which the small residual network runs away.
const RUNS_AWAY: f64 = 30.0;

#[test]
fn a_search_that_runs_away_says_so() {
    let bench = Bench::new("residual");
    let settings = json!({ "epochs": 4.0, "batch": 24, "batches": 1, "rounds": 4, "rate": 1e7 });
    let job = bench.job("out", json!({ "search": settings }));
    let recorder = Recorder::default();
    let error = search(&job, recorder.events(), recorder.stop.clone()).unwrap_err();
    assert!(matches!(error, CsamError::Diverged { phase: "search", retreats: 2, .. }), "{error}");
    assert!(!job.out.exists());
}

#[test]
fn where_no_rate_is_given_one_is_tried_and_told() {
    let bench = Bench::new("residual");
    let recorder = Recorder::default();
    let job = taught(&bench, "out", json!({ "epochs": 2.0, "batch": 12, "batches": 1 }));
    run(&job, &recorder).unwrap();
    let tried = recorder.steps("rate");
    // A dozen at a rate of 0, and a dozen at each that was tried.
    assert!(tried.len() >= 24 && tried[0]["learning_rate"] == 0.0, "{tried:?}");
    let last = tried.last().unwrap()["learning_rate"].as_f64().unwrap();
    assert_eq!(recorder.last()["rate"].as_f64().unwrap(), last);
    assert!(last <= 0.05 * 12.0 / 128.0);
}

#[test]
fn a_rate_of_zero_changes_nothing() {
    for model in ["residual", "chain", "fixed-batch", "squeeze-excite"] {
        let bench = Bench::new(model);
        let job = taught(&bench, "out", json!({ "epochs": 1.0, "batch": 12, "batches": 2, "rate": 0, "ema": 0.5 }));
        run(&job, &Recorder::default()).unwrap();
        // What is left is the rounding of a normalisation that was put in and folded back.
        assert!(farthest(&bench, &job) < 1e-5, "{model}");
    }
}

#[test]
fn weights_that_only_got_worse_are_not_returned() {
    let bench = Bench::new("residual");
    // The teacher is the network itself, which can only lose.
    let settings = json!({ "epochs": 3.0, "batch": 12, "batches": 1, "rate": 0.05, "task": { "distil": 1.0 } });
    let job = taught(&bench, "out", settings);
    let recorder = Recorder::default();
    run(&job, &recorder).unwrap();
    assert_eq!(recorder.last()["best_step"], 0);
    assert!(farthest(&bench, &job) < 1e-5);
}

#[test]
fn early_stopping_returns_what_it_saw_best() {
    let bench = Bench::new("chain");
    let settings =
        json!({ "epochs": 30.0, "batch": 20, "transformed": 0.0, "rate": 0.2, "validate": 1.0, "patience": 2 });
    let job = bench.job("out", json!({ "fresh": true, "tune": settings }));
    let recorder = Recorder::default();
    tune(&job, "train", recorder.events(), recorder.stop.clone()).unwrap();
    let looks: Vec<f64> = recorder.steps("train").iter().filter_map(|step| step["validation_loss"].as_f64()).collect();
    let best = looks.iter().copied().fold(f64::INFINITY, f64::min);
    let told = recorder.last();
    assert!((told["validation_loss"].as_f64().unwrap() - best).abs() < 1e-4 * best.max(1e-3), "{told} of {looks:?}");
}
