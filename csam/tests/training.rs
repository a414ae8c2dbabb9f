//! Searching, tuning and training on small models: budgets met, runs repeatable, interrupted runs equal to unbroken ones.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder, contents};
use csam::{CsamError, search::search, tune::tune};
use import::{
    Model,
    lanes::{Budget, Lanes, Plan},
};
use job::Job;
use serde_json::json;

type Command = fn(&Job, csam::events::Events, csam::session::Stop) -> Result<(), CsamError>;

fn run_tune(job: &Job, events: csam::events::Events, stop: csam::session::Stop) -> Result<(), CsamError> {
    tune(job, "tune", events, stop)
}

/// Runs a job to its end and gives what was told.
fn finish(command: Command, job: &Job) -> Recorder {
    let recorder = Recorder::default();
    command(job, recorder.events(), recorder.stop.clone()).unwrap();
    assert_eq!(recorder.last()["event"], "done");
    recorder
}

/// The same job unbroken, twice, and with an interruption in `phase`: three times the same files.
fn check_resume(bench: &Bench, command: Command, phase: &'static str, changes: serde_json::Value) {
    let with = |out: &str, more: serde_json::Value| {
        let mut all = changes.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.job(out, all)
    };
    finish(command, &with("unbroken", json!({})));
    finish(command, &with("again", json!({})));
    let broken = with("broken", json!({ "checkpoint": bench.path("checkpoint"), "resume": true }));
    for step in [2, 5] {
        let recorder = Recorder::until(phase, step);
        let stopped = command(&broken, recorder.events(), recorder.stop.clone()).unwrap_err();
        assert!(matches!(stopped, CsamError::Interrupted { step: s, .. } if s == step), "{stopped}");
        assert_eq!(stopped.status(), 130);
        assert!(!broken.out.exists(), "an interrupted run leaves no outcome");
    }
    let recorder = finish(command, &broken);
    assert_eq!(recorder.steps(phase)[0]["step"], 6);
    let unbroken = contents(&bench.path("unbroken"));
    assert!(!unbroken.is_empty());
    assert!(unbroken == contents(&bench.path("again")), "two runs of one job differ");
    assert!(unbroken == contents(&bench.path("broken")), "an interrupted run differs from an unbroken one");
}

#[test]
fn a_tuning_that_was_interrupted_ends_with_the_same_bytes() {
    let bench = Bench::new("residual");
    let settings = json!({ "epochs": 2.0, "batch": 16, "ema": 0.9, "validate": 0.5, "batches": 2 });
    check_resume(&bench, run_tune, "tune", json!({ "teacher": bench.path("model.onnx"), "tune": settings }));
}

#[test]
fn a_search_that_was_interrupted_ends_with_the_same_bytes() {
    let bench = Bench::new("residual");
    let settings = json!({ "epochs": 3.0, "batch": 32, "batches": 2, "rounds": 4 });
    check_resume(&bench, search, "search", json!({ "search": settings }));
}

#[test]
fn two_threads_with_parts_of_their_own_are_as_repeatable_as_one() {
    let bench = Bench::new("residual");
    let tune = json!({ "epochs": 10.0, "batch": 64, "batches": 1, "sam": 0.01 });
    let search_for = json!({ "epochs": 16.0, "batch": 128, "batches": 2, "rounds": 4, "perturb": "gradient" });
    let model = bench.path("model.onnx");
    check_resume(&bench, run_tune, "tune", json!({ "threads": 2, "teacher": model, "tune": tune }));
    check_resume(&Bench::new("residual"), search, "search", json!({ "threads": 2, "search": search_for }));
}

#[test]
fn the_published_reading_is_interrupted_and_resumed_too() {
    let bench = Bench::new("chain");
    let settings = json!({
        "epochs": 8.0, "batch": 16, "batches": 2, "rounds": 4, "update": "gradient", "twin": false, "perturb": "uniform",
        "stability": "gap", "robustness": "ratio", "control": "dual", "train_weights": false,
    });
    check_resume(&bench, search, "search", json!({ "search": settings }));
}

