//! The dry run: what would fail after minutes fails before the first step, in one sentence, and what would not is timed.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder};
use csam::check::check;
use images::intake::Origin;
use job::Job;
use serde_json::{Value, json};

/// What a check of a job on the small residual network says: the facts, or the sentence.
fn checked(bench: &Bench, changes: Value) -> Result<Value, String> {
    let job = bench.job("out", changes);
    let recorder = Recorder::default();
    let outcome = check(&job, recorder.events(), recorder.stop.clone());
    assert!(!job.out.exists(), "a check writes nothing");
    outcome.map(|()| recorder.last()).map_err(|error| error.to_string())
}

/// What reading a job with these changes says.
fn refused(bench: &Bench, section: &str, change: Value) -> String {
    let path = bench.path("job.json");
    let mut job = serde_json::to_value(bench.job("out", json!({}))).unwrap();
    job[section] = change;
    std::fs::write(&path, job.to_string()).unwrap();
    let sentence = Job::open(&path).unwrap_err().to_string();
    assert!(!sentence.contains("job.json"), "a person never sees that file: {sentence}");
    sentence
}

#[test]
fn a_good_job_is_timed() {
    let bench = Bench::new("residual");
    let sections = json!({
        "search": { "epochs": 2.0, "batch": 20, "rounds": 4 }, "tune": { "epochs": 4.0, "batch": 12, "batches": 1 },
    });
    let told = checked(&bench, sections).unwrap();
    assert_eq!((&told["train"], &told["held_out"], &told["labels"]), (&json!(97), &json!(10), &json!(true)));
    assert_eq!((&told["classes"], &told["batch"]), (&json!(5), &json!(12)));
    // Two epochs of 97 pictures, twenty a step; the rest of four epochs, twelve a step.
    assert_eq!((&told["search"]["steps"], &told["tune"]["steps"]), (&json!(10), &json!(16)));
    for phase in ["search", "tune"] {
        let [step, all] = ["seconds_per_step", "seconds"].map(|key| told[phase][key].as_f64().unwrap());
        assert!(step > 0.0 && all > step, "{told}");
    }
    let tune_alone = checked(&bench, json!({ "budget": [], "tune": { "epochs": 1.0, "batch": 12 } })).unwrap();
    assert_eq!((&tune_alone["search"], &tune_alone["tune"]["steps"]), (&Value::Null, &json!(8)));
}

#[test]
fn a_check_says_what_would_fail_later() {
    let bench = Bench::new("residual");
    assert!(checked(&bench, json!({ "keep": ["nosuch"] })).unwrap_err().contains("nosuch"));
    assert!(checked(&bench, json!({ "device": "cuda:77" })).unwrap_err().contains("cuda:77"));
    let taught_by_nobody = json!({ "budget": [], "labels": false });
    assert!(checked(&bench, taught_by_nobody).unwrap_err().contains("no teacher"));
}

/// Values up to 255 into a network trained on values about 1, which gives answers that no training should follow; and
/// the other way round.
#[test]
fn pictures_outside_of_the_networks_range_are_refused() {
    let bench = Bench::new("residual");
    for (scale, wider) in [(1.0, true), (1e-8, false)] {
        let mut job = bench.job("out", json!({}));
        let Origin::Picture(preprocess) = &mut job.inputs.0[0].from else { panic!("no pictures") };
        preprocess.scale = scale;
        preprocess.mean = vec![0.0; 3];
        let recorder = Recorder::default();
        let sentence = check(&job, recorder.events(), recorder.stop.clone()).unwrap_err().to_string();
        assert!(sentence.contains("--scale") && sentence.contains("times as widely"), "{sentence}");
        assert_eq!(sentence.contains("spreads 0."), !wider, "{sentence}");
    }
}

#[test]
fn a_setting_that_does_not_exist_or_does_not_fit_is_named() {
    let bench = Bench::new("residual");
    let sentence = refused(&bench, "tune", json!({ "epohcs": 3 }));
    assert!(sentence.contains("`tune.epohcs`") && sentence.contains("`tune.epochs`"), "{sentence}");
    let sentence = refused(&bench, "search", json!({ "task": { "temprature": 2 } }));
    assert!(sentence.contains("`search.task.temperature`"), "{sentence}");
    let sentence = refused(&bench, "search", json!({ "method": "foo" }));
    assert!(sentence.contains("`search.method`") && sentence.contains("`magnitude`"), "{sentence}");
    let sentence = refused(&bench, "tune", json!({ "epochs": 0 }));
    assert!(sentence.contains("`tune.epochs` is 0"), "{sentence}");
}
