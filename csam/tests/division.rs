//! Which pictures a search and a training read, seen by damaging the others: opening one of those would fail.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Bench, Recorder};
use csam::{CsamError, search::search, tune::tune};
use images::data::{self, Choice, ForTraining, ImageSet};
use job::Job;
use serde_json::{Value, json};

fn damage(set: &ImageSet, count: usize) {
    (0..count).for_each(|index| fs::write(set.picture_name(index), "P6\n8 8\n255\n").unwrap());
}

fn run(job: &Job, command: &'static str) -> Result<(), CsamError> {
    let recorder = Recorder::default();
    match command {
        "search" => search(job, recorder.events(), recorder.stop.clone()),
        name => tune(job, name, recorder.events(), recorder.stop.clone()),
    }
}

fn tuned(job: &Job, recorder: &Recorder) -> Result<(), CsamError> {
    tune(job, "tune", recorder.events(), recorder.stop.clone())
}

#[test]
fn no_command_reads_a_picture_that_is_measured() {
    let bench = Bench::new("chain");
    let division = data::open(&bench.path("data")).unwrap().divide(&Choice::default()).unwrap();
    let training = division.training.unwrap();
    assert!(division.measure.is_held_out());
    damage(&division.measure, division.measure.len());
    let search = |method: &str| json!({ "search": { "method": method, "epochs": 0.3, "batch": 20, "batches": 1 } });
    let tune = || json!({ "teacher": bench.path("model.onnx"), "tune": { "epochs": 1.0, "batch": 20, "batches": 1 } });
    let cases: [(&'static str, Value); 4] = [
        ("search", search("csam")),
        ("search", search("taylor")),
        ("tune", tune()),
        ("train", json!({ "fresh": true, "tune": { "epochs": 1.0, "batch": 20 } })),
    ];
    for (at, (command, changes)) in cases.iter().enumerate() {
        run(&bench.job(&format!("out{at}"), changes.clone()), command).unwrap();
    }
    damage(training.validation.pictures(), 1);
    assert!(run(&bench.job("watched", tune()), "tune").is_err(), "the training is watched by these");
    damage(training.train.pictures(), 1);
    assert!(run(&bench.job("trained", search("csam")), "search").is_err(), "the search reads these");
}

#[test]
fn a_checkpoint_of_other_pictures_is_not_continued() {
    let bench = Bench::new("chain");
    let tune = json!({ "epochs": 1.0, "batch": 20, "batches": 1 });
    let teacher = bench.path("model.onnx");
    let checkpoint = bench.path("checkpoint");
    let job = |out: &str| {
        let more = json!({ "teacher": teacher, "checkpoint": checkpoint, "resume": true, "tune": tune });
        bench.job(out, more)
    };
    let recorder = Recorder::until("tune", 2);
    let stopped = tuned(&job("out"), &recorder).unwrap_err();
    assert!(matches!(stopped, CsamError::Interrupted { .. }), "{stopped}");
    let training = data::open(&bench.path("data")).unwrap().divide(&Choice::default()).unwrap().training.unwrap();
    let picture = training.train.pictures().picture_name(0);
    let before = fs::read(&picture).unwrap();
    let mut bytes = before.clone();
    bytes[40] ^= 1;
    fs::write(&picture, bytes).unwrap();
    let refused = run(&job("out"), "tune").unwrap_err();
    assert!(matches!(refused, CsamError::OtherCheckpoint { .. }), "{refused}");
    fs::write(&picture, before).unwrap();
    run(&job("out"), "tune").unwrap();
}
