//! Splicing: what is not touched stays byte for byte what it was.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use import::proto::{
    ModelFile,
    onnx::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto},
    splice::{Edits, FUNCTIONS, INITIALIZER, Later, METADATA_PROPS, NODE, OPSET_IMPORT, SpliceError},
};
use proptest::prelude::*;
use prost::Message;

fn node(name: &str) -> NodeProto {
    NodeProto {
        input: vec![Bytes::from_static(b"x")],
        output: vec![Bytes::copy_from_slice(name.as_bytes())],
        name: Some(Bytes::copy_from_slice(name.as_bytes())),
        op_type: Some(Bytes::from_static(b"Relu")),
        ..NodeProto::default()
    }
}

fn tensor(name: &str, values: &[f32]) -> TensorProto {
    import::Tensor::from_f32(&[values.len()], values).unwrap().to_proto(name)
}

/// A number in more bytes than it needs, as some writers leave room for lengths.
fn long_varint(value: u8) -> [u8; 3] {
    [value | 0x80, 0x80, 0]
}

/// One length-delimited field.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = payload.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(payload);
    bytes
}

/// A model whose encoding no encoder of ours would choose: a long varint, an unknown field at
/// every level, packed repeats, fields out of order.
fn unusual() -> Bytes {
    let mut odd_node = node("second").encode_to_vec();
    odd_node.extend([0xf8, 0x01, 7]); // field 31, a varint
    let mut packed = Vec::new();
    packed.extend(field(1, &[2, 3])); // dims, packed
    packed.extend([0x10, 1]);
    packed.extend(field(9, &[0; 24]));
    packed.extend(field(8, b"w"));

    let mut graph = Vec::new();
    graph.extend(field(5, &packed));
    graph.extend(field(1, &node("first").encode_to_vec()));
    graph.extend([0xd8, 0x02, 1]); // field 43, a varint
    graph.extend(field(1, &odd_node));
    graph.extend(field(2, b"the graph"));
    graph.extend(field(1, &node("third").encode_to_vec()));

    let mut model = vec![0x08];
    model.extend(long_varint(8));
    model.extend([0xeb, 0x02, 0x08, 1, 0xec, 0x02]); // field 45, a group
    model.extend(field(7, &graph));
    model.extend(field(8, &[0x10, 17]));
    model.into()
}

