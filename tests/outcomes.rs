//! What `prune` refuses before any work, what it leaves out, and what it never gives away as a result. A script stands in
//! for `espalier-torch`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use fixtures::models::{Conv, Dim, Init, Layers};
use serde_json::Value;
use support::stage::Stage;
use support::{one_sentence, said};

impl Stage {
    fn report(&self) -> Value {
        serde_json::from_slice(&self.read("run/report.json")).unwrap()
    }

    /// What a command is refused with, before any work and leaving nothing.
    fn refused(&self, more: &[&str]) -> String {
        let before = self.place.names();
        let sentence = one_sentence(&self.prune(more).output().unwrap());
        assert_eq!(self.place.names(), before, "{more:?}");
        sentence
    }
}

/// A network that gives a map of pixels instead of class scores.
fn map() -> Stage {
    let stage = Stage::set();
    let batch = Dim::Symbol("batch");
    let mut net = Layers::new("map", 13, 0, Init::Lively);
    let x = net.pictures(batch, 3, 8);
    let x = net.block("first", &x, 8, Conv::bare(3));
    let x = net.conv("head", &x, 4, Conv::same(1));
    net.builder.output(&x.name, &[batch, Dim::Is(4), Dim::Is(8), Dim::Is(8)]);
    fs::write(&stage.model, net.builder.finish()).unwrap();
    stage
}

#[test]
fn a_network_without_class_scores_is_pruned_without_certificates_and_accuracy() {
    let stage = map();
    let text = stage.good(&["--dry-run"]);
    assert!(text.contains("certificates are not made") && text.contains("time, at most"), "{text}");
    let text = stage.good(&[]);
    assert!(text.contains("certificates are not made") && text.contains("wrote run/slim.onnx"), "{text}");
    let report = stage.report();
    assert!(report["certificates"].is_null() && report["dense"]["accuracy"].is_null());
    assert_eq!(report["answers"][1]["outputs"].as_array().unwrap().len(), 1);
}

#[test]
fn labels_beyond_the_scores_are_refused_unless_labels_are_not_read() {
    let stage = Stage::set();
    for split in ["train", "test"] {
        for class in ["class5", "class6"] {
            for number in 0..3 {
                stage.place.picture(&format!("pictures/{split}/{class}/{number}.ppm"), 8, number * 31);
            }
        }
    }
    assert!(stage.refused(&[]).contains("--no-labels"));
    stage.good(&["--no-labels"]);
    let report = stage.report();
    assert!(report["dense"]["accuracy"].is_null());
    assert_eq!(report["certificates"]["labelled"], false);
}

#[test]
fn runtimes_that_cannot_be_compared_are_refused_before_any_work() {
    let stage = Stage::set();
    assert!(stage.refused(&["--runtimes", "ort"]).contains("named twice"), "beside ort,tract");
    assert!(stage.refused(&["--dry-run", "--runtimes", "tract"]).contains("named twice"));
    let alone = ["verify", &stage.model, "--data", "pictures", "--runtimes", "ort"];
    assert!(stage.place.refused(&alone).contains("fewer than two"));
}

#[test]
fn a_dry_run_counts_no_labels_that_may_not_be_read() {
    let stage = Stage::set();
    assert!(stage.good(&["--dry-run"]).contains(", with labels\n"));
    assert!(stage.good(&["--dry-run", "--no-labels"]).contains(", without labels\n"));
}

#[test]
fn what_is_to_be_kept_has_to_be_there() {
    let stage = Stage::set();
    assert!(stage.refused(&["--keep", "nosuch"]).contains("nosuch"));
}

