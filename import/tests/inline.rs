//! Functions of a model's own and branches of known condition are written out in place, once, before anything is looked
//! at; what cannot be stays as it is.
#![allow(clippy::unwrap_used)]

use fixtures::models::{Builder, Dim, graph, int, named, node_proto, small};
use import::Model;
use import::graph::Code;
use import::lanes::Lanes;
use import::proto::onnx::{FunctionProto, GraphProto, NodeProto, ValueInfoProto};

const DOMAIN: &str = "test.functions";

fn open(bytes: Vec<u8>) -> Model {
    Model::from_bytes(bytes.into()).unwrap()
}

#[test]
fn a_call_is_its_functions_nodes() {
    let model = open(small::scoped().remove(0).1);
    assert_eq!((model.inlined.calls, model.inlined.branches), (3, 0));
    assert!(model.refusals.is_empty() && model.file.proto.functions.is_empty(), "{:?}", model.refusals);
    let convolutions: Vec<_> = model.graph.nodes.iter().filter(|node| node.op == "Conv").collect();
    assert_eq!(convolutions.len(), 4);
    // Given, given, left out with a value in the function, left out without one.
    let told: Vec<_> =
        convolutions[1..].iter().map(|node| (node.ints("strides").unwrap()[0], node.int("group"))).collect();
    assert_eq!(told, [(1, None), (2, None), (1, Some(4))]);
    let slopes: Vec<f32> =
        model.graph.nodes.iter().filter(|it| it.op == "LeakyRelu").map(|it| it.float_or("alpha", 0.01)).collect();
    assert_eq!(slopes, [0.25, 0.5, 0.01]);
    // The shortcut ties stem and first, the grouped convolution second and third: nothing is pinned for its place.
    assert_eq!(Lanes::of(&model.graph, &[]).groups.len(), 2);
}

#[test]
fn a_branch_that_is_always_taken_is_its_nodes() {
    let model = open(small::scoped().remove(1).1);
    assert_eq!((model.inlined.calls, model.inlined.branches), (0, 2));
    assert!(model.refusals.is_empty(), "{:?}", model.refusals);
    let ops: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
    assert!(ops.contains(&"Relu") && !ops.contains(&"If") && !ops.contains(&"Neg"), "{ops:?}");
    let own = model.graph.stored.iter().any(|stored| stored.tensor.shape == [10, 8, 1, 1]);
    assert!(own && Lanes::of(&model.graph, &[]).groups.len() == 2);
}

#[test]
fn a_file_without_either_keeps_its_bytes() {
    for name in ["chain", "resnet8", "opaque"] {
        let model = open(named(name).unwrap());
        assert_eq!(model.file.bytes.as_ptr(), model.file.read.as_ptr(), "{name}");
        assert_eq!(model.inlined.note(), None);
    }
    let model = open(named("functions").unwrap());
    assert_eq!(model.file.read, named("functions").unwrap());
    assert!(model.inlined.note().unwrap().contains("3 calls"));
}

/// Runtimes want a node for what is passed on; the standard does not.
#[test]
fn what_is_passed_on_gets_another_name() {
    let model = calling("f", 17, |net| net.function(DOMAIN, "f", 17, function("a", "a", Vec::new())));
    let ops: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
    assert_eq!((model.inlined.calls, ops), (1, vec!["Identity"]));
    assert!(model.refusals.is_empty());
}

fn function(input: &str, output: &str, node: Vec<NodeProto>) -> FunctionProto {
    let name = |name: &str| vec![name.to_owned().into()];
    FunctionProto { input: name(input), output: name(output), node, ..FunctionProto::default() }
}

fn call(name: &str, from: &str, to: &str) -> NodeProto {
    NodeProto { domain: Some(DOMAIN.into()), ..node_proto(name, &[from], &[to], Vec::new()) }
}