fn decode(bytes: &Bytes) -> ModelProto {
    ModelProto::decode(bytes.clone()).unwrap()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn without_edits_the_file_is_the_same_bytes() {
    let source = unusual();
    let spliced = Edits::new().splice(&source).unwrap();
    assert_eq!(spliced.to_bytes(), source);
    assert_eq!(spliced.to_bytes().as_ptr(), source.as_ptr(), "copied");
    let mut written = Vec::new();
    spliced.write_to(&mut written).unwrap();
    assert_eq!(written, source);
}

#[test]
fn untouched_elements_keep_their_bytes() {
    let source = unusual();
    let mut edits = Edits::new();
    edits.remove(NODE, 0);
    edits.replace(INITIALIZER, 0, tensor("w", &[1.0]));
    edits.insert(NODE, 2, node("new"));
    edits.append(INITIALIZER, tensor("v", &[2.0, 3.0]));
    edits.append(OPSET_IMPORT, OperatorSetIdProto::default());
    edits.append(METADATA_PROPS, Default::default());
    let spliced = edits.splice(&source).unwrap();
    let bytes = spliced.to_bytes();
    assert_eq!(spliced.len(), bytes.len() as u64);

    let proto = decode(&bytes);
    let graph = proto.graph.unwrap();
    let names: Vec<_> = graph.node.iter().map(|node| node.name().to_vec()).collect();
    assert_eq!(names, [&b"second"[..], b"new", b"third"]);
    assert_eq!(graph.initializer.len(), 2);
    assert_eq!(graph.initializer[0].dims, [1]);
    assert_eq!(proto.opset_import.len(), 2);
    assert_eq!(proto.metadata_props.len(), 1);
    assert!(contains(&bytes, &[0xd8, 0x02, 1]), "the graph's unknown field");
    assert!(contains(&bytes, &[0xf8, 0x01, 7]), "the node's unknown field");
    assert!(contains(&bytes, &[0xeb, 0x02, 0x08, 1, 0xec, 0x02]), "the group");
    assert!(bytes.starts_with(&source[..4]), "the long varint");
}

#[test]
fn a_touched_element_may_not_lose_a_field() {
    let source = unusual();
    let replaced = |lossy| {
        let mut edits = Edits::new().lossy(lossy);
        edits.replace(NODE, 1, node("other"));
        edits.splice(&source)
    };
    let refused = replaced(false).err().unwrap();
    assert_eq!(refused, SpliceError::UnknownField { element: "node", index: 1, field: 31 });
    assert!(!contains(&replaced(true).unwrap().to_bytes(), &[0xf8, 0x01, 7]));
}

#[test]
fn a_field_unknown_deep_inside_is_found() {
    let mut attribute = field(1, b"value");
    let mut inner = tensor("t", &[1.0]).encode_to_vec();
    inner.extend([0xf8, 0x01, 7]);
    attribute.extend(field(5, &inner));
    let mut holder = node("constant").encode_to_vec();
    holder.extend(field(5, &attribute));
    let source: Bytes = field(7, &field(1, &holder)).into();
    let mut edits = Edits::new();
    edits.replace(NODE, 0, node("other"));
    assert!(matches!(edits.splice(&source), Err(SpliceError::UnknownField { field: 31, .. })));
}

#[test]
fn a_graph_in_two_pieces_is_copied_but_not_edited() {
    let mut source = field(7, &field(1, &node("a").encode_to_vec()));
    source.extend(field(7, &field(1, &node("b").encode_to_vec())));
    let source: Bytes = source.into();
    assert_eq!(decode(&source).graph.unwrap().node.len(), 2, "merged");

    assert_eq!(Edits::new().splice(&source).unwrap().to_bytes(), source);
    let mut model_only = Edits::new();
    model_only.append(OPSET_IMPORT, OperatorSetIdProto::default());
    assert!(model_only.splice(&source).unwrap().to_bytes().starts_with(&source));
    let mut edits = Edits::new();
    edits.remove(NODE, 1);
    assert_eq!(edits.splice(&source).err(), Some(SpliceError::SplitGraph { pieces: 2 }));
}

#[test]
fn edits_need_their_element() {
    let mut edits = Edits::new();
    edits.remove(NODE, 3);
    assert_eq!(edits.splice(&unusual()).err(), Some(SpliceError::NoSuchElement { element: "node", index: 3 }));
    let mut edits = Edits::new();
    edits.remove(FUNCTIONS, 0);
    assert!(edits.splice(&unusual()).is_err());
}

/// What a random edit does at one place.
#[derive(Clone, Debug)]
enum Step {
    Keep,
    Remove,
    Replace,
    Insert,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![Just(Step::Keep), Just(Step::Remove), Just(Step::Replace), Just(Step::Insert)];
    prop::collection::vec(step, 0..8)
}

/// Applies the same steps to a list, for comparison.
fn apply<T: Clone>(list: &[T], steps: &[Step], fresh: &T) -> Vec<T> {
    let mut result = Vec::new();
    for (element, step) in list.iter().zip(steps) {
        match step {
            Step::Keep => result.push(element.clone()),
            Step::Remove => {}
            Step::Replace => result.push(fresh.clone()),
            Step::Insert => result.extend([fresh.clone(), element.clone()]),
        }
    }
    result.push(fresh.clone());
    result
}

fn edit<T: Message + Clone + 'static>(
    edits: &mut Edits,
    field: import::proto::splice::Repeated<T>,
    steps: &[Step],
    fresh: &T,
) {
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Keep => {}
            Step::Remove => edits.remove(field, index),
            Step::Replace => edits.replace(field, index, fresh.clone()),
            Step::Insert => edits.insert(field, index, fresh.clone()),
        }
    }
    edits.append(field, fresh.clone());
}

