//! Few bytes that ask for much: sizes, attributes and ways through a graph out of all proportion to the file. Each is
//! answered with a value or a reason; what a test would show by never ending or by taking all memory.
#![allow(clippy::unwrap_used)]

use fixtures::models::{Builder, Dim, int, ints};
use import::graph::Code;
use import::lanes::{Lanes, PinCode, trainable};
use import::{Graph, Model};

const MANY: usize = 5_000;

fn read(builder: Builder) -> (Model, Lanes) {
    let model = Model::from_bytes(builder.finish().into()).unwrap();
    let lanes = Lanes::of(&model.graph, &[]);
    (model, lanes)
}

/// A graph that puts one value through a node again and again.
fn chained(builder: &mut Builder, first: &str, count: usize, step: impl Fn(&mut Builder, &str) -> String) -> String {
    (0..count).fold(first.to_owned(), |value, _| step(builder, &value))
}

fn unknown_output(builder: &mut Builder, name: &str) {
    builder.output(name, &[Dim::Symbol("any")]);
}

fn is_refused(graph: &Graph, op: &str) -> bool {
    graph.nodes.iter().any(|node| node.op == op && node.row.is_none())
}

#[test]
fn more_groups_than_channels() {
    for groups in [3, 1 << 40, i64::MAX] {
        let mut net = Builder::new("groups", 13, 0);
        let x = net.input("x", &[Dim::Symbol("n"), Dim::Symbol("c"), Dim::Is(8), Dim::Is(8)]);
        let weight = net.drawn("weight", &[4, 2, 3, 3], 0.0, 0.5);
        let y = net.node("Conv", &[&x, &weight], vec![int("group", groups)]);
        unknown_output(&mut net, &y);
        let (model, lanes) = read(net);
        assert_eq!(model.refusals[0].code, Code::Contradiction, "{groups}");
        assert!(lanes.lanes.is_empty());
    }
}

#[test]
fn diamonds_of_constants_are_walked_once() {
    let mut net = Builder::new("diamonds", 13, 0);
    let x = net.input("x", &[Dim::Symbol("n"), Dim::Is(4)]);
    let weight = net.drawn("weight", &[4, 3], 0.0, 0.5);
    let doubled = chained(&mut net, &weight, MANY, |net, c| net.node("Add", &[c, c], Vec::new()));
    let y = net.node("MatMul", &[&x, &doubled], Vec::new());
    net.output(&y, &[Dim::Symbol("n"), Dim::Is(3)]);
    let (model, _) = read(net);
    assert_eq!(trainable(&model.graph), [model.graph.find_stored("weight").unwrap()]);
}

#[test]
fn unknown_sizes_squared_again_and_again() {
    let mut net = Builder::new("squares", 13, 0);
    let x = net.input("x", &[Dim::Symbol("n"), Dim::Symbol("c")]);
    let size = net.node("Shape", &[&x], Vec::new());
    let size = chained(&mut net, &size, 60, |net, c| net.node("Mul", &[c, c], Vec::new()));
    let y = net.node("ConstantOfShape", &[&size], Vec::new());
    unknown_output(&mut net, &y);
    read(net);
}

#[test]
fn lists_that_double_and_are_kept_at_every_step() {
    let mut net = Builder::new("lists", 13, 0);
    let list = net.integers("list", &[7]);
    let list = chained(&mut net, &list, 16, |net, c| net.node("Concat", &[c, c], vec![int("axis", 0)]));
    let list = chained(&mut net, &list, MANY, |net, c| net.node("Identity", &[c], Vec::new()));
    unknown_output(&mut net, &list);
    read(net);
}

#[test]
fn as_many_named_sizes_as_there_is_room_for() {
    let mut net = Builder::new("names", 13, 0);
    for number in 0..20 * MANY {
        let name: &'static str = Box::leak(format!("size{number}").into_boxed_str());
        net.input(name, &[Dim::Symbol(name)]);
    }
    net.output("size0", &[Dim::Symbol("size0")]);
    let (model, _) = read(net);
    assert_eq!(model.graph.inputs.len(), 20 * MANY);
}

#[test]
fn values_of_a_million_axes() {
    let mut net = Builder::new("axes", 11, 0);
    let many: Vec<i64> = (0..1_000_000).collect();
    let x = net.input("x", &vec![Dim::Is(1); many.len()]);
    let x = net.node("Relu", &[&x], Vec::new());
    let y = net.input("y", &[Dim::Is(1)]);
    let wide = net.node("Unsqueeze", &[&y], vec![ints("axes", &many)]);
    let target = net.integers("target", &vec![1; 60_000]);
    let shaped = net.node("Reshape", &[&y, &target], Vec::new());
    for value in [&x, &wide, &shaped] {
        let end = chained(&mut net, value, MANY, |net, v| net.node("Relu", &[v], Vec::new()));
        unknown_output(&mut net, &end);
    }
    let (model, _) = read(net);
    assert!(is_refused(&model.graph, "Unsqueeze") && is_refused(&model.graph, "Reshape"));
}

