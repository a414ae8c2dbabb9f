//! Promise 3, slim equals masked: the three checks, on ONNX Runtime where it is at hand.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use certify::agreement::twin::{Check, Tap, Twin as Files, TwinReport, TwinTolerance, check, noise};
use certify::runtimes::ort;
use export::{Tensors, Twin, twin};
use fixtures::models::small;
use import::lanes::{Plan, Replacement, TensorShape};
use support::{Case, cases};

/// Whether there is a runtime to check on; says so when there is none.
fn has_runtime() -> bool {
    if ort::library().is_none() {
        eprintln!("skipped: ORT_DYLIB_PATH names no ONNX Runtime");
    }
    ort::library().is_some()
}

fn run(case: &Case, twin: &Twin) -> TwinReport {
    let folder = tempfile::tempdir().unwrap();
    let files = twin.write(&case.model, folder.path()).unwrap();
    let graph = &case.model.graph;
    let taps = twin.taps.iter().map(|tap| Tap {
        site: tap.node.clone(),
        twin_output: tap.masked.clone(),
        slim_output: tap.slim.clone(),
        axis: tap.axis as i64,
        kept: tap.kept.clone(),
    });
    let files = Files {
        twin: files.masked,
        slim: files.slim,
        poison: files.poisoned,
        outputs: graph.outputs.iter().map(|&output| graph.value(output).name.clone()).collect(),
        taps: taps.collect(),
    };
    let shape = graph.value(graph.inputs[0]).shape.as_ref().unwrap();
    let sizes: Vec<usize> = shape[1..].iter().map(|size| size.extent().unwrap()).collect();
    let inputs = noise(&sizes, 4, 1.0, 7).unwrap();
    check(&files, &inputs, TwinTolerance::default(), 1).unwrap()
}

fn of(case: &Case, plan: &Plan, tensors: &Tensors) -> Twin {
    twin(&case.model, &case.lanes, plan, tensors, 11).unwrap()
}

#[test]
fn slim_equals_masked() {
    if !has_runtime() {
        return;
    }
    for case in cases() {
        for filled in [false, true] {
            let plan = case.plan(&case.half(3), filled);
            let report = run(&case, &of(&case, &plan, &Tensors::default()));
            assert!(report.passed(), "{}, filled {filled}: {report:?}", case.name);
        }
    }
}

#[test]
fn one_wrong_lane_fails_and_is_named() {
    if !has_runtime() {
        return;
    }
    let case = Case::new("residual", small::residual());
    let right = case.half(3);
    let mut wrong = right.clone();
    let group = &case.lanes.groups[0].lanes;
    let dropped = group.iter().find(|&&lane| right.keeps(lane)).unwrap();
    let added = group.iter().find(|&&lane| !right.keeps(lane)).unwrap();
    wrong.0[dropped.0 as usize] = false;
    wrong.0[added.0 as usize] = true;
    let mut mixed = of(&case, &case.plan(&right, false), &Tensors::default());
    mixed.slim = of(&case, &case.plan(&wrong, false), &Tensors::default()).slim;
    let culprit = run(&case, &mixed).culprit.unwrap();
    assert_eq!(culprit.check, Check::Taps);
}

#[test]
fn a_fill_left_out_of_the_slim_file_fails() {
    if !has_runtime() {
        return;
    }
    let case = Case::new("chain", small::chain());
    let kept = case.half(3);
    let mut mixed = of(&case, &case.plan(&kept, true), &Tensors::default());
    mixed.slim = of(&case, &case.plan(&kept, false), &Tensors::default()).slim;
    assert!(!run(&case, &mixed).passed());
}

#[test]
fn the_twin_has_the_plans_slim_tensors() {
    if !has_runtime() {
        return;
    }
    let case = Case::new("chain", small::chain());
    let mut plan = case.plan(&case.half(3), false);
    let slim = export::cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap();
    let slim = import::Model::from_bytes(slim.to_bytes()).unwrap();
    let name = plan.remove[0].tensor.clone();
    let old = &slim.graph.stored(slim.graph.find_stored(&name).unwrap()).tensor;
    let values: Vec<f32> = (0..old.len()).map(|i| (i as f32 * 0.37).sin()).collect();
    let new = import::Tensor::from_f32(&old.shape, &values).unwrap();
    plan.tensors.push(Replacement { name: name.clone(), shape: TensorShape::Slim });
    let report = run(&case, &of(&case, &plan, &[(name, new)].into_iter().collect()));
    assert!(report.passed(), "{report:?}");
}

/// Third-party files, where they are at hand.
#[test]
fn slim_equals_masked_on_models_of_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    if !has_runtime() || !folder.is_dir() {
        eprintln!("skipped: no runtime, or no folder of third-party models");
        return;
    }
    for name in ["cifar10-resnet20-bn", "cifar10-allconv", "mnist-dynamo", "mnist-cntk", "cifar10-nhwc-conv-large"] {
        let bytes = std::fs::read(folder.join(name).with_extension("onnx")).unwrap();
        let case = Case::new(name, bytes);
        let report = run(&case, &of(&case, &case.plan(&case.half(1), true), &Tensors::default()));
        assert!(report.passed(), "{name}: {report:?}");
    }
}
