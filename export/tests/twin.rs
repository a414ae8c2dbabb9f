//! Promise 3, slim equals masked: the three checks, on ONNX Runtime where it is at hand.
#![allow(clippy::unwrap_used)]

mod support;

use certify::agreement::twin::Check;
use export::Tensors;
use fixtures::{
    models::{Builder, Dim, int, small},
    needs,
};
use import::lanes::{Replacement, TensorShape};
use support::{Case, cases, quantized, run, twin_of};

#[test]
fn slim_equals_masked() {
    if !needs::onnx_runtime() {
        return;
    }
    for case in cases().into_iter().chain(quantized()) {
        for filled in [false, true] {
            let plan = case.plan(&case.half(3), filled);
            let report = run(&case, &twin_of(&case, &plan, &Tensors::default()));
            assert!(report.passed(), "{}, filled {filled}: {report:?}", case.name);
        }
    }
}

#[test]
fn one_wrong_lane_fails_and_is_named() {
    if !needs::onnx_runtime() {
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
    let mut mixed = twin_of(&case, &case.plan(&right, false), &Tensors::default());
    mixed.slim = twin_of(&case, &case.plan(&wrong, false), &Tensors::default()).slim;
    let culprit = run(&case, &mixed).culprit.unwrap();
    assert_eq!(culprit.check, Check::Taps);
}

#[test]
fn a_wrong_lane_of_quantised_numbers_fails() {
    if !needs::onnx_runtime() {
        return;
    }
    for case in quantized() {
        assert!(case.lanes.groups.len() > 1, "{}: {:?}", case.name, case.lanes.pins);
        for group in &case.lanes.groups {
            let right = case.half(3);
            let mut wrong = right.clone();
            let kept = group.lanes.iter().find(|&&lane| right.keeps(lane)).unwrap();
            let gone = group.lanes.iter().find(|&&lane| !right.keeps(lane)).unwrap();
            wrong.0[kept.0 as usize] = false;
            wrong.0[gone.0 as usize] = true;
            let mut mixed = twin_of(&case, &case.plan(&right, false), &Tensors::default());
            mixed.slim = twin_of(&case, &case.plan(&wrong, false), &Tensors::default()).slim;
            assert!(!run(&case, &mixed).passed(), "{}: {}", case.name, group.name);
        }
    }
}

#[test]
fn a_fill_left_out_of_the_slim_file_fails() {
    if !needs::onnx_runtime() {
        return;
    }
    let case = Case::new("chain", small::chain());
    let kept = case.half(3);
    let mut mixed = twin_of(&case, &case.plan(&kept, true), &Tensors::default());
    mixed.slim = twin_of(&case, &case.plan(&kept, false), &Tensors::default()).slim;
    assert!(!run(&case, &mixed).passed());
}

#[test]
fn the_twin_has_the_plans_slim_tensors() {
    if !needs::onnx_runtime() {
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
    let report = run(&case, &twin_of(&case, &plan, &[(name, new)].into_iter().collect()));
    assert!(report.passed(), "{report:?}");
}

/// Third-party files, where they are at hand.
#[test]
fn slim_equals_masked_on_models_of_others() {
    let Some(folder) = needs::shared("models").filter(|_| needs::onnx_runtime()) else { return };
    for name in ["cifar10-resnet20-bn", "cifar10-allconv", "mnist-dynamo", "mnist-cntk", "cifar10-nhwc-conv-large"] {
        let bytes = std::fs::read(folder.join(name).with_extension("onnx")).unwrap();
        let case = Case::new(name, bytes);
        let report = run(&case, &twin_of(&case, &case.plan(&case.half(1), true), &Tensors::default()));
        assert!(report.passed(), "{name}: {report:?}");
    }
}

#[test]
fn what_nothing_reads_is_cut_too() {
    if !needs::onnx_runtime() {
        return;
    }
    let case = Case::new("leads-nowhere", small::leads_nowhere());
    let report = run(&case, &twin_of(&case, &case.plan(&case.half(0), false), &Tensors::default()));
    assert!(report.passed(), "{report:?}");
}

#[test]
fn a_tensor_without_elements_has_lanes_too() {
    if !needs::onnx_runtime() {
        return;
    }
    let mut net = Builder::new("empty", 13, 1);
    let x = net.input("x", &[Dim::Symbol("n"), Dim::Is(4)]);
    let [first, second] =
        [("first", [6, 4]), ("second", [3, 6])].map(|(name, shape)| net.drawn(name, &shape, 0.0, 0.5));
    let nothing = net.stored("nothing", &[0, 6], &[]);
    let x = net.node("Gemm", &[&x, &first], vec![int("transB", 1)]);
    let x = net.node("Concat", &[&nothing, &x], vec![int("axis", 0)]);
    let y = net.node("Gemm", &[&x, &second], vec![int("transB", 1)]);
    net.output(&y, &[Dim::Symbol("n"), Dim::Is(3)]);
    let case = Case::new("empty", net.finish());
    assert_eq!(case.lanes.lanes.len(), 6, "{:?}", case.lanes.pins);
    assert!(run(&case, &twin_of(&case, &case.plan(&case.half(0), false), &Tensors::default())).passed());
}
