//! Folders, IDX, CIFAR batches and NumPy pairs, written by these tests and read back; and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use flate2::{Compression, write::GzEncoder};
use image::ImageFormat;
use images::{
    data::{self, DataError, Dataset, Kind, Reason, Role},
    preprocess::Preprocess,
};
use proptest::prelude::*;
use std::{fs, io::Write};
use support::{cifar_record, folder_of, idx, npy, write_picture};
use tempfile::TempDir;

fn open(root: &TempDir) -> Dataset {
    data::open(root.path()).unwrap()
}

fn refused(root: &TempDir) -> DataError {
    data::open(root.path()).unwrap_err()
}

fn splits(set: &Dataset) -> Vec<(String, usize)> {
    set.splits.iter().map(|split| (split.name().to_owned(), split.len())).collect()
}

#[test]
fn split_folders_with_class_folders() {
    let root = folder_of(&["test/b/1.png", "train/a/1.png", "train/a/2.ppm", "train/b/1.png", "train/.x/9.png"]);
    let set = open(&root);
    assert_eq!((set.kind, set.classes.as_slice()), (Kind::Folder, &["a".to_owned(), "b".to_owned()][..]));
    assert_eq!(splits(&set), [("train".to_owned(), 3), ("test".to_owned(), 1)]);
    assert_eq!(set.split("train").unwrap().labels().unwrap(), [0, 0, 1]);
    let test = set.split("eval").unwrap();
    assert_eq!(test.labels().unwrap(), [1]);
    assert_eq!(test.picture(0).unwrap().to_bytes()[..3], [0, 100, 200]);
}

#[test]
fn class_folders_alone_are_one_labelled_set_in_the_plain_order_of_names() {
    let set = open(&folder_of(&["2/a.png", "10/a.png", "_b/a.png", "Z/a.png", "a/a.png"]));
    assert_eq!(set.classes, ["10", "2", "Z", "_b", "a"], "as torchvision's sorted() has them");
    assert_eq!(splits(&set), [("all".to_owned(), 5)]);
    let set = open(&folder_of(&["car/a.png", "train/b.png"]));
    assert_eq!(set.classes, ["car", "train"]);
}

#[test]
fn names_with_an_underscore_and_deep_folders_are_read() {
    let set = open(&folder_of(&["_a/_MG_0001.png", "b/1/2/3/4/5/6/x.png"]));
    assert_eq!((set.classes.as_slice(), set.splits[0].len()), (&["_a".to_owned(), "b".to_owned()][..], 2));
    assert_eq!(set.left_out.describe(), None);
}

#[test]
fn what_is_left_out_is_counted_by_reason() {
    let root = folder_of(&["a/1.png", "a/2.png", "b/1.png", "b/.cache/2.png", "__MACOSX/a/1.png", "a/.DS_Store.png"]);
    fs::write(root.path().join("README.md"), "text").unwrap();
    fs::write(root.path().join("a/notes.txt"), "BMW").unwrap();
    fs::write(root.path().join("a/empty.jpg"), "").unwrap();
    fs::write(root.path().join("b/._1.png"), "fork").unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("b/up")).unwrap();
    let set = open(&root);
    assert_eq!((set.classes.len(), set.splits[0].len()), (2, 3));
    let count = |reason| set.left_out.count(reason);
    assert_eq!([Reason::Hidden, Reason::ResourceFork, Reason::Empty, Reason::UnknownForm].map(count), [2, 2, 1, 2]);
    assert_eq!(count(Reason::Circular), 1);
    let line = set.left_out.describe().unwrap();
    assert!(line.contains("2 hidden (such as `.DS_Store.png`)") && line.contains("1 empty (`empty.jpg`)"), "{line}");
    let none = tempfile::tempdir().unwrap();
    fs::write(none.path().join("a.heic"), "xxxx").unwrap();
    assert!(refused(&none).to_string().contains("1 of an unknown form (`a.heic`)"), "{}", refused(&none));
}

