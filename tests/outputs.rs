//! Where `-o` writes: through links, to standard output, and never over something else that is needed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use fixtures::models::small;
use support::Place;

/// A model whose weights lie in `weights.bin` beside it.
fn with_data_file(place: &Place, name: &str) -> String {
    use import::proto::onnx::{DataLocation, StringStringEntryProto};
    use prost::Message;

    let mut model = import::proto::ModelFile::from_bytes(small::chain().into()).unwrap().proto;
    let mut data = Vec::new();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        let raw = tensor.raw_data.take().unwrap();
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned().into()),
            value: Some(value.into()),
        };
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![
            entry("location", "weights.bin".to_owned()),
            entry("offset", data.len().to_string()),
            entry("length", raw.len().to_string()),
        ];
        data.extend_from_slice(&raw);
    }
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_file_name("weights.bin"), data).unwrap();
    fs::write(&path, model.encode_to_vec()).unwrap();
    place.arg(name)
}

/// One tensor is cut, the others stay in the data file.
fn plan(place: &Place) -> String {
    let plan = r#"{"schema": 1, "remove": [{"tensor": "first.conv.weight", "axis": 0, "indices": [0, 5]}]}"#;
    fs::write(place.path("plan.json"), plan).unwrap();
    place.arg("plan.json")
}

#[test]
fn weights_of_the_model_are_never_written_over() {
    let place = Place::new();
    let model = with_data_file(&place, "a/model.onnx");
    let weights = fs::read(place.path("a/weights.bin")).unwrap();
    for out in ["a/weights.bin", "a/../a/weights.bin"] {
        let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", out]);
        assert!(said.contains("weights.bin") && said.contains("never changed"), "{said}");
    }
    symlink("weights.bin", place.path("a/link.onnx")).unwrap();
    place.refused(&["slim", &model, "--to", "channels=50%", "-o", "a/link.onnx"]);
    assert_eq!(fs::read(place.path("a/weights.bin")).unwrap(), weights);
}

#[test]
fn weights_of_another_model_are_never_written_over() {
    let place = Place::new();
    let model = with_data_file(&place, "a/model.onnx");
    let plan = plan(&place);
    fs::create_dir(place.path("b")).unwrap();
    fs::write(place.path("b/weights.bin"), "of another model").unwrap();
    let said = place.refused(&["slim", &model, "--plan", &plan, "-o", "b/slim.onnx"]);
    assert!(said.contains("weights.bin") && said.contains("another folder"), "{said}");
    assert_eq!(fs::read(place.path("b/weights.bin")).unwrap(), b"of another model");
    assert!(!place.path("b/slim.onnx").exists());
    // The same file there already is no hindrance, and what is needed comes along.
    fs::create_dir(place.path("c")).unwrap();
    for _ in 0..2 {
        place.good(&["slim", &model, "--plan", &plan, "-o", "c/slim.onnx"]);
    }
    place.good(&["inspect", "c/slim.onnx"]);
}

#[test]
fn what_a_command_reads_and_what_is_no_model_stays() {
    let place = Place::new();
    let model = place.model("chain");
    let plan = plan(&place);
    let said = place.refused(&["slim", &model, "--plan", &plan, "-o", &plan]);
    assert!(said.contains("plan.json"), "{said}");
    fs::write(place.path("thesis.tex"), "Chapter 1").unwrap();
    let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", "thesis.tex"]);
    assert!(said.contains("thesis.tex") && said.contains("no model"), "{said}");
    assert_eq!(fs::read(place.path("thesis.tex")).unwrap(), b"Chapter 1");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let place = Place::new();
    let model = place.model("chain");
    fs::create_dir(place.path("far")).unwrap();
    fs::copy(&model, place.path("far/old.onnx")).unwrap();
    symlink("far/old.onnx", place.path("link.onnx")).unwrap();
    symlink("far/new.onnx", place.path("dangling.onnx")).unwrap();
    for (link, end) in [("link.onnx", "far/old.onnx"), ("dangling.onnx", "far/new.onnx")] {
        place.good(&["slim", &model, "--to", "channels=50%", "-o", link]);
        assert!(fs::symlink_metadata(place.path(link)).unwrap().is_symlink(), "{link}");
        assert!(fs::metadata(place.path(end)).unwrap().len() < fs::metadata(&model).unwrap().len(), "{link}");
    }
}

#[test]
fn devices_pipes_and_folders_are_refused_and_a_dash_is_standard_output() {
    let place = Place::new();
    let model = place.model("chain");
    let listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for (out, what) in [("/dev/null", "device"), ("socket", "socket"), (".", "folder")] {
        let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", out]);
        assert!(said.contains(what), "{out}: {said}");
    }
    drop(listener);
    // Standard output is a pipe here.
    let said = place.refused(&["slim", &model, "--to", "channels=50%", "-o", "/dev/stdout"]);
    assert!(said.contains("pipe") && said.contains('-'), "{said}");
    place.good(&["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"]);
    let output = place.espalier(&["slim", &model, "--to", "channels=50%", "-o", "-"]).output().unwrap();
    assert!(output.status.success(), "{}", support::said(&output));
    assert_eq!(output.stdout, fs::read(place.path("slim.onnx")).unwrap());
    assert!(support::said(&output).contains("removed"), "{}", support::said(&output));
}
