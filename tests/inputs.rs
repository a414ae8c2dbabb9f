//! Networks that read something else than pictures, through the command line.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::Write as _;

use fixtures::needs;
use serde_json::Value;
use support::{Place, stand_in};
use zip::{ZipWriter, write::FileOptions};

/// The bytes of an `.npy` file.
fn npy(dtype: &str, shape: &[usize], elements: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), elements].concat()
}

/// Floats that look random.
fn floats(shape: &[usize], from: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let wave = |at: usize| ((((from + at) as f32) * 12.9898).sin() * 43_758.547).fract();
    npy("<f4", shape, &(0..count).flat_map(|at| wave(at).to_le_bytes()).collect::<Vec<_>>())
}

fn integers(values: &[i64]) -> Vec<u8> {
    npy("<i8", &[values.len()], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

fn npz(place: &Place, name: &str, arrays: &[(&str, Vec<u8>)]) -> String {
    let mut archive = ZipWriter::new(File::create(place.path(name)).unwrap());
    for (key, bytes) in arrays {
        archive.start_file(format!("{key}.npy"), FileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    place.arg(name)
}

#[test]
fn runtimes_agree_on_random_inputs_of_every_kind() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let cases: [(&str, &[&str]); 5] = [
        ("audio", &["--input", "normal"]),
        ("board", &["--input", "board=ints:0:1"]),
        ("volume", &["--input", "volume=uniform:-1:1"]),
        ("masked", &["--input", "x=normal", "--input", "mask=ints:0:1"]),
        ("levels", &["--input", "x=normal:2:0.5", "--input", "on=ints:0:1", "--input", "level=ints:1:4"]),
    ];
    for (name, inputs) in cases {
        let model = place.model(name);
        let common = ["verify", model.as_str(), "--samples", "9", "--runtimes", "ort,tract"];
        let found = place.json(&[&common[..], inputs].concat());
        assert_eq!((&found["passed"], &found["samples"]), (&Value::Bool(true), &Value::from(9)), "{name}: {found}");
    }
}

#[test]
fn arrays_feed_the_inputs_that_their_keys_name() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let model = place.model("masked");
    let arrays = [("mask", floats(&[7, 1, 16], 5)), ("x", floats(&[7, 4, 16], 0))];
    let data = npz(&place, "both.npz", &arrays);
    let verify = ["verify", model.as_str(), "--runtimes", "ort,tract", "--data"];
    let found = place.json(&[&verify[..], &[data.as_str()]].concat());
    assert_eq!((&found["passed"], &found["samples"]), (&Value::Bool(true), &Value::from(7)));
    // One that is drawn beside one that is read.
    let data = npz(&place, "x.npz", &arrays[1..]);
    place.good(&[&verify[..], &[data.as_str(), "--input", "mask=ints:0:1"]].concat());
    let missing = place.refused(&[&verify[..], &[data.as_str()]].concat());
    assert!(missing.contains("no array `mask`, only x") && missing.contains("--input mask="), "{missing}");
    let other = npz(&place, "other.npz", &[("mask", floats(&[7, 1, 16], 5)), ("x", floats(&[7, 4, 15], 0))]);
    let wrong = place.refused(&[&verify[..], &[other.as_str()]].concat());
    assert!(wrong.contains("`x` is f32 [4, 15]") && wrong.contains("f32 [4, 16]"), "{wrong}");
}

#[test]
fn seven_planes_of_a_board_are_no_picture() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let model = place.model("board");
    std::fs::write(place.path("boards.npy"), floats(&[6, 7, 3, 3], 0)).unwrap();
    let found = place.json(&["verify", &model, "--data", &place.arg("boards.npy"), "--runtimes", "ort,tract"]);
    assert_eq!((&found["passed"], &found["samples"]), (&Value::Bool(true), &Value::from(6)));
    let error = place.refused(&["verify", &model, "--data", "procedural"]);
    assert!(error.contains("`board` is fed nothing") && error.contains("board=normal"), "{error}");
}

#[test]
fn labels_lie_beside_arrays_or_name_their_folders() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    let model = place.model("audio");
    let labels: Vec<i64> = (0..20).map(|sample| sample % 5).collect();
    let whole = npz(&place, "audio.npz", &[("audio", floats(&[20, 1, 64], 0)), ("labels", integers(&labels))]);
    let eval = |data: &str| place.json(&["eval", &model, "--data", data, "--measure-split", "all"]);
    let of_archive = eval(&whole);
    assert_eq!(of_archive["top1"]["of"], 20);

    std::fs::create_dir(place.path("beside")).unwrap();
    std::fs::write(place.path("beside/audio.npy"), floats(&[20, 1, 64], 0)).unwrap();
    std::fs::write(place.path("beside/labels.npy"), integers(&labels)).unwrap();
    assert_eq!(eval(&place.arg("beside"))["top1"], of_archive["top1"]);

    for (sample, label) in labels.iter().enumerate() {
        let folder = place.path(&format!("classes/{label}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{sample:02}.npy")), floats(&[1, 64], sample * 64)).unwrap();
    }
    assert_eq!(eval(&place.arg("classes"))["top1"]["count"], of_archive["top1"]["count"]);
}

