//! The gate on cuts with one planted error each: it has to catch every one, in every rule that ties channels.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use export::{CutAxis, Tensors, Twin};
use fixtures::{
    models::{Conv, Dim, Feature, Init, Layers, int, ints},
    needs,
};
use import::{
    Model, Tensor,
    lanes::{Plan, Replacement, TensorShape},
    proto::splice::{Edits, INITIALIZER},
};
use support::{Case, cases, run, twin_of};

const BATCH: Dim = Dim::Symbol("batch");

/// Channels with slopes of their own, and channels that go last.
fn further() -> Vec<Case> {
    let mut net = Layers::new("prelu", 13, 0, Init::Lively);
    let x = net.pictures(BATCH, 3, 8);
    let x = net.block("first", &x, 8, Conv::bare(3));
    let x = net.conv("second", &x, 6, Conv::same(3));
    let slopes = net.builder.drawn("slopes", &[6, 1, 1], 0.3, 0.1);
    let name = net.builder.node("PRelu", &[&x.name, &slopes], vec![]);
    let prelu = net.classify(&Feature { name, channels: 6 }, 5, BATCH);

    let mut net = Layers::new("channels-last", 13, 0, Init::Lively);
    let x = net.pictures(BATCH, 3, 8);
    let x = net.block("first", &x, 8, Conv::bare(3));
    let last = net.builder.node("Transpose", &[&x.name], vec![ints("perm", &[0, 2, 3, 1])]);
    let weight = net.builder.drawn("mix", &[8, 6], 0.0, 0.5);
    let mixed = net.builder.node("MatMul", &[&last, &weight], vec![]);
    let name = net.builder.node("Transpose", &[&mixed], vec![ints("perm", &[0, 3, 1, 2])]);
    let x = net.block("after", &Feature { name, channels: 6 }, 6, Conv::bare(1));
    let channels_last = net.classify(&x, 5, BATCH);

    let mut net = Layers::new("reshape", 13, 0, Init::Lively);
    let x = net.pictures(BATCH, 3, 8);
    let x = net.block("first", &x, 6, Conv::bare(3));
    let x = net.halve(&x);
    let shape = net.builder.integers("flat", &[0, 96]);
    let flat = net.builder.node("Reshape", &[&x.name, &shape], vec![]);
    let scores = net.linear("fc", &flat, 96, 5);
    let reshape = net.finish(&scores, BATCH);
    let mut net = Layers::new("transposed", 13, 0, Init::Lively);
    let x = net.pictures(BATCH, 3, 8);
    let mut x = net.block("first", &x, 8, Conv::bare(3));
    for (name, groups) in [("plain", 1), ("lockstep", 2), ("whole", 8)] {
        let weight = net.builder.drawn(&format!("{name}.weight"), &[8, 8 / groups as usize, 3, 3], 0.0, 0.2);
        let bias = net.builder.drawn(&format!("{name}.bias"), &[8], 0.0, 0.2);
        let attributes = vec![int("group", groups), ints("pads", &[1; 4])];
        x.name = net.builder.node("ConvTranspose", &[&x.name, &weight, &bias], attributes);
    }
    let transposed = net.classify(&x, 5, BATCH);
    vec![
        Case::new("transposed", transposed),
        Case::new("prelu", prelu),
        Case::new("channels-last", channels_last),
        Case::new("reshape", reshape),
    ]
}

/// An error in the cut of one tensor along one axis.
#[derive(Clone, Copy, Debug)]
enum Planted {
    /// Two lanes change places.
    Swapped,
    /// A removed lane stands where a kept one should.
    WrongIndex,
}

impl Planted {
    /// The kept indices with the error in them; `None` where there is no room for it.
    fn in_kept(self, cut: &CutAxis) -> Option<Vec<usize>> {
        let mut kept = cut.kept.clone();
        match self {
            Self::Swapped if kept.len() > 1 => kept.swap(0, 1),
            Self::WrongIndex => kept[0] = (0..cut.dense).find(|index| !cut.kept.contains(index))?,
            Self::Swapped => return None,
        }
        Some(kept)
    }
}

/// The tensor with only the `kept` indices of an axis.
fn take(tensor: &Tensor, axis: usize, kept: &[usize]) -> Tensor {
    let inner: usize = tensor.shape[axis + 1..].iter().product::<usize>() * tensor.dtype.bits() / 8;
    let blocks = tensor.data.chunks_exact(inner * tensor.shape[axis]);
    let data: Vec<u8> = blocks.flat_map(|b| kept.iter().flat_map(|&i| b[i * inner..][..inner].to_vec())).collect();
    let mut shape = tensor.shape.clone();
    shape[axis] = kept.len();
    Tensor { dtype: tensor.dtype, shape, data: data.into() }
}

