//! Input that cannot be worked with: one sentence that names it, status 2, nothing left behind.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;

use support::{Place, one_sentence};

#[test]
fn a_file_that_is_cut_short() {
    let place = Place::new();
    let model = place.model("chain");
    let whole = fs::read(&model).unwrap();
    fs::write(&model, &whole[..whole.len() / 2]).unwrap();
    let said = place.refused(&["inspect", &model]);
    assert!(said.contains("chain.onnx") && said.contains("cut short"), "{said}");
}

#[test]
fn a_text_file_and_a_missing_file() {
    let place = Place::new();
    fs::write(place.path("notes.onnx"), "Dear diary,\n").unwrap();
    let said = place.refused(&["slim", "notes.onnx", "--to", "channels=50%", "-o", "out.onnx"]);
    assert!(said.contains("notes.onnx") && said.contains("text"), "{said}");
    let said = place.refused(&["inspect", "nothing.onnx"]);
    assert!(said.contains("nothing.onnx"), "{said}");
}

#[test]
fn an_empty_folder_of_pictures_and_a_missing_one() {
    let place = Place::new();
    let model = place.model("chain");
    fs::create_dir(place.path("empty")).unwrap();
    let said = place.refused(&["eval", &model, "--data", "empty"]);
    assert!(said.contains("empty") && said.contains("no pictures"), "{said}");
    let said = place.refused(&["eval", &model, "--data", "missing"]);
    assert!(said.contains("missing"), "{said}");
    let said = place.refused(&["eval", &model]);
    assert!(said.contains("--data"), "{said}");
}

#[test]
fn pictures_of_another_size() {
    let place = Place::new();
    let model = place.model("chain");
    place.picture("pictures/a/0.ppm", 9, 10);
    place.picture("pictures/b/0.ppm", 9, 20);
    let said = place.refused(&["eval", &model, "--data", "pictures"]);
    assert!(said.contains("9x9") && said.contains("8x8"), "{said}");
}

#[test]
fn a_class_folder_that_training_does_not_have() {
    let place = Place::new();
    let model = place.model("chain");
    for folder in ["train/a", "train/b", "test/a", "test/zebra"] {
        place.picture(&format!("pictures/{folder}/0.ppm"), 8, 10);
    }
    let said = place.refused(&["eval", &model, "--data", "pictures"]);
    assert!(said.contains("zebra"), "{said}");
}

#[test]
fn more_classes_than_the_model_has() {
    let place = Place::new();
    let model = place.model("chain");
    for class in 0..7 {
        place.picture(&format!("pictures/class{class}/0.ppm"), 8, 10);
    }
    let said = place.refused(&["eval", &model, "--data", "pictures"]);
    assert!(said.contains('5'), "{said}");
}

#[test]
fn budgets_that_make_no_sense() {
    let place = Place::new();
    let model = place.model("chain");
    for (budget, word) in [
        ("macs=0%", "more than 0 %"),
        ("macs=200%", "at most 100 %"),
        ("macs", "macs=50%"),
        ("speed=50%", "speed"),
        ("macs=0.1%", "cannot be met"),
    ] {
        let said = place.refused(&["slim", &model, "--to", budget, "-o", "out.onnx"]);
        assert!(said.contains(word), "{budget}: {said}");
    }
    let said = place.refused(&["slim", &model, "-o", "out.onnx"]);
    assert!(said.contains("--to"), "{said}");
}

#[test]
fn an_output_that_cannot_be_written() {
    let place = Place::new();
    let model = place.model("chain");
    fs::write(place.path("file"), "").unwrap();
    for out in ["missing/out.onnx", "file/out.onnx", "."] {
        let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", out]);
        assert!(said.contains("cannot write"), "{out}: {said}");
    }
    let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", &model]);
    assert!(said.contains("never changed"), "{said}");
}

/// A limit on the size of files stands for a full disk: writes fail in the middle, as on one.
#[test]
fn a_disk_that_fills_up() {
    let place = Place::new();
    place.model("chain");
    let before = place.names();
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$0\" slim chain.onnx --to channels=90% -o out.onnx";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_espalier")])
        .current_dir(place.path("."))
        .output()
        .unwrap();
    let said = one_sentence(&output);
    assert!(said.contains("cannot write"), "{said}");
    assert_eq!(place.names(), before);
}

#[test]
fn settings_that_are_none() {
    let place = Place::new();
    let model = place.model("chain");
    fs::write(place.path("espalier.toml"), "threads = 2\n[input]\nmeen = [0.5]\n").unwrap();
    let said = place.refused(&["inspect", &model]);
    assert!(said.contains("espalier.toml` line 3") && said.contains("meen"), "{said}");
    let said = place.refused(&["inspect", &model, "--config", "other.toml"]);
    assert!(said.contains("other.toml"), "{said}");
}

#[test]
fn a_certificate_that_can_never_hold() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    let said = place.refused(&["certify", &model, "--data", &data, "--draws", "10"]);
    assert!(said.contains("never certify"), "{said}");
}

#[test]
fn a_plan_for_another_model() {
    let place = Place::new();
    let model = place.model("chain");
    let plan = r#"{"schema": 1, "remove": [{"tensor": "nobody", "axis": 0, "indices": [0]}]}"#;
    fs::write(place.path("plan.json"), plan).unwrap();
    let said = place.refused(&["slim", &model, "--plan", "plan.json", "-o", "out.onnx"]);
    assert!(said.contains("nobody"), "{said}");
}
