//! Places that hold lanes: each pins what it touches, says why, and the rest goes on.
#![allow(clippy::unwrap_used)]

use fixtures::models::{Builder, Conv, Dim, Init, Layers, int, small};
use import::lanes::{Lanes, PinCode};
use import::proto::ModelFile;
use import::proto::onnx::{AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use import::{InputSizes, Model};
use prost::Message;

fn lanes_of(bytes: Vec<u8>) -> Lanes {
    Lanes::of(&Model::from_bytes(bytes.into()).unwrap().graph, &[])
}

/// Sizes of all groups, sorted.
fn group_sizes(lanes: &Lanes) -> Vec<usize> {
    let mut sizes: Vec<usize> = lanes.groups.iter().map(|g| g.lanes.len()).collect();
    sizes.sort_unstable();
    sizes
}

/// Whether the output channels of a stored weight are pinned, why and where.
fn pinned<'a>(lanes: &'a Lanes, weight: &str) -> Vec<(PinCode, &'a str)> {
    let pins = lanes.pins.iter().filter(|pin| pin.tensor == weight && pin.axis == 0);
    pins.map(|pin| (pin.reason.code, pin.reason.place.as_str())).collect()
}

/// A stored weight whose output channels are pinned, why, and how the name of the place begins.
type ExpectedPin = (&'static str, PinCode, &'static str);

#[test]
fn each_place_pins_what_it_touches_and_no_more() {
    let stem = "stem.conv.weight";
    let expected: [(&str, &[usize], Option<ExpectedPin>); 14] = [
        ("count-as-scale", &[6, 8], None),
        ("count-as-bound", &[6, 8], None),
        ("count-as-target", &[4, 6], None),
        ("count-as-bias", &[6, 8, 10], None),
        ("bias-from-unknown", &[6, 8], Some(("held.weight", PinCode::UncutPartner, "Conv"))),
        ("gemm-bias-from-unknown", &[8], None),
        ("norm-from-unknown", &[6], Some((stem, PinCode::UncutPartner, "InstanceNormalization"))),
        ("behind-unknown", &[6], Some((stem, PinCode::Opaque, "QuickGelu"))),
        ("dropout-mask", &[6, 8], None),
        ("patches", &[8], None),
        ("outer-product", &[6], Some((stem, PinCode::UncutPartner, "Gemm"))),
        ("gram", &[6], Some((stem, PinCode::UncutPartner, "Gemm"))),
        ("linear-to-maps", &[6, 8, 8], None),
        ("reduced-heads", &[4, 6], None),
    ];
    let places = small::places();
    assert_eq!(places.len(), expected.len());
    places.into_iter().zip(expected).for_each(|((name, bytes), expected)| check(name, bytes, expected));
}

/// What becomes of eight channels (`stem`), six (`after`) and those between, by how they hang together: the sizes of the
/// groups that are cut. A weight that is not cut names the reason.
#[test]
fn each_coupling_is_cut_or_says_why() {
    let stem = "stem.conv.weight";
    let expected: [(&str, &[usize], Option<ExpectedPin>); 31] = [
        ("standardised-weight", &[6, 8, 10], None),
        ("weight-norm", &[6, 8, 10], None),
        ("spectral-norm", &[6, 8, 10], None),
        ("summed-weight", &[6, 8, 10], None),
        ("filled-weight", &[6, 8, 10], None),
        ("sparse-bias", &[6, 8, 10], None),
        ("layer-norm", &[6, 8], None),
        ("layer-norm-by-hand", &[6, 8], None),
        ("global-response", &[6, 8], None),
        ("group-norm-of-one", &[6, 8], None),
        ("group-norm", &[4, 6], None),
        ("group-norm-of-all", &[6, 8], None),
        ("mean-over-channels", &[6, 8], None),
        ("largest-over-channels", &[6, 8], None),
        ("norm-over-channels", &[6, 8], None),
        ("softmax-over-channels", &[6, 8], None),
        ("every-second", &[4, 4, 6], None),
        ("one-channel-slices", &[6], Some((stem, PinCode::WholeAxis, "Slice"))),
        ("negative-pads", &[3, 5, 6], None),
        ("maxout", &[4, 6], None),
        ("split-unnamed", &[3, 6], None),
        ("siamese", &[6, 8], None),
        ("layer-scale", &[6, 8, 10], None),
        ("matmul-vector", &[6, 8], None),
        ("matmul-batched", &[6, 8, 10], None),
        ("attention-heads", &[4, 6, 8, 8], None),
        ("channel-shuffle", &[4, 6], None),
        ("channel-order", &[6, 8], None),
        ("pixels-by-hand", &[2, 6], None),
        ("space-by-hand", &[6, 8], None),
        ("grouped-residual", &[2], None),
    ];
    let couplings = small::couplings();
    assert_eq!(couplings.len(), expected.len());
    couplings.into_iter().zip(expected).for_each(|((name, bytes), expected)| check(name, bytes, expected));
}

