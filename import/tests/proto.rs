//! Reading model files and stored tensors, and writing files whole.
#![allow(clippy::unwrap_used)]

use std::{fs, io, path::Path};

use bytes::Bytes;
use import::{
    DType, Tensor,
    external::{copy_external, external_files},
    proto::{
        ModelFile, ProtoError,
        onnx::{DataLocation, GraphProto, ModelProto, StringStringEntryProto, TensorProto, text},
        write_atomic,
    },
    tensor::TensorError,
};
use proptest::prelude::*;
use prost::Message;

fn name(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn model(tensors: Vec<TensorProto>) -> Bytes {
    let graph = GraphProto { initializer: tensors, ..GraphProto::default() };
    let model = ModelProto { ir_version: Some(8), graph: Some(graph), ..ModelProto::default() };
    model.encode_to_vec().into()
}

fn weights() -> TensorProto {
    let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
    Tensor::from_f32(&[10, 10], &values).unwrap().to_proto("w")
}

#[test]
fn weights_are_slices_of_the_file() {
    let file = ModelFile::from_bytes(model(vec![weights()])).unwrap();
    let graph = file.proto.graph.as_ref().unwrap();
    let tensor = Tensor::from_proto(&graph.initializer[0], file.folder()).unwrap();
    let (start, end) = (file.bytes.as_ptr(), file.bytes.as_ptr_range().end);
    assert!(tensor.data.as_ptr() > start && tensor.data.as_ptr() < end);
    assert_eq!(tensor.to_f32().unwrap()[99], 99.0);
}

#[test]
fn what_is_not_a_model_is_named() {
    let message = |bytes: &'static [u8]| {
        let error = ModelFile::from_bytes(Bytes::from_static(bytes)).unwrap_err();
        error.to_string()
    };
    assert!(message(b"").contains("is empty"));
    assert!(message(b"\x89PNG\r\n\x1a\n and so on").contains("a PNG picture"));
    assert!(message(b"hello, this is a letter\n").contains("a text file"));
    assert!(message(b"\x08\x08").contains("holds no ONNX graph"));
    assert!(message(b"\x08\x63\x3a\x00").contains("IR version 99"));
    assert!(message(b"\x08\x08\x3a\x03\x0f\x0f\x0f").contains("not a readable ONNX model"));
}

#[test]
fn a_missing_file_is_named() {
    let error = ModelFile::open(Path::new("no/such/model.onnx")).unwrap_err();
    assert!(matches!(error, ProtoError::CannotRead { .. }));
    assert!(error.to_string().contains("no/such/model.onnx"));
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let bytes = model(vec![weights()]);
    for length in 3..bytes.len() {
        let error = ModelFile::from_bytes(bytes.slice(..length)).unwrap_err();
        assert!(matches!(error, ProtoError::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn names_need_not_be_utf8() {
    let mut tensor = weights();
    tensor.name = Some(Bytes::from_static(b"caf\xe9"));
    let file = ModelFile::from_bytes(model(vec![tensor])).unwrap();
    let graph = file.proto.graph.unwrap();
    assert_eq!(text(&graph.initializer[0].name), "caf\u{fffd}");
}

#[test]
fn typed_fields_give_the_same_bytes_as_raw() {
    let stored = |dtype: DType, fill: fn(&mut TensorProto)| {
        let mut proto = TensorProto { dims: vec![3], data_type: Some(dtype.code()), ..TensorProto::default() };
        fill(&mut proto);
        Tensor::from_proto(&proto, Path::new("")).unwrap()
    };
    let half = stored(DType::F16, |it| it.int32_data = vec![0x3c00, 0xc000, 0]);
    assert_eq!(half.to_f32().unwrap(), [1.0, -2.0, 0.0]);
    let brain = stored(DType::BF16, |it| it.int32_data = vec![0x3f80, 0xc000, 0]);
    assert_eq!(brain.to_f64().unwrap(), [1.0, -2.0, 0.0]);
    let small = stored(DType::I8, |it| it.int32_data = vec![-1, 2, -3]);
    assert_eq!(small.to_i64().unwrap(), [-1, 2, -3]);
    let unsigned = stored(DType::U32, |it| it.uint64_data = vec![1, 2, 1 << 31]);
    assert_eq!(unsigned.to_i64().unwrap(), [1, 2, 1 << 31]);
    let double = stored(DType::F64, |it| it.double_data = vec![0.1, 0.2, 0.3]);
    assert_eq!(double.to_f64().unwrap(), [0.1, 0.2, 0.3]);
    let nibbles = stored(DType::I4, |it| it.int32_data = vec![0x21, 0x03]);
    assert_eq!(nibbles.data[..], [0x21, 0x03]);
}

#[test]
fn sizes_are_checked() {
    let read = |dims: Vec<i64>| {
        let proto = TensorProto { dims, ..weights() };
        Tensor::from_proto(&proto, Path::new("")).unwrap_err()
    };
    assert!(matches!(read(vec![10, 11]), TensorError::WrongSize { .. }));
    assert!(matches!(read(vec![-1, 10]), TensorError::BadShape { .. }));
    assert!(matches!(read(vec![i64::MAX, i64::MAX]), TensorError::BadShape { .. }));
}

fn external(location: &str, offset: &str) -> TensorProto {
    let entry = |key: &str, value: &str| StringStringEntryProto { key: name(key), value: name(value) };
    TensorProto {
        raw_data: None,
        data_location: Some(DataLocation::External as i32),
        external_data: vec![entry("location", location), entry("offset", offset)],
        ..weights()
    }
}

#[test]
fn external_data_is_found_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights().raw_data.unwrap();
    let mut data = vec![7u8; 64];
    data.extend_from_slice(&weights);
    fs::write(folder.path().join("w.bin"), data).unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, model(vec![external("w.bin", "64")])).unwrap();

    let file = ModelFile::open(&path).unwrap();
    let stored = &file.proto.graph.as_ref().unwrap().initializer[0];
    let tensor = Tensor::from_proto(stored, file.folder()).unwrap();
    assert_eq!(tensor.data, weights);
    let beyond = Tensor::from_proto(&external("w.bin", "65"), file.folder());
    assert!(matches!(beyond, Err(TensorError::External { .. })));

    let elsewhere = tempfile::tempdir().unwrap();
    let files = external_files(&file.proto).unwrap();
    copy_external(&files, file.folder(), elsewhere.path()).unwrap();
    let moved = Tensor::from_proto(stored, elsewhere.path()).unwrap();
    assert_eq!(moved.data, weights);
    copy_external(&files, file.folder(), file.folder()).unwrap();
    assert_eq!(tensor.data, weights, "copying a file onto itself");
}

#[test]
fn external_data_cannot_leave_the_folder() {
    for location in ["../w.bin", "/etc/passwd", "a/../../w.bin", ""] {
        let error = Tensor::from_proto(&external(location, "0"), Path::new("")).unwrap_err();
        assert!(matches!(error, TensorError::Escapes { .. }), "{location}");
    }
}

#[test]
fn writing_is_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    write_atomic(&path, |writer| writer.write_all(b"first")).unwrap();
    let error = write_atomic(&path, |writer| {
        writer.write_all(b"half of the sec")?;
        Err(io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert!(error.to_string().contains("out.onnx"));
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "left over");
    assert!(write_atomic(&folder.path().join("no/such/f"), |_| Ok(())).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(file) = ModelFile::from_bytes(bytes.into()) {
            for tensor in &file.proto.graph.unwrap().initializer {
                let _ = Tensor::from_proto(tensor, Path::new("/nonexistent"));
            }
        }
    }
}
