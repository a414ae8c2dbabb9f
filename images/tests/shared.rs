//! Real data sets, where a copy lies beside the repository.
#![allow(clippy::unwrap_used)]

use images::{
    data::{self, Dataset, Kind},
    preprocess::Preprocess,
};

fn shared(name: &str) -> Option<Dataset> {
    fixtures::needs::shared(&format!("data/{name}")).map(|path| data::open(&path).unwrap())
}

#[test]
fn cifar10_from_parquet_has_the_published_digests() {
    let Some(set) = shared("cifar10") else { return };
    assert_eq!(set.kind, Kind::Parquet);
    assert_eq!(set.classes[0], "airplane");
    assert_eq!(set.classes.len(), 10);
    for (split, len, pixels, labels) in [
        (
            "train",
            50_000,
            "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
            "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        ),
        (
            "test",
            10_000,
            "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
            "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        ),
    ] {
        let split = set.split(split).unwrap();
        assert_eq!(split.len(), len);
        let digest = split.digest().unwrap();
        assert_eq!((digest.pixels.as_str(), digest.labels.as_deref()), (pixels, Some(labels)));
    }
}

#[test]
fn mnist_from_idx_has_the_published_counts() {
    let Some(set) = shared("mnist") else { return };
    assert_eq!(set.kind, Kind::Idx);
    let test = set.split("test").unwrap();
    let mut counts = [0; 10];
    test.labels().unwrap().iter().for_each(|label| counts[*label as usize] += 1);
    assert_eq!(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let first = test.picture(0).unwrap();
    assert_eq!((first.channels, first.height, first.width), (1, 28, 28));
}

#[test]
fn photos_from_folders_fit_a_network_of_photographs() {
    let Some(set) = shared("photos") else { return };
    assert_eq!(set.kind, Kind::Folder);
    assert_eq!(set.classes[0], "airplanes");
    let train = set.split("train").unwrap();
    let val = set.divide(&data::Choice::default()).unwrap().measure;
    assert_eq!((train.len(), val.len(), val.name()), (600, 180, "val"));
    let network = Preprocess::infer(&[None, Some(3), Some(224), Some(224)]).unwrap();
    let pixels = val.pixels_all(&network, 0..180).unwrap();
    assert!(pixels.iter().all(|p| (p.channels, p.height, p.width) == (3, 224, 224)));
    // The 14 greyscale files of both splits become colour pictures with equal planes.
    let grey = |set: &data::ImageSet| (0..set.len()).filter(|i| set.picture(*i).unwrap().channels == 1).count();
    assert_eq!(grey(train) + grey(&val), 14);
}