#[test]
fn settings_that_training_does_not_take_are_refused_before_any_work() {
    let Some(torch) = support::torch() else { return };
    let stage = Stage::set();
    for (wrong, word) in [
        (["--method", "foo"], "foo"),
        (["--epochs", "0"], "epochs"),
        (["--set", "tune.epohcs=3"], "tune.epochs"),
        (["--set", "search.flips=2"], "flips"),
    ] {
        let before = stage.place.names();
        for more in [&[][..], &["--dry-run"]] {
            let output = stage.prune(&[&wrong[..], more].concat()).env("ESPALIER_TORCH", &torch).output().unwrap();
            let sentence = one_sentence(&output);
            assert!(sentence.contains(word), "{wrong:?}: {sentence}");
        }
        assert_eq!(stage.place.names(), before, "{wrong:?}");
    }
}

#[test]
fn pictures_that_cannot_be_divided_are_refused() {
    let stage = Stage::set();
    stage.place.picture("one/0.ppm", 8, 10);
    let before = stage.place.names();
    for more in [&[][..], &["--dry-run"]] {
        one_sentence(&stage.prune_on("one", more).output().unwrap());
    }
    assert_eq!(stage.place.names(), before);
}

#[test]
fn the_answers_stand_first_with_one_verdict_above_them() {
    let stage = Stage::set();
    let text = stage.good(&[]);
    let first = text.lines().next().unwrap();
    assert!(first.contains("of the MACs") && first.contains("points"), "{first}");
    let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
    assert!(place("after tuning") < place("accuracy"), "{text}");
    let report = stage.report();
    assert_eq!(report["answers"][0]["name"], "before tuning");
    assert_eq!(report["verdict"]["line"], first);
    assert!(String::from_utf8(stage.read("run/report.md")).unwrap().starts_with(&format!("# {first}")));
}

impl Stage {
    /// Lets tuning end with these values in a stored list of the model's.
    fn tunes(&self, name: &str, values: &[f32]) {
        let plan = format!(r#"{{"schema": 1, "tensors": [{{"name": "{name}", "shape": "dense"}}]}}"#);
        fs::write(self.place.path("tune.json"), plan).unwrap();
        let (count, size) = (values.len(), 4 * values.len());
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[{count}],"data_offsets":[0,{size}]}}}}"#);
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &values].concat();
        fs::write(self.place.path("tune.safetensors"), bytes).unwrap();
    }

    /// What `prune` prints when nothing is published.
    fn ruined(&self, data: &str) -> String {
        let output = self.prune_on(data, &[]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}{}", said(&output));
        assert!(text.starts_with("RUINED") && text.contains("run/work/tuned.onnx"), "{text}");
        assert!(!self.place.path("run/slim.onnx").exists() && self.place.path("run/work/tuned.onnx").exists());
        assert_eq!(self.report()["verdict"]["ruins"].as_array().unwrap().len(), 1);
        text
    }
}

/// Tuning that ends in weights which are not numbers: status 1, no slim.onnx, and the reason.
#[test]
fn a_network_that_answers_with_no_numbers_is_no_result() {
    let stage = Stage::set();
    stage.tunes("fc.bias", &[f32::NAN; 5]);
    let text = stage.ruined("pictures");
    assert!(text.contains("not finite") && !text.contains("certified, "), "{text}");
    assert!(stage.report()["certificates"].is_null());
}

/// Tuning that ends in one answer for every picture, from a network that tells pictures apart: status 1, no slim.onnx,
/// and no gain in certificates, though nothing is more stable than one answer.
#[test]
fn a_network_that_answers_one_class_to_everything_is_no_result() {
    let mut stage = Stage::set();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/procedural-resnet8.onnx");
    stage.model = model.to_owned();
    let plan = r#"{"schema": 1, "remove": [{"tensor": "layer1.0.conv1.weight", "axis": 0, "indices": [1, 3, 4, 6]}]}"#;
    fs::write(stage.place.path("plan.json"), plan).unwrap();
    let mut biases = [0.0; 10];
    biases[8] = 1000.0;
    stage.tunes("fc.bias", &biases);
    let text = stage.ruined("procedural");
    assert!(text.contains("class 8") && text.contains("collapsed"), "{text}");
    assert!(!text.contains("points\n certified") && !text.contains("+"), "{text}");
}