#[test]
fn a_tensor_without_elements_and_with_large_sizes() {
    let mut net = Builder::new("empty", 13, 0);
    let empty = net.stored("empty", &[1 << 40, 1 << 40, 0], &[]);
    let long = net.stored("long", &[1 << 20, 0], &[]);
    let empty = net.node("Relu", &[&empty], Vec::new());
    let long = net.node("Relu", &[&long], Vec::new());
    unknown_output(&mut net, &empty);
    unknown_output(&mut net, &long);
    let (model, lanes) = read(net);
    assert!(model.graph.stored[0].tensor.is_empty() && lanes.lanes.is_empty());
}

#[test]
fn more_labelled_indices_than_the_file_could_hold() {
    let mut inputs = Builder::new("inputs", 13, 0);
    let weight = inputs.drawn("weight", &[4, 3], 0.0, 0.5);
    for number in 0..MANY {
        inputs.input(&format!("x{number}"), &[Dim::Is(1), Dim::Is(1 << 20), Dim::Is(1 << 20)]);
    }
    let y = inputs.node("MatMul", &["x0", &weight], Vec::new());
    unknown_output(&mut inputs, &y);

    let mut joined = Builder::new("joined", 13, 0);
    let weight = joined.drawn("weight", &[1, 1024, 1, 1], 0.0, 0.5);
    let wide = chained(&mut joined, &weight, 10, |net, c| net.node("Concat", &[c, c], vec![int("axis", 1)]));
    let end = chained(&mut joined, &wide, MANY, |net, c| net.node("Relu", &[c], Vec::new()));
    unknown_output(&mut joined, &end);

    for net in [inputs, joined] {
        let (_, lanes) = read(net);
        assert!(lanes.lanes.is_empty());
        assert!(lanes.pins.iter().all(|pin| pin.reason.code == PinCode::TooLarge), "{:?}", lanes.pins);
        assert!(lanes.pins.iter().any(|pin| pin.tensor == "weight"));
    }
}

#[test]
fn windows_and_amounts_at_the_end_of_the_numbers() {
    for extreme in [i64::MAX, i64::MIN, i64::MAX - 1, 1 << 62] {
        let mut net = Builder::new("window", 10, 0);
        let x = net.input("x", &[Dim::Symbol("n"), Dim::Is(4), Dim::Is(8), Dim::Symbol("w")]);
        let attributes = |name| {
            let size = if name == "pads" { 4 } else { 2 };
            vec![ints("kernel_shape", &[2, 2]), ints(name, &vec![extreme; size]), int("ceil_mode", 1)]
        };
        for name in ["kernel_shape", "strides", "dilations", "pads"] {
            let y = net.node("MaxPool", &[&x], attributes(name));
            unknown_output(&mut net, &y);
        }
        let list = net.integers("list", &[extreme; 4]);
        for op in ["Reshape", "Expand", "ConstantOfShape", "Slice", "Split", "Pad", "Tile"] {
            let inputs: &[&str] = if op == "ConstantOfShape" { &[&list] } else { &[&x, &list, &list] };
            let y = net.node(op, inputs, vec![int("axis", extreme), ints("pads", &[extreme; 8])]);
            unknown_output(&mut net, &y);
        }
        read(net);
    }
}

#[test]
fn sizes_that_add_up_beyond_all_numbers() {
    let mut net = Builder::new("joined", 13, 0);
    let wide = [("a", i64::MAX), ("b", i64::MAX), ("c", 3)];
    let wide = wide.map(|(name, size)| net.input(name, &[Dim::Symbol("n"), Dim::Is(size)]));
    let weight = net.drawn("weight", &[4, 4], 0.0, 0.5);
    let narrow = net.input("narrow", &[Dim::Symbol("n"), Dim::Is(4)]);
    let narrow = net.node("MatMul", &[&narrow, &weight], Vec::new());
    let y = net.node("Concat", &[&wide[0], &wide[1], &wide[2], &narrow], vec![int("axis", 1)]);
    unknown_output(&mut net, &y);
    let (_, lanes) = read(net);
    assert!(lanes.lanes.is_empty(), "what is joined with more than there are numbers has no place of its own");
}

#[test]
fn an_output_declared_with_fewer_axes_than_an_operand() {
    let mut net = Builder::new("declared", 13, 0);
    let x = net.input("x", &[Dim::Is(1), Dim::Is(4)]);
    let unknown = net.node("Nothing", &[&x], Vec::new());
    let sum = net.node("Add", &[&x, &unknown], Vec::new());
    net.declare(&sum, &[]);
    unknown_output(&mut net, &sum);
    let (_, lanes) = read(net);
    assert!(lanes.lanes.is_empty());
}
