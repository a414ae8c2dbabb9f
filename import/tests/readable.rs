//! What a file may hold that is not read as numbers, and what must not be mistaken for something it is not.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use bytes::Bytes;
use fixtures::models::{Builder, Dim, int, ints, small};
use import::graph::{Code, Origin};
use import::lanes::Lanes;
use import::proto::onnx::{FunctionProto, ModelProto, SparseTensorProto, TensorProto};
use import::{DType, Model, Tensor};
use prost::Message;

/// The file with changes to its messages.
fn changed(bytes: &[u8], change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut proto = ModelProto::decode(bytes).unwrap();
    change(&mut proto);
    proto.encode_to_vec()
}

fn sizes(model: &Model, value: usize) -> Vec<Option<i64>> {
    let output = model.graph.value(model.graph.outputs[value]);
    output.shape.as_ref().unwrap().iter().map(import::graph::Dim::value).collect()
}

#[test]
fn a_resized_axis_has_the_size_that_the_runtime_gives_it() {
    // ONNX Runtime multiplies in single precision: in double precision these are 4.9999999 and 6.9999998.
    for (size, scale, expected) in [(3, 5.0 / 3.0, 5), (10, 0.7, 7), (8, 2.0, 16), (7, 0.5, 3)] {
        let mut net = Builder::new("resize", 13, 0);
        let x = net.input("x", &[Dim::Is(1), Dim::Is(1), Dim::Is(size)]);
        let scales = net.stored("scales", &[3], &[1.0, 1.0, scale]);
        let y = net.node("Resize", &[&x, "", &scales], Vec::new());
        net.output(&y, &[Dim::Symbol("a"), Dim::Symbol("b"), Dim::Symbol("c")]);
        let model = Model::from_bytes(net.finish().into()).unwrap();
        assert_eq!(sizes(&model, 0)[2], Some(expected), "{size} × {scale}");
    }
}

#[test]
fn a_text_is_a_constant_without_numbers() {
    let text = TensorProto {
        name: Some(Bytes::from_static(b"names")),
        data_type: Some(DType::String.code()),
        dims: vec![2],
        string_data: vec![Bytes::from_static(b"cat"), Bytes::from_static(b"dog")],
        ..TensorProto::default()
    };
    let bytes = changed(&small::chain(), |proto| proto.graph.as_mut().unwrap().initializer.push(text));
    let model = Model::from_bytes(bytes.into()).unwrap();
    let names = model.graph.values.iter().find(|value| value.name == "names").unwrap();
    assert_eq!((names.origin, names.dtype), (Origin::Unread, Some(DType::String)));
    let plain = Model::from_bytes(small::chain().into()).unwrap();
    assert_eq!(Lanes::of(&model.graph, &[]).groups.len(), Lanes::of(&plain.graph, &[]).groups.len());
}

#[test]
fn a_constant_node_with_a_text_is_opaque() {
    let mut net = Builder::new("text", 13, 0);
    let text = Tensor { dtype: DType::String, shape: vec![1], data: Bytes::new() };
    let y = net.constant_node(&text);
    net.output(&y, &[Dim::Is(1)]);
    let model = Model::from_bytes(net.finish().into()).unwrap();
    assert_eq!(model.refusals[0].code, Code::UnsupportedForm);
}

#[test]
fn a_sparse_bias_is_cut_as_a_dense_one() {
    let bytes = changed(&small::chain(), |proto| {
        let graph = proto.graph.as_mut().unwrap();
        let bias = graph.initializer.iter().position(|it| it.name() == b"first.bn.bias").unwrap();
        let dense = graph.initializer.remove(bias);
        let indices = Tensor::from_i64(&[8], &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap().to_proto("");
        let sparse = SparseTensorProto { dims: dense.dims.clone(), values: Some(dense), indices: Some(indices) };
        graph.sparse_initializer.push(sparse);
    });
    let model = Model::from_bytes(bytes.into()).unwrap();
    let lanes = Lanes::of(&model.graph, &[]);
    let sizes: Vec<usize> = lanes.groups.iter().map(|group| group.lanes.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 20, "{sizes:?}");
}

#[test]
fn a_squeeze_of_an_axis_that_is_not_1_is_a_contradiction() {
    let mut net = Builder::new("squeeze", 11, 0);
    let list = net.stored("list", &[2, 3], &[0.0; 6]);
    let y = net.node("Squeeze", &[&list], vec![ints("axes", &[0])]);
    net.output(&y, &[Dim::Is(3)]);
    let model = Model::from_bytes(net.finish().into()).unwrap();
    assert_eq!(model.refusals[0].code, Code::Contradiction);
    assert!(Lanes::of(&model.graph, &[]).lanes.is_empty());
}

#[test]
fn a_function_named_like_a_built_in_is_not_the_built_in() {
    for domain in ["", "ai.onnx"] {
        let bytes = changed(&small::chain(), |proto| {
            proto.functions.push(FunctionProto {
                name: Some(Bytes::from_static(b"Relu")),
                domain: Some(Bytes::from_static(domain.as_bytes())),
                ..FunctionProto::default()
            });
        });
        let model = Model::from_bytes(bytes.into()).unwrap();
        assert!(model.refusals.iter().all(|refusal| refusal.op == "Relu"), "{domain}");
        assert_eq!(model.refusals.len(), 2, "{domain}");
    }
}

#[cfg(unix)]
#[test]
fn external_data_behind_a_link_that_leaves_the_folder_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(folder.path().join("secret"), [0; 16]).unwrap();
    std::fs::write(inside.join("data"), [0; 16]).unwrap();
    std::os::unix::fs::symlink("../secret", inside.join("out")).unwrap();
    std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
    std::os::unix::fs::symlink("data", inside.join("within")).unwrap();
    let opened = |location: &str| {
        let path = inside.join("model.onnx");
        std::fs::write(&path, external(location)).unwrap();
        Model::open(&path).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(opened("within"), Ok(()));
    for location in ["out", "up/secret"] {
        assert!(opened(location).unwrap_err().contains("outside the model's folder"), "{location}");
    }
}

/// A model with one tensor of four floats in a file beside it.
fn external(location: &str) -> Vec<u8> {
    use import::proto::onnx::{DataLocation, StringStringEntryProto};
    let mut net = Builder::new("external", 13, 0);
    net.stored("weight", &[4], &[0.0; 4]);
    let y = net.node("Cast", &["weight"], vec![int("to", 1)]);
    net.output(&y, &[Dim::Is(4)]);
    changed(&net.finish(), |proto| {
        let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
        tensor.raw_data = None;
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![StringStringEntryProto {
            key: Some(Bytes::from_static(b"location")),
            value: Some(Bytes::copy_from_slice(Path::new(location).as_os_str().as_encoded_bytes())),
        }];
    })
}
