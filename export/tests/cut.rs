//! The cut as a file: what changes, what stays, what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use export::{ExportError, Note, Tensors, cut};
use fixtures::models::small;
use import::{
    Model, Tensor,
    lanes::{Fill, Kept, Plan, PlanError, Replacement, TensorShape},
};
use support::{Case, cases};

fn stored(model: &Model, name: &str) -> Tensor {
    let id = model.graph.find_stored(name).unwrap();
    model.graph.stored(id).tensor.clone()
}

fn slim(case: &Case, plan: &Plan, tensors: &Tensors) -> Model {
    let slim = cut(&case.model, &case.lanes, plan, tensors, false).unwrap();
    Model::from_bytes(slim.to_bytes()).unwrap()
}

#[test]
fn an_empty_plan_gives_the_same_bytes() {
    for case in cases() {
        let plan = case.plan(&Kept::all(&case.lanes), false);
        let slim = cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap();
        assert_eq!(slim.to_bytes(), case.model.file.bytes, "{}", case.name);
        assert_eq!(slim.record, []);
    }
}

#[test]
fn stored_tensors_hold_the_kept_indices() {
    let case = Case::new("chain", small::chain());
    let plan = case.plan(&case.half(3), false);
    let slim = cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap();
    let result = Model::from_bytes(slim.to_bytes()).unwrap();
    assert!(!slim.record.is_empty());
    for entry in slim.record.iter().filter(|entry| entry.axis == 0) {
        let (dense, slim) = (stored(&case.model, &entry.tensor), stored(&result, &entry.tensor));
        assert_eq!((dense.shape[0], slim.shape[0]), (entry.dense, entry.kept.len()));
        if dense.shape.len() == 1 {
            let dense = dense.to_f32().unwrap();
            let expected: Vec<f32> = entry.kept.iter().map(|&index| dense[index]).collect();
            assert_eq!(slim.to_f32().unwrap(), expected, "{}", entry.tensor);
        }
    }
}

#[test]
fn the_slim_file_imports_as_well_as_the_dense_one() {
    for case in cases() {
        let plan = case.plan(&case.half(1), true);
        let result = slim(&case, &plan, &Tensors::default());
        assert_eq!(result.refusals.len(), case.model.refusals.len(), "{}", case.name);
        let output = |model: &Model| model.graph.value(model.graph.outputs[0]).shape.clone();
        assert_eq!(output(&result), output(&case.model), "{}", case.name);
    }
}

#[test]
fn replaced_tensors_have_the_shape_they_say() {
    let case = Case::new("chain", small::chain());
    let plan = case.plan(&case.half(3), false);
    let before = slim(&case, &plan, &Tensors::default());
    let name = plan.remove[0].tensor.clone();
    let with = |shape, tensor: Tensor| {
        let mut plan = plan.clone();
        plan.tensors.push(Replacement { name: name.clone(), shape });
        let tensors = [(name.clone(), tensor)].into_iter().collect();
        cut(&case.model, &case.lanes, &plan, &tensors, false).map(|slim| Model::from_bytes(slim.to_bytes()).unwrap())
    };
    let ones = |like: Tensor| Tensor::from_f32(&like.shape, &vec![1.0; like.len()]).unwrap();
    let (dense, slim) = (ones(stored(&case.model, &name)), ones(stored(&before, &name)));
    let sliced = with(TensorShape::Dense, dense.clone()).unwrap();
    assert_eq!(stored(&sliced, &name), slim);
    assert_eq!(stored(&with(TensorShape::Slim, slim).unwrap(), &name), stored(&sliced, &name));
    assert!(matches!(with(TensorShape::Slim, dense), Err(ExportError::WrongShape { .. })));
}

#[test]
fn what_a_plan_cannot_have_is_refused() {
    let case = Case::new("chain", small::chain());
    let refused = |plan: &Plan| cut(&case.model, &case.lanes, plan, &Tensors::default(), false).err().unwrap();

    let nothing = case.plan(&Kept(vec![false; case.lanes.lanes.len()]), false);
    assert!(matches!(refused(&nothing), ExportError::NothingLeft { .. }));

    let mut fill = case.plan(&case.half(0), false);
    fill.fills.push(Fill { node: 999, tensor: String::new(), axis: 1, means: Vec::new() });
    assert!(matches!(refused(&fill), ExportError::NoFill { node: 999, .. }));

    let mut twice = case.plan(&case.half(0), true);
    twice.fills.push(twice.fills[0].clone());
    assert!(matches!(refused(&twice), ExportError::FilledTwice { .. }));

    let mut missing = case.plan(&case.half(0), false);
    missing.remove[0].tensor = "no such".to_owned();
    assert!(matches!(refused(&missing), ExportError::Plan(PlanError::UnknownTensor { .. })));

    let mut unbrought = case.plan(&case.half(0), false);
    let name = unbrought.remove[0].tensor.clone();
    unbrought.tensors.push(Replacement { name, shape: TensorShape::Slim });
    assert!(matches!(refused(&unbrought), ExportError::Missing { .. }));
}

#[test]
fn the_slim_file_is_written_whole() {
    let case = Case::new("residual", small::residual());
    let plan = case.plan(&case.half(2), true);
    let slim = cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slim.onnx");
    slim.write(&case.model, &path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), slim.to_bytes());
    assert!(slim.write(&case.model, &folder.path().join("no/slim.onnx")).is_err());
}

/// What the slim file says otherwise is told: computed weights that are stored now, sparse constants, names.
#[test]
fn what_is_said_otherwise_is_told() {
    let coupling = |wanted: &str| {
        let (name, bytes) = small::couplings().into_iter().find(|(name, _)| *name == wanted).unwrap();
        let case = Case::new(name, bytes);
        let plan = case.plan(&case.half(1), false);
        let slim = cut(&case.model, &case.lanes, &plan, &Tensors::default(), false).unwrap();
        let operators = Model::from_bytes(slim.to_bytes()).unwrap().graph.nodes;
        let operators: Vec<String> = operators.into_iter().map(|node| node.op).collect();
        (slim.notes, operators, slim.record)
    };
    let (notes, operators, record) = coupling("standardised-weight");
    assert!(matches!(&notes[..], [Note::Frozen { elements: 180, .. }]), "{notes:?}");
    assert!(!operators.contains(&"ReduceMean".to_owned()), "{operators:?}");
    assert!(record.iter().all(|cut| cut.tensor != "raw.weight"), "{record:?}");
    let (notes, _, record) = coupling("sparse-bias");
    assert_eq!(notes, [Note::Densified { tensor: "sparse.bias".to_owned() }]);
    assert!(record.iter().any(|cut| cut.tensor == "sparse.bias"), "{record:?}");
    let (notes, _, _) = coupling("split-unnamed");
    assert!(matches!(&notes[..], [Note::Named { outputs: 1, .. }]), "{notes:?}");
    let (notes, operators, _) = coupling("summed-weight");
    assert_eq!(notes, []);
    assert!(operators.contains(&"Add".to_owned()), "{operators:?}");
}