/// A model that calls `first` of the functions that are added.
fn calling(first: &str, opset: i64, add: impl FnOnce(&mut Builder)) -> Model {
    let mut net = Builder::new("calling", opset, 0);
    let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(4)]);
    add(&mut net);
    let y = net.foreign_node(DOMAIN, first, &[&x], Vec::new());
    net.output(&y, &[Dim::Symbol("batch"), Dim::Is(4)]);
    open(net.finish())
}

#[test]
fn functions_that_call_themselves_stay() {
    let loops = [("f", vec![("f", "f")]), ("f", vec![("f", "g"), ("g", "h"), ("h", "g")])];
    for (first, pairs) in loops {
        let model = calling(first, 17, |net| {
            for (name, callee) in pairs {
                net.function(DOMAIN, name, 17, function("a", "b", vec![call(callee, "a", "b")]));
            }
        });
        assert_eq!(model.inlined.calls, 0);
        assert_eq!(model.refusals[0].code, Code::UnknownOperator);
        assert!(model.refusals[0].reason.contains("calls itself"), "{}", model.refusals[0]);
    }
}

#[test]
fn a_function_that_calls_itself_in_a_branch_stays() {
    let model = calling("f", 17, |net| {
        let info =
            |name: &str| vec![ValueInfoProto { name: Some(name.to_owned().into()), ..ValueInfoProto::default() }];
        let again = GraphProto { node: vec![call("f", "a", "c")], output: info("c"), ..GraphProto::default() };
        let branch = || graph("then_branch", again.clone());
        let one = node_proto("Constant", &[], &["yes"], vec![int("value_int", 1)]);
        let both = vec![branch(), graph("else_branch", again.clone())];
        net.function(DOMAIN, "f", 17, function("a", "b", vec![one, node_proto("If", &["yes"], &["b"], both)]));
    });
    assert_eq!(model.inlined.calls, 0);
}

#[test]
fn functions_that_double_again_and_again_stay() {
    let model = calling("f0", 17, |net| {
        for level in 0..60 {
            let next = format!("f{}", level + 1);
            let body = vec![call(&next, "a", "c"), call(&next, "c", "b")];
            net.function(DOMAIN, &format!("f{level}"), 17, function("a", "b", body));
        }
        net.function(DOMAIN, "f60", 17, function("a", "b", vec![node_proto("Relu", &["a"], &["b"], Vec::new())]));
    });
    assert_eq!((model.inlined.calls, model.graph.nodes.len()), (0, 1));
}

#[test]
fn long_chains_of_functions_and_long_names_stay_in_proportion() {
    let long = "n".repeat(20_000);
    let model = calling("f0", 17, |net| {
        for level in 0..5_000 {
            let body = vec![call(&format!("f{}", level + 1), "a", "b")];
            net.function(DOMAIN, &format!("f{level}"), 17, function("a", "b", body));
        }
        net.function(DOMAIN, "f5000", 17, function("a", "b", vec![node_proto("Relu", &["a"], &["b"], Vec::new())]));
    });
    assert_eq!(model.inlined.calls, 0);
    let model = calling("many", 17, |net| {
        let body = (0..3_000).map(|at| call("long", if at == 0 { "a" } else { "b" }, "b")).collect();
        net.function(DOMAIN, "many", 17, function("a", "b", body));
        net.function(DOMAIN, "long", 17, function("a", "b", vec![node_proto("Relu", &["a"], &[&long], Vec::new())]));
    });
    assert!(model.file.bytes.len() < 16 * model.file.read.len());
}

#[test]
fn a_function_for_other_operator_sets_stays() {
    let softmax = |opset| {
        calling("f", 17, |net| {
            net.function(
                DOMAIN,
                "f",
                opset,
                function("a", "b", vec![node_proto("Softmax", &["a"], &["b"], Vec::new())]),
            );
        })
    };
    // Its meaning changed with version 13.
    assert_eq!(softmax(12).inlined.calls, 0);
    assert_eq!(softmax(13).inlined.calls, 1);
}
