//! Networks whose outputs lie behind what cannot be trained: what lies before it is.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Recorder};
use csam::{
    check::check,
    network::{Learnable, Lowering, Network, Pass},
    search::search,
    tune::tune,
};
use fixtures::models::{Builder, Dim, int, ints, tails};
use import::{Model, lanes::Plan};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

const SIDE: i64 = 32;

fn model(bytes: Vec<u8>) -> Model {
    Model::from_bytes(bytes.into()).unwrap()
}

fn learnable(bytes: Vec<u8>) -> Learnable {
    Learnable::of(&model(bytes)).unwrap()
}

/// The operators that make values.
fn makers(model: &Model, values: &[String]) -> Vec<String> {
    let maker = |name: &String| {
        let node = model
            .graph
            .nodes
            .iter()
            .find(|node| node.outputs.iter().flatten().any(|&value| model.graph.value(value).name == *name));
        node.unwrap().op.clone()
    };
    values.iter().map(maker).collect()
}

#[test]
fn what_is_learned_is_the_last_that_can_be() {
    for (name, bytes, makes) in [
        ("detector", tails::detector(), &["Sigmoid", "Sigmoid"][..]),
        // Scores in their order are numbers like others; boxes in that order are picked.
        ("ranked detector", tails::ranked_detector(), &["Sigmoid", "ReduceMax", "TopK"]),
        ("named pixels", tails::named_pixels(), &["Conv"]),
        ("recogniser", tails::recogniser(), &["Transpose"]),
    ] {
        let found = learnable(bytes.clone());
        assert_eq!(makers(&model(bytes), &found.values), makes, "{name}: {found}");
        assert!(found.is_partial(), "{name}");
    }
    let refused = learnable(tails::recogniser()).to_string();
    assert!(refused.contains("LSTM") && refused.contains("trained up to `transpose"), "{refused}");
}

#[test]
fn where_everything_can_be_lowered_the_outputs_are_learned() {
    for name in ["chain", "softmax", "board", "masked"] {
        let bytes = fixtures::models::named(name).unwrap();
        let outputs = model(bytes.clone());
        let outputs: Vec<String> =
            outputs.graph.outputs.iter().map(|&output| outputs.graph.value(output).name.clone()).collect();
        let found = learnable(bytes);
        assert_eq!((found.is_partial(), found.values), (false, outputs), "{name}");
    }
}

#[test]
fn picking_between_weights_is_no_tail() {
    let mut net = Builder::new("routed", 17, 0);
    let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)]);
    let w = net.drawn("first", &[6, 3, 3, 3], 0.0, 0.3);
    let x = net.node("Conv", &[&x, &w], vec![ints("pads", &[1; 4])]);
    let place = net.node("ArgMax", &[&x], vec![int("axis", 2), int("keepdims", 1)]);
    let x = net.node("GatherElements", &[&x, &place], vec![int("axis", 2)]);
    let w = net.drawn("second", &[5, 6, 1, 1], 0.0, 0.3);
    let x = net.node("Conv", &[&x, &w], vec![]);
    net.output(&x, &[Dim::Symbol("batch"), Dim::Is(5), Dim::Is(1), Dim::Is(8)]);
    let found = learnable(net.finish());
    assert_eq!((found.is_partial(), found.values), (false, vec![x]));
}

#[test]
fn a_part_has_the_parameters_that_it_reads() {
    let model = model(tails::recogniser());
    let until = Learnable::of(&model).unwrap().values;
    let network = Network::lower_until(&model, &until, None, Lowering::training()).unwrap();
    let names: Vec<String> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
    assert!(names.contains(&"outer.conv.weight".to_owned()) && !names.iter().any(|name| name.contains("lstm")));
    let images = Tensor::randn([2, 3, SIDE, SIDE], (Kind::Float, tch::Device::Cpu));
    let said = network.forward(&[images], &mut Pass::default()).unwrap();
    assert_eq!(said.iter().map(Tensor::size).collect::<Vec<_>>(), [[8, 2, 16]]);
}

