//! Models with a fixed batch get a copy that takes any.
#![allow(clippy::unwrap_used)]

use fixtures::models::small;
use import::Model;
use import::graph::batch::{Freed, free};
use import::proto::ModelFile;

#[test]
fn a_free_batch_needs_no_copy() {
    let file = ModelFile::from_bytes(small::chain().into()).unwrap();
    assert!(matches!(free(&file, false).unwrap(), Freed::Already));
}

#[test]
fn a_reshape_that_names_the_batch_is_freed() {
    let file = ModelFile::from_bytes(small::fixed_batch().into()).unwrap();
    let Freed::Copy { bytes, batch } = free(&file, false).unwrap() else { panic!("not freed") };
    assert_eq!(batch, 1);
    let copy = Model::from_bytes(bytes).unwrap();
    assert!(copy.refusals.is_empty(), "{:?}", copy.refusals);
    assert!(copy.graph.batch().unwrap().value().is_none());
    let output = copy.graph.value(copy.graph.outputs[0]).shape.clone().unwrap();
    assert_eq!(output[0], *copy.graph.batch().unwrap());
    let names = |bytes: bytes::Bytes| {
        let graph = ModelFile::from_bytes(bytes).unwrap().proto.graph.unwrap();
        graph.initializer.iter().map(|it| String::from_utf8_lossy(it.name()).into_owned()).collect::<Vec<_>>()
    };
    let Freed::Copy { bytes, .. } = free(&file, false).unwrap() else { panic!("not freed") };
    assert_eq!(names(bytes).len(), names(file.bytes.clone()).len(), "the old list went as the new one came");
}
