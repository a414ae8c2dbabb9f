//! A set of small colour pictures drawn by the program itself, for use without any download.
//!
//! Ten classes of solids, told apart by their outline alone: colour, pose, light, texture, shadow, clutter, an occluding
//! bar and sensor noise are drawn independently of the class. Every picture is a function of (seed, split, index).

mod scene;
mod shape;
mod texture;

use crate::{
    Picture,
    data::{DataError, Dataset, ImageSet, Kind, LeftOut, Role, Source},
    draw,
};
use shape::Shape;
use std::sync::Arc;

/// The seed of the set that `procedural` names.
pub const SEED: u64 = 1;

/// Rows and columns of a picture.
pub const SIDE: usize = 32;

/// The splits and their numbers of pictures.
const SPLITS: [(Role, usize); 3] = [(Role::Train, 10_000), (Role::Validation, 1_000), (Role::Test, 2_000)];

/// The set with the usual numbers of pictures: 10,000 for training, 1,000 for validation, 2,000 for testing.
pub fn dataset(seed: u64) -> Dataset {
    Dataset {
        kind: Kind::Procedural,
        classes: Shape::ALL.iter().map(|shape| shape.name().to_owned()).collect(),
        splits: SPLITS.into_iter().map(|(role, len)| split(seed, role, len)).collect(),
        left_out: LeftOut::default(),
    }
}

/// One split with `len` pictures; classes take turns, so every prefix is balanced.
pub fn split(seed: u64, role: Role, len: usize) -> ImageSet {
    let labels = (0..len).map(|index| (index % Shape::ALL.len()) as u32).collect();
    ImageSet::new(role.name(), role, Arc::new(Drawn { seed, role }), len, Some(labels))
}

/// Pictures that are drawn when asked for.
struct Drawn {
    seed: u64,
    role: Role,
}

impl Source for Drawn {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        let shape = Shape::ALL[index % Shape::ALL.len()];
        let purpose = format!("procedural {}", self.role.name());
        Ok(scene::picture(shape, &mut draw::rng(self.seed, &purpose, 0, index as u64)))
    }

    fn name(&self, index: usize) -> String {
        format!("procedural {} picture {index}", self.role.name())
    }
}