/// The same file with other weights in its first convolution.
fn other(bytes: &[u8]) -> Vec<u8> {
    let of = model(bytes.to_vec());
    let stored = of.graph.find_stored("stem.conv.weight").unwrap();
    let weights = of.graph.stored(stored).tensor.to_f32().unwrap();
    let raw = |factor: f32| weights.iter().flat_map(|weight| (factor * weight).to_le_bytes()).collect::<Vec<u8>>();
    let (old, new) = (raw(1.0), raw(-0.8));
    let start = bytes.windows(old.len()).position(|window| window == old).unwrap();
    [&bytes[..start], &new, &bytes[start + old.len()..]].concat()
}

/// Facts of a search and a tuning of a model on random pictures.
fn trained(name: &str, bytes: &[u8], more: Value) -> (Bench, Value) {
    let bench = Bench::with(bytes);
    let mut sections = json!({
        "labels": false, "budget": ["macs=60%"],
        "search": { "epochs": 1.0, "batch": 24, "rounds": 1 }, "tune": { "epochs": 1.0, "batch": 12 },
    });
    sections.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let inputs: [(&str, &[usize], &str); 1] = [("", &[3, SIDE as usize, SIDE as usize], "normal")];
    let job = |out: &str| bench.random_job(out, &inputs, sections.clone());
    let recorder = Recorder::default();
    check(&job("check"), recorder.events(), recorder.stop.clone()).unwrap();
    search(&job("search"), recorder.events(), recorder.stop.clone()).unwrap();
    let facts = recorder.last();
    assert!(facts["kept"].as_u64() < facts["lanes"].as_u64(), "{name}: {facts}");
    let mut tuning = job("tune");
    tuning.teacher = Some(tuning.model);
    tuning.model = bench.path("student.onnx");
    std::fs::write(&tuning.model, other(bytes)).unwrap();
    tune(&tuning, "tune", recorder.events(), recorder.stop.clone()).unwrap();
    (bench, facts)
}

#[test]
fn what_lies_before_a_tail_is_searched_and_tuned() {
    for (name, bytes) in tails::all() {
        let (bench, facts) = trained(name, &bytes, json!({}));
        assert!(facts["left"].as_str().unwrap().contains("trained up to"), "{name}: {facts}");
        let plan = Plan::read(&bench.path("tune/plan.json")).unwrap();
        let changed: Vec<&str> = plan.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert!(changed.contains(&"stem.conv.weight"), "{name}: {changed:?}");
        assert!(!changed.iter().any(|tensor| tensor.starts_with("lstm") || *tensor == "out.weight"), "{name}");
    }
}

#[test]
fn a_value_that_is_trained_up_to_keeps_its_channels() {
    let mut net = Builder::new("long", 17, 0);
    let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(3), Dim::Is(SIDE), Dim::Is(SIDE)]);
    let mut x = (x, 3);
    let mut until = String::new();
    for (layer, channels) in ["stem.conv", "middle", "last", "head"].into_iter().zip([8, 12, 10, 5]) {
        let w = net.drawn(&format!("{layer}.weight"), &[channels, x.1, 3, 3], 0.0, 0.3);
        let y = net.node("Conv", &[&x.0, &w], vec![ints("pads", &[1; 4])]);
        x = (net.node("Relu", &[&y], vec![]), channels);
        until = if layer == "middle" { x.0.clone() } else { until };
    }
    net.output(&x.0, &[Dim::Symbol("batch"), Dim::Is(5), Dim::Is(SIDE), Dim::Is(SIDE)]);
    let (bench, facts) = trained("long", &net.finish(), json!({ "until": [until], "budget": ["channels=60%"] }));
    assert_eq!((&facts["learned"], &facts["left"]), (&json!([until]), &Value::Null));
    let plan = Plan::read(&bench.path("search/plan.json")).unwrap();
    let cut: Vec<&str> = plan.remove.iter().map(|removal| removal.tensor.as_str()).collect();
    assert!(cut.contains(&"stem.conv.weight") && !cut.contains(&"middle.weight"), "{cut:?}");
    let wrong = bench.job("wrong", json!({ "until": ["nowhere"] }));
    let recorder = Recorder::default();
    let error = check(&wrong, recorder.events(), recorder.stop.clone()).unwrap_err().to_string();
    assert!(error.contains("no value `nowhere`"), "{error}");
}