/// Holds a network to the groups that are expected of it, and to the reason why a weight is in none.
fn check(name: &str, bytes: Vec<u8>, (expected_name, sizes, pin): (&str, &[usize], Option<ExpectedPin>)) {
    let lanes = lanes_of(bytes);
    assert_eq!(name, expected_name);
    assert_eq!(group_sizes(&lanes), sizes, "{name}: {:?}", lanes.pins);
    if let Some((weight, code, place)) = pin {
        let found = pinned(&lanes, weight);
        assert!(found.iter().any(|(c, p)| *c == code && p.starts_with(place)), "{name}: {found:?}");
    }
}

/// A network of eight and six channels, and the name of the value with eight.
fn two_blocks() -> (Layers, fixtures::models::Feature) {
    let mut net = Layers::new("two", 13, 0, Init::Lively);
    let x = net.pictures(Dim::Symbol("batch"), 3, 8);
    let stem = net.block("stem", &x, 8, Conv::bare(3));
    (net, stem)
}

fn finished(mut net: Layers, stem: &fixtures::models::Feature) -> Vec<u8> {
    let x = net.block("after", stem, 6, Conv::bare(3));
    net.classify(&x, 5, Dim::Symbol("batch"))
}

#[test]
fn a_count_that_the_caller_gets_is_data() {
    let (mut net, stem) = two_blocks();
    let sizes = net.builder.node("Shape", &[&stem.name], Vec::new());
    net.builder.output(&sizes, &[Dim::Is(4)]);
    let lanes = lanes_of(finished(net, &stem));
    assert_eq!(group_sizes(&lanes), [6]);
    assert_eq!(pinned(&lanes, "stem.conv.weight"), [(PinCode::Counted, sizes.as_str())]);
}

#[test]
fn a_size_that_counts_no_lanes_pins_nothing() {
    let (mut net, stem) = two_blocks();
    let sizes = net.builder.node("Shape", &[&stem.name], Vec::new());
    let place = net.builder.integers("place", &[2]);
    let rows = net.builder.node("Gather", &[&sizes, &place], Vec::new());
    net.builder.output(&rows, &[Dim::Is(1)]);
    assert_eq!(group_sizes(&lanes_of(finished(net, &stem))), [6, 8]);
}

#[test]
fn a_mask_that_the_caller_gets_pins_its_channels() {
    let (mut net, stem) = two_blocks();
    let outputs = net.builder.nodes("Dropout", &[&stem.name], 2, Vec::new());
    net.builder.output(&outputs[1], &[Dim::Symbol("batch"), Dim::Is(8), Dim::Is(8), Dim::Is(8)]);
    let lanes = lanes_of(finished(net, &fixtures::models::Feature { name: outputs[0].clone(), channels: 8 }));
    assert_eq!(group_sizes(&lanes), [6]);
    assert_eq!(pinned(&lanes, "stem.conv.weight"), [(PinCode::GraphOutput, outputs[1].as_str())]);
}