proptest! {
    /// Splicing is what editing the decoded lists would be.
    #[test]
    fn edits_do_what_they_say(nodes in steps(), tensors in steps(), sizes in prop::collection::vec(0usize..70, 8)) {
        let graph = GraphProto {
            node: (0..nodes.len()).map(|i| node(&"n".repeat(sizes[i] * 3))).collect(),
            initializer: (0..tensors.len()).map(|i| tensor("t", &vec![0.5; sizes[i]])).collect(),
            ..GraphProto::default()
        };
        let model = ModelProto { ir_version: Some(8), graph: Some(graph.clone()), ..ModelProto::default() };
        let source: Bytes = model.encode_to_vec().into();
        let (fresh_node, fresh_tensor) = (node("fresh"), tensor("fresh", &[1.0; 40]));
        let mut edits = Edits::new();
        edit(&mut edits, NODE, &nodes, &fresh_node);
        edit(&mut edits, INITIALIZER, &tensors, &fresh_tensor);
        let spliced = edits.splice(&source).unwrap();
        let bytes = spliced.to_bytes();
        prop_assert_eq!(spliced.len(), bytes.len() as u64);
        let result = decode(&bytes).graph.unwrap();
        prop_assert_eq!(result.node, apply(&graph.node, &nodes, &fresh_node));
        prop_assert_eq!(result.initializer, apply(&graph.initializer, &tensors, &fresh_tensor));
    }

    /// No bytes, however wrong, make the splicer panic; without edits it changes nothing.
    #[test]
    fn any_bytes_are_spliced_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let source = Bytes::from(bytes);
        if let Ok(spliced) = Edits::new().splice(&source) {
            prop_assert_eq!(spliced.to_bytes(), source.clone());
        }
        let mut edits = Edits::new();
        edits.remove(NODE, 0);
        let _ = edits.splice(&source);
    }
}

/// Files people have: identity, and every node and tensor replaced by itself decodes the same.
#[test]
fn models_of_others_survive() {
    let Some(folder) = fixtures::needs::shared("models") else { return };
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "onnx")) {
        let file = ModelFile::open(&path).unwrap();
        let same = Edits::new().splice(&file.bytes).unwrap().to_bytes();
        assert_eq!(same, file.bytes, "{}", path.display());

        let mut edits = Edits::new();
        let graph = file.proto.graph.as_ref().unwrap();
        for (index, node) in graph.node.iter().enumerate() {
            edits.replace(NODE, index, node.clone());
        }
        for (index, tensor) in graph.initializer.iter().enumerate() {
            edits.replace(INITIALIZER, index, tensor.clone());
        }
        let rebuilt = edits.splice(&file.bytes).unwrap().to_bytes();
        assert!(decode(&rebuilt) == file.proto, "{}", path.display());
    }
}

#[test]
fn elements_made_while_writing_are_those_that_were_announced() {
    let source = ModelFile::from_bytes(unusual()).unwrap();
    let tensor = tensor("w", &[1.0, 2.0, 3.0, 4.0]);
    let data = tensor.raw_data.clone().unwrap();
    let later = |length| {
        let (head, data) = (tensor.clone(), data.clone());
        let mut edits = Edits::new().lossy(true);
        edits.replace_later(0, Later::new(head, length, move || data.clone()));
        edits.splice(&source.bytes).unwrap()
    };
    let spliced = later(data.len());
    let bytes = spliced.to_bytes();
    assert_eq!(bytes.len() as u64, spliced.len());
    assert_eq!(ModelFile::from_bytes(bytes).unwrap().proto.graph.unwrap().initializer[0], tensor);
    assert!(later(data.len() + 4).write_to(&mut Vec::new()).is_err());
}
