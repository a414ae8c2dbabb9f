//! Which pictures each command reads, seen by damaging the others: a command that opened one of those would fail.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use images::data::{self, Choice, ForTraining, ImageSet};
use support::{Place, said};

/// A folder of class folders without splits.
fn unsplit(place: &Place) -> String {
    for class in 0..5u8 {
        for number in 0..8 {
            place.picture(&format!("pictures/class{class}/{number}.ppm"), 8, class * 50 + number * 5);
        }
    }
    place.arg("pictures")
}

/// The files of what is measured, and of what is trained on or watched.
fn files(data: &str) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let division = data::open(data.as_ref()).unwrap().divide(&Choice::default()).unwrap();
    let training = division.training.unwrap();
    let of = |set: &ImageSet| (0..set.len()).map(|index| PathBuf::from(set.picture_name(index))).collect::<Vec<_>>();
    (of(&division.measure), [of(training.train.pictures()), of(training.validation.pictures())].concat())
}

fn damage(files: &[PathBuf]) {
    files.iter().for_each(|file| fs::write(file, "P6\n8 8\n255\n").unwrap());
}

#[test]
fn figures_come_from_the_measured_pictures_alone() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), unsplit(&place));
    let (measured, training) = files(&data);
    damage(&training);
    let certify = ["certify", &model, "--data", &data, "--draws", "90", "--images", "5", "--laws", "noise"];
    let commands = [vec!["eval", &model, "--data", &data], certify.to_vec()];
    for arguments in &commands {
        place.good(arguments);
    }
    damage(&measured);
    for arguments in &commands {
        assert!(!place.espalier(arguments).output().unwrap().status.success(), "{arguments:?}");
    }
}

#[test]
fn eval_says_what_it_measured_and_refuses_a_split_for_two_purposes() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), unsplit(&place));
    let output = place.espalier(&["eval", &model, "--data", &data]).output().unwrap();
    assert!(said(&output).contains("held out by their names (division seed 0)"), "{}", said(&output));
    // Another seed of the run measures the same pictures; another seed of the division does not.
    let measured = |more: &[&str]| place.json(&[&["eval", &model, "--data", &data], more].concat())["measured"].clone();
    assert_eq!(measured(&[]), measured(&["--seed", "9"]));
    assert_ne!(measured(&[]), measured(&["--division-seed", "9"]));
    support::stand_in(&place);
    let train = |more: &[&str]| {
        let arguments = [&["train", &model, "--data", &data, "-o", "trained.onnx"], more].concat();
        place.espalier(&arguments).env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap()
    };
    let both = train(&["--measure-split", "all"]);
    assert!(said(&both).contains("both trained on and measured"), "{}", said(&both));
    let unclear = train(&["--split", "test"]);
    assert!(
        said(&unclear).contains("--train-split") && said(&unclear).contains("--measure-split"),
        "{}",
        said(&unclear)
    );
    assert!(!place.path("trained.onnx.run").exists());
}

#[test]
fn training_gets_the_same_choice_as_measuring() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), unsplit(&place));
    support::stand_in(&place);
    fs::write(place.path("plan.json"), r#"{"schema": 1}"#).unwrap();
    let run = |arguments: &[&str]| {
        let choice = ["--data", &data, "--division-seed", "3"];
        let mut command = place.espalier(&[arguments, &choice].concat());
        let output = command.env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap();
        said(&output)
    };
    run(&["train", &model, "-o", "trained.onnx"]);
    run(&["prune", &model, "--to", "macs=90%", "-o", "run", "--preset", "off"]);
    for job in ["trained.onnx.run/work/train.job.json", "run/work/search.job.json"] {
        let job: serde_json::Value = serde_json::from_str(&fs::read_to_string(place.path(job)).unwrap()).unwrap();
        assert_eq!(job["division"], serde_json::json!({ "train": null, "measure": null, "seed": 3 }));
    }
}

#[test]
fn a_run_whose_pictures_have_changed_is_not_resumed() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), unsplit(&place));
    support::stand_in(&place);
    let train = |more: &[&str]| {
        let arguments = [&["train", &model, "--data", &data, "-o", "trained.onnx"], more].concat();
        place.espalier(&arguments).env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap()
    };
    assert!(train(&[]).status.success());
    assert!(train(&["--resume"]).status.success());
    let (measured, training) = files(&data);
    let changed = |file: &PathBuf| {
        let before = fs::read(file).unwrap();
        let mut bytes = before.clone();
        bytes[20] ^= 1;
        fs::write(file, bytes).unwrap();
        let output = train(&["--resume"]);
        fs::write(file, before).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    };
    assert!(changed(&training[0]).contains("trained.files"));
    assert!(changed(&measured[0]).contains("measured.files"));
    assert!(train(&["--resume"]).status.success());
}

#[test]
fn the_whole_way_trains_and_measures_different_pictures() {
    let Some(torch) = support::torch() else { return };
    let place = Place::new();
    let (model, data) = (place.model("chain"), unsplit(&place));
    let few = ["--epochs", "1", "--batch", "8", "--set", "tune.warm_up=1", "--threads", "1"];
    let train = |out: &str| {
        let arguments = [&["train", &model, "--data", &data, "-o", out], &few[..]].concat();
        place.espalier(&arguments).env("ESPALIER_TORCH", &torch).output().unwrap()
    };
    damage(&files(&data).0);
    let trained = train("a.onnx");
    assert!(trained.status.success(), "{}", said(&trained));
    damage(&files(&data).1[..1]);
    assert!(!train("b.onnx").status.success());
}