#[test]
fn what_a_split_drops_does_not_hold_the_rest() {
    let (mut net, stem) = two_blocks();
    let sizes = net.builder.integers("sizes", &[3, 2, 3]);
    let parts = net.builder.nodes("Split", &[&stem.name, &sizes], 3, vec![int("axis", 1)]);
    let sum = net.builder.node("Add", &[&parts[0], &parts[2]], Vec::new());
    let bytes = finished(net, &fixtures::models::Feature { name: sum, channels: 3 });
    let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let split = graph.node.iter_mut().find(|node| node.op_type() == b"Split").unwrap();
    split.output[1] = Vec::new().into();
    assert_eq!(group_sizes(&lanes_of(model.encode_to_vec())), [3, 6]);
}

/// A graph whose output is what `op` makes of an outer value.
fn branch(op: &str, outer: &str) -> Box<GraphProto> {
    let bytes = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
    let node = NodeProto {
        input: vec![bytes(outer)],
        output: vec![bytes("inner")],
        op_type: Some(bytes(op)),
        ..NodeProto::default()
    };
    let output = vec![ValueInfoProto { name: Some(bytes("inner")), ..ValueInfoProto::default() }];
    Box::new(GraphProto { node: vec![node], output, name: Some(bytes("branch")), ..GraphProto::default() })
}

/// Two blocks beside an If whose branches read `captured` of the network.
fn with_branches(mut net: Layers, stem: &fixtures::models::Feature, captured: &str) -> Lanes {
    let condition = net.builder.stored("condition", &[], &[1.0]);
    let attribute = |name: &str| AttributeProto {
        name: Some(bytes::Bytes::copy_from_slice(name.as_bytes())),
        g: Some(branch("Identity", captured)),
        r#type: Some(AttributeType::Graph.into()),
        ..AttributeProto::default()
    };
    net.builder.node("If", &[&condition], vec![attribute("then_branch"), attribute("else_branch")]);
    lanes_of(finished(net, stem))
}

#[test]
fn what_a_sub_graph_reads_is_pinned() {
    let (net, stem) = two_blocks();
    let lanes = with_branches(net, &stem, &stem.name);
    assert_eq!(group_sizes(&lanes), [6]);
    assert_eq!(pinned(&lanes, "stem.conv.weight")[0].0, PinCode::Opaque);
}

#[test]
fn a_count_that_a_sub_graph_reads_is_data() {
    let (mut net, stem) = two_blocks();
    let sizes = net.builder.node("Shape", &[&stem.name], Vec::new());
    let lanes = with_branches(net, &stem, &sizes);
    assert_eq!(group_sizes(&lanes), [6]);
    assert_eq!(pinned(&lanes, "stem.conv.weight")[0].0, PinCode::Counted);
}

#[test]
fn a_value_that_nobody_makes_is_not_left_out() {
    let mut net = Builder::new("missing", 13, 0);
    let side = Dim::Is(8);
    let x = net.input("x", &[Dim::Symbol("n"), Dim::Is(3), side, side]);
    let first = net.drawn("first", &[8, 3, 1, 1], 0.0, 0.5);
    let second = net.drawn("second", &[4, 8, 1, 1], 0.0, 0.5);
    let x = net.node("Conv", &[&x, &first, "from-elsewhere"], Vec::new());
    let y = net.node("Conv", &[&x, &second], Vec::new());
    net.output(&y, &[Dim::Symbol("n"), Dim::Is(4), side, side]);
    let lanes = lanes_of(net.finish());
    assert!(lanes.lanes.is_empty());
    assert_ne!(pinned(&lanes, "first"), []);
}

/// A number that counts lanes and sizes that the file leaves open is another one at other sizes.
#[test]
fn a_number_is_not_kept_where_its_sizes_were_given() {
    let count_as_scale = || small::places().into_iter().find(|(name, _)| *name == "count-as-scale").unwrap().1;
    assert_eq!(group_sizes(&lanes_of(count_as_scale())), [6, 8]);
    let sizes = InputSizes { named: [("batch".to_owned(), 2)].into(), ..InputSizes::default() };
    let file = ModelFile::from_bytes(count_as_scale().into()).unwrap();
    let lanes = Lanes::of(&Model::from_file(file, &sizes).unwrap().graph, &[]);
    assert_eq!(group_sizes(&lanes), [6]);
    assert_eq!(pinned(&lanes, "stem.conv.weight")[0].0, PinCode::Counted);
}