#[test]
fn a_shape_counts_the_work_of_what_a_file_leaves_open() {
    let place = Place::new();
    let model = place.model("open-sides");
    let macs = |shape: &[&str]| place.json(&[&["inspect", model.as_str()], shape].concat())["cost"].clone();
    let open = macs(&[]);
    assert_ne!(open["unsized_nodes"], 0);
    let (small, large) = (macs(&["--shape", "1x3x8x16"]), macs(&["--shape", "x=1x3x16x32"]));
    assert_eq!(small["unsized_nodes"], 0);
    // Two convolutions of 3 to 4 and 4 to 5 channels with 3×3 windows.
    assert_eq!(small["macs"], f64::from(8 * 16 * 9 * (3 * 4 + 4 * 5)));
    assert_eq!(large["macs"].as_f64().unwrap(), 4.0 * small["macs"].as_f64().unwrap());
    let wrong = place.refused(&["inspect", &model, "--shape", "1x4x8x8"]);
    assert!(wrong.contains("declared as [batch, 3, height, width]") && wrong.contains("[1, 4, 8, 8]"), "{wrong}");
    let unknown = place.refused(&["inspect", &model, "--shape", "y=1x3x8x8"]);
    assert!(unknown.contains("no input 'y'") && unknown.contains("the inputs are x"), "{unknown}");
    let unread = place.refused(&["inspect", &model, "--shape", "x=1xthree"]);
    assert!(unread.contains("`1xthree` is no shape"), "{unread}");
}

#[test]
fn a_file_that_fixes_eight_samples_costs_what_one_costs_and_is_run_so() {
    let place = Place::new();
    let of = |name: &str| place.json(&["inspect", &place.model(name)])["cost"]["macs"].clone();
    assert_eq!(of("board-of-eight"), of("board"));
    if !needs::onnx_runtime() {
        return;
    }
    let (model, out) = (place.arg("board-of-eight.onnx"), place.arg("free.onnx"));
    let on = |model: &str| {
        let verify = ["verify", model, "--input", "ints:0:1", "--samples", "11", "--runtimes", "ort,tract"];
        assert_eq!(place.json(&verify)["samples"], 11);
    };
    on(&model);
    place.good(&["slim", &model, "--to", "channels=75%", "--free-batch", "-o", &out]);
    let inputs = place.json(&["inspect", &out])["inputs"].to_string();
    assert!(!inputs.contains("[8, 7"), "{inputs}");
    on(&out);
}

#[test]
fn what_is_fed_is_asked_for_by_name() {
    let place = Place::new();
    let model = place.model("masked");
    // Only a comparison of files or runtimes may draw what nobody spoke of.
    let error = place.refused(&["eval", &model, "--against", &model, "--input", "x=normal"]);
    assert!(error.contains("the input `mask` is fed nothing"), "{error}");
    for (arguments, words) in [
        (&["--input", "normal"][..], "several inputs (`x`, `mask`)"),
        (&["--input", "y=normal"], "no input `y`; its inputs are `x`, `mask`"),
        (&["--input", "x=gauss"], "`gauss` is no way to draw numbers"),
        (&["--input", "x=ints:4:2"], "empty or impossible range"),
    ] {
        let error = place.refused(&[&["verify", model.as_str()], arguments].concat());
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_cut_is_checked_on_what_the_network_reads() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    for (name, inputs) in [("volume", "normal"), ("board", "ints:0:1"), ("audio", "normal")] {
        let model = place.model(name);
        let out = place.arg(&format!("{name}.slim.onnx"));
        let slim = ["slim", &model, "--to", "channels=50%", "-o", &out, "--input", inputs];
        let found = place.json(&slim);
        let probes = found["twin"]["probes"].to_string();
        assert!(probes.contains("32 pictures"), "{probes}");
        place.good(&["verify", &out, "--input", inputs, "--samples", "4", "--runtimes", "ort,tract"]);
        place.good(&["eval", &model, "--against", &model, "--input", inputs, "--data", "random:60"]);
    }
}

#[test]
fn a_run_on_random_inputs_says_what_does_not_apply() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    stand_in(&place);
    let model = place.model("masked");
    let plan = r#"{"schema": 1, "remove": [{"tensor": "first.weight", "axis": 0, "indices": [1, 4]}]}"#;
    std::fs::write(place.path("plan.json"), plan).unwrap();
    let inputs = ["--input", "x=normal", "--input", "mask=ints:0:1"];
    let prune = ["prune", &model, "--to", "macs=90%", "-o", "run"];
    let mut command = place.espalier(&[&prune[..], &inputs, &["--runtimes", "ort,tract"]].concat());
    let output = command.env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap();
    assert!(output.status.success(), "{}", support::said(&output));
    let report = std::fs::read_to_string(place.path("run/report.md")).unwrap();
    assert!(report.contains("certificates are not made: they are about transformed pictures"), "{report}");
    assert!(report.contains("`mask` f32 [1, 16] drawn ints:0:1"), "{report}");
    assert!(place.path("run/slim.onnx").exists());
}

#[test]
fn a_series_of_numbers_is_no_row_of_class_scores() {
    if !needs::onnx_runtime() {
        return;
    }
    let place = Place::new();
    for (name, kind) in [("series", "values"), ("audio", "classes")] {
        let model = place.model(name);
        let found = place.json(&["eval", &model, "--against", &model, "--input", "normal", "--data", "random:40"]);
        assert_eq!(found["answers"]["outputs"][0]["kind"], kind, "{name}: {found}");
    }
}