#[test]
fn common_forms_of_pictures_are_read_and_half_of_each_is_refused_by_name() {
    let picture = image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([(x * 10) as u8, (y * 15) as u8, 128]));
    for ending in ["bmp", "gif", "jpg", "png", "ppm", "tiff", "webp"] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(format!("_1.{ending}"));
        picture.save(&path).unwrap();
        let decoded = open(&root).splits[0].picture(0).unwrap();
        assert_eq!((decoded.channels, decoded.height, decoded.width), (3, 16, 24), "{ending}");
        // GIF has a palette of 256 colours, JPEG is lossy.
        let far = decoded.to_bytes().iter().zip(picture.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(far <= if matches!(ending, "gif" | "jpg") { 48 } else { 0 }, "{ending}: {far}");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = open(&root).splits[0].picture(0).unwrap_err().to_string();
        assert!(error.contains(&format!("_1.{ending}")), "{ending}: {error}");
    }
}

#[test]
fn a_jpeg_that_lacks_its_last_bytes_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.jpg");
    image::RgbImage::from_pixel(64, 64, image::Rgb([200, 10, 10])).save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
    let error = open(&root).splits[0].picture(0).unwrap_err().to_string();
    assert!(error.contains("a.jpg: it is cut off"), "{error}");
}

/// A JPEG file's bytes with an EXIF segment that states this orientation.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], &[0; 6]].concat();
    let segment = [b"Exif\0\0", &tiff[..]].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}

#[test]
fn an_exif_orientation_is_counted_and_honoured_where_asked() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.jpg");
    // Bright above, dark below.
    let picture = image::GrayImage::from_fn(16, 8, |_, y| image::Luma([if y < 4 { 220 } else { 30 }]));
    picture.save(&path).unwrap();
    let upright = fs::read(&path).unwrap();
    assert_eq!(open(&root).splits[0].turned(), 0);
    for (orientation, turned) in [(1, 0), (3, 1), (6, 1)] {
        fs::write(&path, oriented(&upright, orientation)).unwrap();
        assert_eq!(open(&root).splits[0].turned(), turned, "orientation {orientation}");
    }
    let set = open(&root).splits[0].clone();
    let mut input = Preprocess::infer(&[None, Some(1), Some(16), Some(8)]).unwrap();
    assert!(set.pixels(0, &input).is_err(), "as it is stored it is 8 rows of 16");
    input.orient = true;
    let pixels = set.pixels(0, &input).unwrap();
    // Turned to the right, what was above is on the right.
    assert!(pixels.data[0] < 0.3 && pixels.data[7] > 0.7, "{:?}", &pixels.data[..8]);
}

#[test]
fn a_flat_folder_has_no_labels() {
    let set = open(&folder_of(&["a.png", "b.ppm"]));
    let all = set.split("all").unwrap();
    assert_eq!((all.len(), all.label(0), set.classes.len()), (2, None, 0));
    assert!(all.labels().unwrap_err().to_string().contains("no labels"));
}

#[test]
fn grey_jpeg_and_16_bit_png_are_read() {
    let root = tempfile::tempdir().unwrap();
    let grey = image::GrayImage::from_pixel(8, 8, image::Luma([77]));
    grey.save_with_format(root.path().join("a.jpg"), ImageFormat::Jpeg).unwrap();
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(2, 2, image::Luma([65535 / 4]));
    deep.save(root.path().join("b.png")).unwrap();
    let set = open(&root);
    let pictures: Vec<_> = (0..2).map(|i| set.splits[0].picture(i).unwrap()).collect();
    assert_eq!((pictures[0].channels, pictures[1].channels), (1, 1));
    assert!(pictures[0].to_bytes().iter().all(|v| v.abs_diff(77) < 3));
    assert!((pictures[1].data[0] - 0.25).abs() < 1e-4);
}

#[test]
fn layouts_that_mean_two_things_are_refused() {
    assert!(matches!(refused(&folder_of(&["a.png", "cat/b.png"])), DataError::Layout { .. }));
    assert!(matches!(refused(&folder_of(&["cat/b.png", "train/cat/c.png"])), DataError::Layout { .. }));
    let unknown = refused(&folder_of(&["train/cat/a.png", "val/cat/b.png", "val/dog/c.png"]));
    assert!(matches!(unknown, DataError::UnknownClass { .. }));
    assert!(unknown.to_string().contains("dog"), "{unknown}");
    let empty = folder_of(&["train/cat/a.png", "val/cat/b.png"]);
    fs::create_dir(empty.path().join("train/dog")).unwrap();
    assert!(refused(&empty).to_string().contains("dog: the class folder holds no pictures"));
}

