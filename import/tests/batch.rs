//! Models with a fixed batch get a copy that takes any.
#![allow(clippy::unwrap_used)]

use fixtures::models::{Builder, Dim, int, ints, small, tensors};
use import::batch::{Freed, free};
use import::proto::ModelFile;
use import::{Model, Tensor};

#[test]
fn samples_are_found_on_the_axis_where_they_lie() {
    let axes = |bytes: Vec<u8>| {
        let graph = Model::from_bytes(bytes.into()).unwrap().graph;
        graph.inputs.iter().map(|&input| graph.batch_axis(input)).collect::<Vec<_>>()
    };
    assert_eq!(axes(tensors::board(Dim::Symbol("batch"))), [Some(0)]);
    assert_eq!(axes(tensors::masked()), [Some(0), Some(0)]);
    assert_eq!(axes(tensors::sequence_first()), [Some(1)]);
    assert_eq!(axes(tensors::levels()), [Some(0), Some(0), None]);
    // A single axis of a fixed size is one sample.
    let mut net = Builder::new("vector", 13, 0);
    let x = net.input("x", &[Dim::Is(12)]);
    let y = net.node("Relu", &[&x], vec![]);
    net.output(&y, &[Dim::Is(12)]);
    assert_eq!(axes(net.finish()), [None]);
}

#[test]
fn a_free_batch_needs_no_copy() {
    let file = ModelFile::from_bytes(small::chain().into()).unwrap();
    assert!(matches!(free(&file, false).unwrap(), Freed::Already));
}

#[test]
fn a_reshape_that_names_the_batch_is_freed() {
    let file = ModelFile::from_bytes(small::fixed_batch().into()).unwrap();
    let Freed::Copy { bytes, batch } = free(&file, false).unwrap() else { panic!("not freed") };
    assert_eq!(batch, 1);
    let copy = Model::from_bytes(bytes).unwrap();
    assert!(copy.refusals.is_empty(), "{:?}", copy.refusals);
    assert!(copy.graph.batch().unwrap().value().is_none());
    let output = copy.graph.value(copy.graph.outputs[0]).shape.clone().unwrap();
    assert_eq!(output[0], *copy.graph.batch().unwrap());
    let names = |bytes: bytes::Bytes| {
        let graph = ModelFile::from_bytes(bytes).unwrap().proto.graph.unwrap();
        graph.initializer.iter().map(|it| String::from_utf8_lossy(it.name()).into_owned()).collect::<Vec<_>>()
    };
    let Freed::Copy { bytes, .. } = free(&file, false).unwrap() else { panic!("not freed") };
    assert_eq!(names(bytes).len(), names(file.bytes.clone()).len(), "the old list went as the new one came");
}

#[test]
fn a_reshape_that_merges_the_batch_with_channels_is_freed() {
    // How some exporters write a channel shuffle: [1, 8, 4, 4] as [1·4, 2, 16], turned, and back as [2, 1, 4, 4, 4].
    let mut net = Builder::new("shuffle", 13, 2);
    let x = net.input("x", &[1, 8, 4, 4].map(Dim::Is));
    let [merged, apart] =
        [[4, 2, 16].as_slice(), &[2, -1, 4, 4, 4]].map(|list| net.integers(&list.len().to_string(), list));
    let x = net.node("Reshape", &[&x, &merged], vec![]);
    let x = net.node("Transpose", &[&x], vec![ints("perm", &[1, 0, 2])]);
    let x = net.node("Reshape", &[&x, &apart], vec![]);
    let first = net.constant_node(&Tensor::from_i64(&[], &[0]).unwrap());
    let x = net.node("Gather", &[&x, &first], vec![int("axis", 0)]);
    net.output(&x, &[1, 4, 4, 4].map(Dim::Is));
    let file = ModelFile::from_bytes(net.finish().into()).unwrap();
    let Freed::Copy { bytes, .. } = free(&file, false).unwrap() else { panic!("not freed") };
    let graph = Model::from_bytes(bytes).unwrap().graph;
    let output = graph.value(graph.outputs[0]).shape.clone().unwrap();
    assert_eq!(output[0], *graph.batch().unwrap());
}