#[test]
fn every_method_and_switch_meets_the_budget() {
    let bench = Bench::new("residual");
    let model = Model::open(&bench.path("model.onnx")).unwrap();
    let lanes = Lanes::of(&model.graph, &[]);
    let budget: Budget = "macs=50%".parse().unwrap();
    for (at, settings) in [
        json!({ "method": "magnitude" }),
        json!({ "method": "random", "allocation": "banded" }),
        json!({ "method": "taylor", "allocation": "global", "batches": 2 }),
        json!({ "perturb": "uniform", "robustness": "hinge" }),
        json!({ "perturb": "gradient", "stability": "kl", "sam": 0.05 }),
        json!({ "perturb": "none", "twin": false, "robustness": "none", "stability": "off" }),
        json!({ "update": "gradient", "relaxed": true, "allocation": "global" }),
        json!({ "update": "gradient", "robustness": "chernoff", "draws": 4, "stability": "sam" }),
        json!({ "twin": false, "robustness": "ratio", "stability": "gap", "draws": 2, "fill": "zero" }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = json!({ "epochs": 0.5, "batch": 20, "batches": 2, "rounds": 3, "floor": 1 });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let job = bench.job(&format!("out{at}"), json!({ "search": all }));
        let told = finish(search, &job).last();
        let kept = Plan::read(&job.out.join("plan.json")).unwrap().kept(&model.graph, &lanes).unwrap();
        assert!(budget.holds(&lanes, &kept), "{settings}");
        assert!(told["macs"].as_f64().unwrap() > 0.35, "{settings}: {told}");
    }
}

#[test]
fn fresh_weights_learn_the_classes() {
    let bench = Bench::new("chain");
    let settings = json!({ "epochs": 12.0, "batch": 20, "transformed": 0.0, "augment": false, "warm_up": 10 });
    let job = bench.job("out", json!({ "fresh": true, "tune": settings }));
    let recorder = Recorder::default();
    tune(&job, "train", recorder.events(), recorder.stop.clone()).unwrap();
    let losses: Vec<f64> = recorder.steps("train").iter().map(|step| step["loss"].as_f64().unwrap()).collect();
    assert!(losses[0] > 1.2, "fresh weights know nothing: {}", losses[0]);
    assert!(losses[losses.len() - 1] < 0.7 * losses[0], "{losses:?}");
    assert!(recorder.last()["validation"].as_f64().unwrap() > 0.5);
}

#[test]
fn a_teacher_is_enough_where_there_are_no_labels() {
    let bench = Bench::new("chain");
    let settings = json!({ "epochs": 1.0, "batch": 20, "batches": 1 });
    let alone = bench.job("alone", json!({ "labels": false, "tune": settings }));
    let recorder = Recorder::default();
    let refused = run_tune(&alone, recorder.events(), recorder.stop.clone()).unwrap_err();
    assert!(matches!(refused, CsamError::NothingToLearn), "{refused}");
    let taught = bench.job("taught", json!({ "labels": false, "teacher": bench.path("model.onnx"), "tune": settings }));
    let told = finish(run_tune, &taught);
    assert_eq!(told.steps("tune").len(), 5);
    assert!(told.last()["validation"].as_f64().unwrap() > 0.2);
}

#[test]
fn wrong_jobs_are_refused_in_a_sentence() {
    let bench = Bench::new("chain");
    let refused = |changes| {
        let job = bench.job("out", changes);
        let recorder = Recorder::default();
        let error = search(&job, recorder.events(), recorder.stop.clone()).unwrap_err();
        assert_eq!(error.status(), 2);
        assert!(!job.out.exists());
        error.to_string()
    };
    assert!(refused(json!({ "budget": ["macs=0%"] })).contains("macs=0%"));
    assert!(refused(json!({ "model": bench.path("none.onnx") })).contains("none.onnx"));
    assert!(refused(json!({ "data": bench.path("none") })).contains("none"));
    assert!(refused(json!({ "device": "cuda:77" })).contains("cuda:77"));
    assert!(refused(json!({ "division": { "train": "night" } })).contains("night"));
}

#[test]
fn a_job_says_which_key_is_wrong() {
    let bench = Bench::new("chain");
    let path = bench.path("job.json");
    let write = |change: (&str, serde_json::Value)| {
        let mut job = serde_json::to_value(bench.job("out", json!({}))).unwrap();
        job[change.0] = change.1;
        std::fs::write(&path, job.to_string()).unwrap();
        Job::open(&path).unwrap_err().to_string()
    };
    assert!(write(("tune", json!({ "epoch": 3 }))).contains("epoch"));
    assert!(write(("tune", json!({ "rate": -1.0 }))).contains("tune.rate"));
    assert!(write(("search", json!({ "robustness": "chernoff" }))).contains("search.csam.draws"));
    assert!(write(("threads", json!(0))).contains("threads"));
}