/// The twin of a plan with a slim file of which one tensor is cut wrongly; `None` where that changes nothing.
fn planted(case: &Case, plan: &Plan, record: &[CutAxis], at: usize, error: Planted) -> Option<Twin> {
    let wrong = error.in_kept(&record[at])?;
    let name = &record[at].tensor;
    let stored = &case.model.graph.stored(case.model.graph.find_stored(name).unwrap()).tensor;
    let cut = |wrong: Option<&[usize]>| {
        record.iter().enumerate().filter(|(_, cut)| cut.tensor == *name).fold(stored.clone(), |tensor, (i, cut)| {
            let kept = wrong.filter(|_| i == at).unwrap_or(&cut.kept);
            take(&tensor, cut.axis, kept)
        })
    };
    let (right, wrong) = (cut(None), cut(Some(&wrong)));
    if right == wrong {
        return None;
    }
    let mut other = plan.clone();
    other.tensors.push(Replacement { name: name.clone(), shape: TensorShape::Slim });
    let mut twin = twin_of(case, plan, &Tensors::default());
    twin.slim = twin_of(case, &other, &[(name.clone(), wrong)].into_iter().collect()).slim;
    Some(twin)
}

#[test]
fn every_wrong_index_and_every_swapped_lane_is_caught() {
    if !needs::onnx_runtime() {
        return;
    }
    let (mut planted_count, mut unseen, mut missed) = (0, 0, Vec::new());
    let small = cases().into_iter().filter(|case| !case.name.starts_with("random"));
    for case in small.chain(further()) {
        let plan = case.plan(&case.half(3), false);
        let record = export::cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap().record;
        assert!(!record.is_empty(), "{}", case.name);
        for at in 0..record.len() {
            for error in [Planted::Swapped, Planted::WrongIndex] {
                let Some(twin) = planted(&case, &plan, &record, at, error) else { continue };
                planted_count += 1;
                let report = run(&case, &twin);
                match report.passed() {
                    // A channel that no probe brings to life is counted as such.
                    true if report.seen < report.channels => unseen += 1,
                    true => missed.push(format!("{}: {error:?} in {:?}", case.name, record[at])),
                    false => {}
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} of {planted_count} missed: {missed:#?}", missed.len());
    assert!(planted_count > 200 && unseen * 100 < planted_count, "{unseen} of {planted_count} unseen");
}

#[test]
fn every_wrong_count_is_caught() {
    if !needs::onnx_runtime() {
        return;
    }
    let (mut planted_count, mut missed) = (0, Vec::new());
    for case in cases().into_iter().chain(further()) {
        let plan = case.plan(&case.half(3), false);
        let right = twin_of(&case, &plan, &Tensors::default()).slim.to_bytes();
        for (index, element) in counts(&case.model, &right) {
            let mut twin = twin_of(&case, &plan, &Tensors::default());
            twin.slim = miscounted(&right, index, element);
            planted_count += 1;
            if run(&case, &twin).passed() {
                missed.push(format!("{}: element {element} of initialiser {index}", case.name));
            }
        }
    }
    assert!(missed.is_empty(), "{} of {planted_count} missed: {missed:#?}", missed.len());
    assert!(planted_count > 4, "{planted_count}");
}

/// Elements of stored lists of integers that the cut rewrote: initialiser and position.
fn counts(dense: &Model, slim: &Bytes) -> Vec<(usize, usize)> {
    let slim = import::proto::ModelFile::from_bytes(slim.clone()).unwrap();
    let initializers = slim.proto.graph.unwrap().initializer;
    let changed = initializers.iter().enumerate().flat_map(|(index, proto)| {
        let new = Tensor::from_proto(proto, std::path::Path::new("")).unwrap();
        let old = dense.graph.find_stored(&String::from_utf8_lossy(proto.name()));
        let old = old.and_then(|old| dense.graph.stored(old).tensor.to_i64().ok()).unwrap_or_default();
        let new = new.to_i64().unwrap_or_default();
        let elements: Vec<_> = old.iter().zip(&new).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
        elements.into_iter().map(move |element| (index, element))
    });
    changed.collect()
}

/// The file with one more in one element.
fn miscounted(slim: &Bytes, index: usize, element: usize) -> import::proto::splice::Spliced {
    let proto =
        import::proto::ModelFile::from_bytes(slim.clone()).unwrap().proto.graph.unwrap().initializer.remove(index);
    let tensor = Tensor::from_proto(&proto, std::path::Path::new("")).unwrap();
    let mut values = tensor.to_i64().unwrap();
    values[element] += 1;
    let new = Tensor::from_ints(tensor.dtype, &tensor.shape, &values).unwrap();
    let mut edits = Edits::new().lossy(true);
    edits.replace(INITIALIZER, index, new.to_proto(&String::from_utf8_lossy(proto.name())));
    edits.splice(slim).unwrap()
}
