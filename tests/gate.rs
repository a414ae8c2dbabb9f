//! What the check of a cut does with files that crash a runtime, and with what does not fit into memory.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use bytes::Bytes;
use fixtures::models::small;
use import::proto::ModelFile;
use import::proto::onnx::{GraphProto, tensor_shape_proto::dimension::Value, type_proto};
use prost::Message;
use support::{Place, said};

/// A small network, changed.
fn changed(place: &Place, name: &str, change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = ModelFile::from_bytes(small::chain().into()).unwrap().proto;
    change(model.graph.as_mut().unwrap());
    fs::write(place.path(name), model.encode_to_vec()).unwrap();
    place.arg(name)
}

#[test]
fn a_runtime_that_crashes_takes_nothing_with_it() {
    let place = Place::new();
    // Optional outputs that are there without a name: ONNX Runtime as it loads the file without its optimiser falls.
    let model = changed(&place, "crashes.onnx", |graph| {
        graph.value_info.clear();
        for node in graph.node.iter_mut().filter(|node| node.op_type.as_deref() == Some(b"BatchNormalization")) {
            node.output.resize(5, Bytes::new());
        }
    });
    let output = place.espalier(&["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"]).output().unwrap();
    let told = said(&output);
    assert!(output.status.success() || (output.status.code() == Some(2) && told.contains("crashed")), "{told}");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_it_runs() {
    let place = Place::new();
    let model = place.model("chain");
    let said = place.refused(&["slim", &model, "--to", "channels=50%", "--memory", "1MB", "-o", "slim.onnx"]);
    assert!(said.contains("memory") && said.contains("--memory"), "{said}");
    let said = place.refused(&["slim", &model, "--to", "channels=50%", "--memory", "much", "-o", "slim.onnx"]);
    assert!(said.contains("4GiB"), "{said}");
}

#[test]
fn a_huge_declared_picture_is_checked_at_a_smaller_size() {
    let place = Place::new();
    let model = changed(&place, "huge.onnx", |graph| {
        graph.value_info.clear();
        let Some(type_proto::Value::TensorType(tensor)) = &mut graph.input[0].r#type.as_mut().unwrap().value else {
            panic!("the input is no tensor");
        };
        let dims = &mut tensor.shape.as_mut().unwrap().dim;
        dims[2].value = Some(Value::DimValue(100_000));
        dims[3].value = Some(Value::DimValue(100_000));
    });
    let done = place.json(&["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"]);
    let notes = done["twin"]["notes"].to_string();
    assert!(notes.contains("instead of the declared size"), "{done}");
    assert!(done["removed"].as_u64().unwrap() > 0);
}