#[test]
fn nothing_and_two_forms_are_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(refused(&root), DataError::NoPictures { .. }));
    fs::write(root.path().join("README.md"), "text").unwrap();
    assert!(matches!(refused(&root), DataError::NoPictures { .. }));
    write_picture(&root.path().join("a.png"), [1, 2, 3]);
    fs::write(root.path().join("x.npy"), npy("|u1", &[1, 2, 2], &[0; 4])).unwrap();
    assert!(matches!(refused(&root), DataError::Mixed { .. }));
    let missing = data::open(&root.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("nowhere"), "{missing}");
}

#[test]
fn a_picture_that_cannot_be_decoded_is_named() {
    let root = folder_of(&["a.png"]);
    fs::write(root.path().join("broken.jpg"), "this is text").unwrap();
    let error = open(&root).splits[0].picture(1).unwrap_err().to_string();
    assert!(error.contains("broken.jpg: it cannot be decoded"), "{error}");
    let png = fs::read(root.path().join("a.png")).unwrap();
    fs::write(root.path().join("a.png"), &png[..png.len() / 2]).unwrap();
    assert!(matches!(open(&root).splits[0].picture(0), Err(DataError::Picture { .. })));
}

#[test]
fn a_split_that_is_not_there_is_answered_with_those_that_are() {
    let set = open(&folder_of(&["train/a/1.png", "val/a/1.png"]));
    let error = set.split("test").unwrap_err().to_string();
    assert!(error.contains("`test`, only train, val"), "{error}");
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_files_gzipped_or_not() {
    let root = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..18).collect();
    let write = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).unwrap();
    write("train-images-idx3-ubyte", &idx(&[3, 2, 3], &pixels));
    write("train-labels-idx1-ubyte", &idx(&[3], &[2, 0, 1]));
    write("t10k-images-idx3-ubyte.gz", &gzipped(&idx(&[1, 2, 3], &pixels[6..12])));
    write("t10k-labels-idx1-ubyte.gz", &gzipped(&idx(&[1], &[3])));
    let set = open(&root);
    assert_eq!((set.kind, set.classes.len()), (Kind::Idx, 4));
    assert_eq!(splits(&set), [("train".to_owned(), 3), ("test".to_owned(), 1)]);
    let train = set.role(Role::Train).unwrap();
    assert_eq!(train.labels().unwrap(), [2, 0, 1]);
    let picture = train.picture(2).unwrap();
    assert_eq!((picture.height, picture.width, picture.to_bytes()), (2, 3, (12..18).collect()));
    assert_eq!(set.splits[1].picture(0).unwrap().to_bytes(), (6..12).collect::<Vec<u8>>());
}

#[test]
fn idx_files_that_contradict_themselves_are_refused() {
    let with = |images: Vec<u8>, labels: Vec<u8>| {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train-images"), images).unwrap();
        fs::write(root.path().join("train-labels"), labels).unwrap();
        refused(&root)
    };
    let images = || idx(&[2, 1, 1], &[0; 2]);
    assert!(matches!(with(images(), idx(&[3], &[0; 3])), DataError::LabelCount { labels: 3, pictures: 2, .. }));
    assert!(matches!(with(idx(&[2, 1, 1], &[0; 1]), idx(&[2], &[0; 2])), DataError::Damaged { .. }));
    assert!(matches!(with(idx(&[2, 1, 1], &[0; 3]), idx(&[2], &[0; 2])), DataError::Damaged { .. }));
    assert!(matches!(with(idx(&[u32::MAX; 4], &[]), idx(&[2], &[0; 2])), DataError::Damaged { .. }));
    assert!(matches!(with(images(), idx(&[2, 1], &[0; 2])), DataError::Unsupported { .. }));
}

