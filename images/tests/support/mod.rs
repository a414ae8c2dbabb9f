//! Data sets of every form, written by tests.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod parquet;

use image::RgbImage;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A picture of one colour in any format.
pub(crate) fn write_picture(path: &Path, colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(4, 3, image::Rgb(colour)).save(path).unwrap();
}

pub(crate) fn folder_of(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (index, file) in files.iter().enumerate() {
        write_picture(&root.path().join(file), [10 * index as u8, 100, 200]);
    }
    root
}

/// An IDX file of bytes.
pub(crate) fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|n| file.extend(n.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Records of CIFAR-10's binary form: red, green and blue planes of one value each.
pub(crate) fn cifar_record(label: u8, colour: [u8; 3]) -> Vec<u8> {
    [vec![label], vec![colour[0]; 1024], vec![colour[1]; 1024], vec![colour[2]; 1024]].concat()
}

/// A NumPy file.
pub(crate) fn npy(dtype: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({axes}), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}
