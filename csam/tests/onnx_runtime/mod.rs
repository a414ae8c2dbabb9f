//! Compares the torch lowering with ONNX Runtime on a model in memory.

use std::path::Path;

use certify::runtimes::{Batch, Kind, Options, load};
use csam::network::{Lowering, Network, Pass};
use import::Model;
use tch::{Tensor, no_grad};

/// Largest difference of any output over the largest number in it.
pub(crate) fn difference(model: &[u8], batch: &Batch) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model).unwrap();
    difference_of_file(&path, batch)
}

/// The same for a file.
pub(crate) fn difference_of_file(path: &Path, batch: &Batch) -> f64 {
    difference_between(path, &Model::open(path).unwrap(), batch)
}

/// The same for a file in ONNX Runtime and a copy of it in torch.
pub(crate) fn difference_between(path: &Path, copy: &Model, batch: &Batch) -> f64 {
    let theirs = load(Kind::ORT, path, Options::default()).unwrap().run(batch).unwrap();
    let ours = torch(copy, batch);
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().zip(&theirs).map(|(ours, theirs)| {
        let shape: Vec<usize> = ours.size().iter().map(|&extent| extent as usize).collect();
        assert_eq!(shape, theirs.shape, "shape of `{}`", theirs.name);
        let ours = Vec::<f64>::try_from(&ours.to_kind(tch::Kind::Double).contiguous().flatten(0, -1)).unwrap();
        let theirs = theirs.values.to_f64();
        let scale = theirs.iter().fold(f64::MIN_POSITIVE, |all, value| all.max(value.abs()));
        let worst = ours.iter().zip(&theirs).fold(0.0, |all: f64, (a, b)| all.max((a - b).abs()));
        worst / scale
    });
    pairs.fold(0.0, f64::max)
}

/// Runs as many samples at a time as the file fixes, or all.
fn torch(model: &Model, batch: &Batch) -> Vec<Tensor> {
    let network = Network::lower(model, None, Lowering::inference()).unwrap();
    let fed = batch.fed().unwrap().remove(0);
    let shape: Vec<i64> = fed.shape.iter().map(|&extent| extent as i64).collect();
    let input = Tensor::from_slice(&fed.values.to_f64()).reshape(&shape).to_kind(tch::Kind::Float);
    let size = model.graph.batch().and_then(|batch| batch.value()).unwrap_or(shape[0]);
    assert_eq!(shape[0] % size, 0);
    let parts: Vec<Vec<Tensor>> = (0..shape[0] / size)
        .map(|part| input.narrow(0, part * size, size))
        .map(|part| no_grad(|| network.forward(&[part], &mut Pass::default()).unwrap()))
        .collect();
    let outputs = parts[0].len();
    (0..outputs).map(|at| join(parts.iter().map(|part| &part[at]).collect())).collect()
}

fn join(parts: Vec<&Tensor>) -> Tensor {
    if let [only] = parts[..] { only.shallow_clone() } else { Tensor::cat(&parts, 0) }
}

/// Numbers between −1 and 1 that look random and are the same everywhere.
pub(crate) fn drawn(shape: &[usize]) -> Batch {
    Batch::new(shape.to_vec(), numbers(shape)).unwrap()
}

/// The numbers of [`drawn`].
pub(crate) fn numbers(shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let draw = |i: usize| {
        let wave = (i as f64 * 12.9898 + 0.5).sin() * 43_758.545_3;
        (2.0 * (wave - wave.floor()) - 1.0) as f32
    };
    (0..count).map(draw).collect()
}