#[test]
fn cifar_batches_in_order_with_their_class_names() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).unwrap();
    write("data_batch_2.bin", &cifar_record(1, [7, 8, 9]));
    write("data_batch_1.bin", &[cifar_record(0, [1, 2, 3]), cifar_record(2, [4, 5, 6])].concat());
    write("test_batch.bin", &cifar_record(2, [250, 251, 252]));
    write("batches.meta.txt", b"plane\ncar\nbird\n\n");
    let set = open(&root);
    assert_eq!((set.kind, set.classes.as_slice()), (Kind::Cifar, &["plane", "car", "bird"].map(str::to_owned)[..]));
    let train = set.split("train").unwrap();
    assert_eq!(train.labels().unwrap(), [0, 2, 1]);
    assert_eq!(train.picture(1).unwrap().to_bytes()[..6], [4, 5, 6, 4, 5, 6]);
    assert_eq!(set.split("test").unwrap().picture(0).unwrap().to_bytes()[3069..], [250, 251, 252]);

    write("test_batch.bin", &[0; 100]);
    assert!(matches!(refused(&root), DataError::Damaged { .. }));
    write("test_batch.bin", &cifar_record(3, [0; 3]));
    assert!(refused(&root).to_string().contains("label 3 with only 3 classes"));
}

#[test]
fn numpy_pairs_in_both_layouts() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| fs::write(root.path().join(name), bytes).unwrap();
    write("x_train.npy", npy("|u1", &[2, 2, 2, 3], &(0..24).collect::<Vec<u8>>()));
    write("y_train.npy", npy("<i8", &[2, 1], &[1i64, 0].map(i64::to_le_bytes).concat()));
    let floats: Vec<u8> = (0..12u8).flat_map(|v| (f32::from(v) / 12.0).to_le_bytes()).collect();
    write("test_images.npy", npy("<f4", &[1, 3, 2, 2], &floats));
    write("test_labels.npy", npy("|u1", &[1], &[4]));
    let set = open(&root);
    assert_eq!((set.kind, set.classes.len()), (Kind::Npy, 5));
    let train = set.split("train").unwrap();
    assert_eq!(train.labels().unwrap(), [1, 0]);
    assert_eq!(train.picture(1).unwrap().to_bytes(), (12..24).collect::<Vec<u8>>());
    let planes = set.split("test").unwrap().picture(0).unwrap();
    let wanted = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map(|v| v as f32 / 12.0);
    assert_eq!(planes.data, wanted);
}

#[test]
fn numpy_files_that_are_no_pictures_are_refused() {
    let with = |file: Vec<u8>| {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("images.npy"), file).unwrap();
        refused(&root).to_string()
    };
    let normalised: Vec<u8> = [-2.1f32, 0.0, 1.0, 2.6].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert!(with(npy("<f4", &[1, 2, 2], &normalised)).contains("before normalisation"));
    assert!(with(npy("<f8", &[1, 2, 2], &[0; 32])).contains("float32"));
    assert!(with(npy("|u1", &[1, 2, 2], &[0; 3])).contains("3 bytes do not fill"));
    assert!(with(npy("|u1", &[usize::MAX, 2, 2], &[0; 4])).contains("do not fill"));
    assert!(with(npy("|u1", &[1, 5, 2, 2], &[0; 20])).contains("has the shape [1, 5, 2, 2]"));
    assert!(with(b"\x93NUMPY\x01\x00\xff".to_vec()).contains("ends within its header"));
    let mut columns = npy("|u1", &[1, 2, 2], &[0; 4]);
    let at = columns.windows(5).position(|w| w == b"False").unwrap();
    columns.splice(at..at + 5, *b"True ");
    assert!(with(columns).contains("column order"));
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..100) {
        let root = tempfile::tempdir().unwrap();
        let whole = npy("|u1", &[1, 2, 2], &[0; 4]);
        let mut damaged = whole[..cut.min(whole.len())].to_vec();
        damaged.extend(&bytes);
        fs::write(root.path().join("a.npy"), &damaged).unwrap();
        let _ = data::open(root.path());
        fs::remove_file(root.path().join("a.npy")).unwrap();
        fs::write(root.path().join("idx"), [&[0, 0, 8, 3][..], &bytes].concat()).unwrap();
        let _ = data::open(root.path());
    }
}

#[test]
fn selections_keep_labels_with_their_pictures() {
    let root = folder_of(&["a/1.png", "b/1.png", "c/1.png"]);
    let set = open(&root);
    let chosen = set.splits[0].select(&[2, 0, 9]);
    assert_eq!(chosen.labels().unwrap(), [2, 0]);
    assert_eq!(chosen.picture(0).unwrap().to_bytes()[0], 20);
    assert_eq!(chosen.take(1).len(), 1);
    assert!(matches!(chosen.picture(2), Err(DataError::OutOfRange { len: 2, index: 2, .. })));
}
