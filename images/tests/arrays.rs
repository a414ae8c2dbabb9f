//! Arrays as samples: stacks, single files, splits, labels, and what is refused.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use images::data::{Role, open_for};
use images::intake::{Input, Intake, Origin};
use images::values::{Element, Values};

/// An `.npy` file of 32-bit floats that count up from `from`.
fn counting(path: &Path, shape: &[usize], from: usize) {
    let count: usize = shape.iter().product();
    let bytes: Vec<u8> = (from..from + count).flat_map(|value| (value as f32).to_le_bytes()).collect();
    write(path, "<f4", shape, &bytes);
}

fn write(path: &Path, dtype: &str, shape: &[usize], bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), bytes].concat()).unwrap();
}

/// One input of `[2, 3]`.
fn intake(element: Element) -> Intake {
    let from = Origin::Array("x".into());
    Intake(vec![Input { name: "x".into(), sample: vec![2, 3], axis: Some(0), element, from }])
}

#[test]
fn stacks_are_split_by_what_their_files_are_called() {
    let folder = tempfile::tempdir().unwrap();
    counting(&folder.path().join("x_train.npy"), &[5, 2, 3], 0);
    counting(&folder.path().join("x_test.npy"), &[2, 2, 3], 100);
    write(&folder.path().join("labels_test.npy"), "|u1", &[2], &[4, 1]);
    let intake = intake(Element::F32);
    let dataset = open_for(folder.path(), &intake).unwrap();
    let [train, test] = dataset.splits.as_slice() else { panic!("{:?}", dataset.splits) };
    assert_eq!((train.role(), train.len(), train.has_labels()), (Role::Train, 5, false));
    assert_eq!((test.role(), test.labels().unwrap(), dataset.classes.len()), (Role::Test, vec![4, 1], 5));
    let second = intake.values(test, 1).unwrap();
    assert_eq!(second, [Values::F32((106..112).map(|value| value as f32).collect())]);
}

#[test]
fn files_of_one_sample_lie_as_pictures_do() {
    let folder = tempfile::tempdir().unwrap();
    for (class, from) in [("cat", 0), ("dog", 50)] {
        for number in 0..3 {
            counting(&folder.path().join(format!("{class}/{number}.npy")), &[2, 3], from + number);
        }
    }
    let intake = intake(Element::F64);
    let dataset = open_for(folder.path(), &intake).unwrap();
    let set = &dataset.splits[0];
    assert_eq!(
        (dataset.classes.as_slice(), set.labels().unwrap()),
        (&["cat".into(), "dog".into()][..], vec![0, 0, 0, 1, 1, 1])
    );
    assert_eq!((set.key(4), intake.values(set, 4).unwrap()[0].to_f64()[0]), ("dog/1.npy".to_owned(), 51.0));
    assert!(set.picture(0).unwrap_err().to_string().contains("is no picture"));
}

#[test]
fn what_an_input_does_not_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let refused = |intake: &Intake| {
        let dataset = open_for(&path, intake);
        dataset.and_then(|dataset| intake.values(&dataset.splits[0], 0)).unwrap_err().to_string()
    };
    counting(&path, &[4, 2, 2], 0);
    assert!(refused(&intake(Element::F32)).contains("`x` is f32 [2, 2], and the network takes f32 [2, 3]"));
    counting(&path, &[4, 2, 3], 0);
    assert!(refused(&intake(Element::I64)).contains("`x` is f32 [2, 3], and the network takes i64 [2, 3]"));
    counting(&path, &[2, 4, 2, 3], 0);
    assert!(refused(&intake(Element::F32)).contains("takes 2 axes for a sample"));
    write(&path, ">f4", &[1, 2, 3], &[0; 24]);
    assert!(refused(&intake(Element::F32)).contains(">f4"));
    write(&folder.path().join("labels.npy"), "|u1", &[3], &[0; 3]);
    counting(&path, &[4, 2, 3], 0);
    let error = open_for(folder.path(), &intake(Element::F32)).unwrap_err().to_string();
    assert!(error.contains("3 labels for 4 pictures"), "{error}");
}
