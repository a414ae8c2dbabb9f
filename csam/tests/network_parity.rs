//! Whole networks against ONNX Runtime.
#![allow(clippy::unwrap_used)]

mod onnx_runtime;

use std::path::Path;

use fixtures::{
    models::{random, resnet, small},
    needs,
};
use import::Model;
use import::batch::{Freed, free};
use onnx_runtime::{difference, difference_between, difference_of_file, drawn};

const FP32: f64 = 1e-4;
const FP16: f64 = 1e-2;

#[test]
fn fixtures_compute_what_onnx_runtime_computes() {
    let all = [small::all(), small::scoped()].into_iter().flatten();
    for (name, bytes) in all.filter(|(name, _)| *name != "opaque") {
        for batch in [1, 4] {
            let found = difference(&bytes, &drawn(&[batch, 3, 8, 8]));
            assert!(found < FP32, "{name} at batch {batch}: {found:e}");
        }
    }
}

/// The runtime sums some products as integers that the file sums as floats, so that a rounding may fall the other way.
const ROUNDED: f64 = 1e-2;

#[test]
fn quantised_networks_compute_what_onnx_runtime_computes() {
    for (name, bytes) in small::quantized() {
        let found = difference(&bytes, &drawn(&[4, 3, 8, 8]));
        assert!(found < ROUNDED, "{name}: {found:e}");
    }
}

#[test]
fn random_networks_compute_what_onnx_runtime_computes() {
    for seed in 0..30 {
        let found = difference(&random::network(seed), &drawn(&[3, 3, 8, 8]));
        assert!(found < FP32, "seed {seed}: {found:e}");
    }
}

#[test]
fn residual_networks_compute_what_onnx_runtime_computes() {
    for depth in [8, 20] {
        let found = difference(&resnet::cifar(depth, 10, 3), &drawn(&[2, 3, 32, 32]));
        assert!(found < FP32, "depth {depth}: {found:e}");
    }
}

/// Third-party classifiers whose operators the table covers, with the tolerance of their element type.
const CLASSIFIERS: &[(&str, f64)] = &[
    ("cifar10-resnet20-bn", FP32),
    ("cifar10-resnet20", FP32),
    ("cifar10-resnet32", FP32),
    ("cifar100-resnet32", FP32),
    ("cifar10-allconv", FP32),
    ("cifar10-resnet-robust-sri-a", FP32),
    ("cifar10-nhwc-conv-large", FP32),
    ("mnist-cntk", FP32),
    ("mnist-pytorch-bn", FP32),
    ("mnist-dynamo", FP32),
    ("ocr-char-16x16-tf2onnx", FP32),
    ("mesonet-deepfake-tf2onnx", FP32),
    ("residual-block-caffe2", FP32),
    ("squeezenet-fp16", FP16),
];

#[test]
fn third_party_classifiers_compute_what_onnx_runtime_computes() {
    for (name, tolerance) in CLASSIFIERS {
        let Some(path) = needs::shared(&format!("models/{name}.onnx")) else { return };
        for batch in [1, 4] {
            let found = difference_of_file(&path, &drawn(&sample_shape(&path, batch)));
            assert!(found < *tolerance, "{name} at batch {batch}: {found:e}");
        }
        let bytes = match free(&Model::open(&path).unwrap().file, true).unwrap() {
            Freed::Already => continue,
            Freed::Copy { bytes, .. } => bytes,
            Freed::Stuck { batch } => panic!("{name}: its batch of {batch} cannot be freed"),
        };
        let copy = Model::from_bytes(bytes).unwrap();
        let found = difference_between(&path, &copy, &drawn(&sample_shape(&path, 4)));
        assert!(found < *tolerance, "{name} with its batch freed: {found:e}");
    }
}

fn sample_shape(path: &Path, batch: usize) -> Vec<usize> {
    let graph = Model::open(path).unwrap().graph;
    let shape = graph.value(graph.inputs[0]).shape.clone().unwrap();
    let sample = shape.iter().skip(1).map(|dim| dim.extent().unwrap());
    std::iter::once(batch).chain(sample).collect()
}
