//! NumPy's files: arrays of any type, and pairs of them that hold pictures (bytes or 32-bit floats in either layout) and
//! labels (whole numbers).

use super::{
    DataError, Dataset, Kind, classes,
    listing::Listing,
    pairs,
    raw::{self, Raw},
};
use crate::values::{Element, Values};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};
use zip::ZipArchive;

/// An array of any type.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub values: Values,
}

impl Array {
    /// Entry `index` along the first axis; none beyond the end, or without axes.
    pub(super) fn sample(&self, index: usize) -> Option<Self> {
        let (count, shape) = self.shape.split_first()?;
        let stride: usize = shape.iter().product();
        let range = index * stride..(index + 1) * stride;
        (index < *count).then(|| Self { shape: shape.to_vec(), values: self.values.pick([range]) })
    }
}

/// The arrays of a `.npy` or `.npz` file, by name. The array of an `.npy` file is called after the file.
///
/// # Errors
/// It cannot be read, is damaged, or holds something else than numbers.
pub(super) fn arrays(path: &Path) -> Result<Vec<(String, Array)>, DataError> {
    let damaged = |problem: String| DataError::damaged(path, problem);
    if super::listing::kind_by_name(path) != Some(Kind::Npz) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, parse(path, &fs::read(path).map_err(DataError::unreadable(path))?)?.array(path)?)]);
    }
    let file = File::open(path).map_err(DataError::unreadable(path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let mut found = Vec::with_capacity(archive.len());
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).map_err(|error| damaged(error.to_string()))?;
        let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        found.push((name, parse(path, &bytes)?.array(path)?));
    }
    Ok(found)
}

/// A parsed `.npy` file: NumPy's type text, the shape, and the elements' bytes.
struct Npy {
    dtype: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Npy {
    fn array(self, path: &Path) -> Result<Array, DataError> {
        let element = match self.dtype.as_str() {
            "<f2" => Element::F16,
            "<f4" => Element::F32,
            "<f8" => Element::F64,
            "|i1" => Element::I8,
            "<i2" => Element::I16,
            "<i4" => Element::I32,
            "<i8" => Element::I64,
            "|u1" => Element::U8,
            "<u2" => Element::U16,
            "<u4" => Element::U32,
            "<u8" => Element::U64,
            "|b1" => Element::Bool,
            other => {
                return Err(unsupported_type(path, other, "arrays hold floats, integers or booleans, little-endian"));
            }
        };
        Ok(Array { shape: self.shape, values: Values::from_le_bytes(element, &self.bytes) })
    }
}

pub(super) fn open(listing: &Listing) -> Result<Dataset, DataError> {
    let arrays =
        listing.files.iter().map(|(path, _)| Ok((path.clone(), array(path)?))).collect::<Result<_, DataError>>()?;
    pairs::dataset(Kind::Npy, listing, arrays)
}

fn array(path: &Path) -> Result<pairs::Array, DataError> {
    let npy = parse(path, &fs::read(path).map_err(DataError::unreadable(path))?)?;
    match *npy.shape.as_slice() {
        [_] | [_, 1] => classes::labels_from(path, &integers(path, &npy)?).map(pairs::Array::Labels),
        [_, height, width] => pictures(path, npy, [1, height, width], false),
        [_, height, width, channels @ (1 | 3)] => pictures(path, npy, [channels, height, width], false),
        [_, channels @ (1 | 3), height, width] => pictures(path, npy, [channels, height, width], true),
        _ => Err(DataError::Unsupported {
            path: path.into(),
            problem: format!(
                "has the shape {:?}; pictures have [n, height, width], [n, height, width, 1 or 3] or [n, 1 or 3, height, width], labels [n]",
                npy.shape
            ),
        }),
    }
}

fn pictures(
    path: &Path,
    npy: Npy,
    [channels, height, width]: [usize; 3],
    planes: bool,
) -> Result<pairs::Array, DataError> {
    if channels * height * width == 0 {
        return Err(DataError::damaged(path, "its pictures have no pixels"));
    }
    let values = match npy.dtype.as_str() {
        "|u1" => raw::Values::Bytes(npy.bytes),
        "<f4" => raw::Values::Floats(unit_range(path, floats(&npy.bytes))?),
        other => return Err(unsupported_type(path, other, "pictures are of type uint8 or float32 (little-endian)")),
    };
    Ok(pairs::Array::Pictures(Raw { files: vec![path.into()], channels, height, width, planes, values }))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Floats in [0, 1] stay, floats in 0..255 are divided by 255; all else was normalised already and is refused.
fn unit_range(path: &Path, mut values: Vec<f32>) -> Result<Vec<f32>, DataError> {
    let (least, largest) = values.iter().fold((0f32, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
    if least < 0.0 || largest > 255.0 || values.iter().any(|v| v.is_nan()) {
        return Err(DataError::Unsupported {
            path: path.into(),
            problem: format!(
                "has values from {least} to {largest}; give pictures in 0..1 or 0..255, before normalisation"
            ),
        });
    }
    if largest > 1.0 {
        values.iter_mut().for_each(|v| *v /= 255.0);
    }
    Ok(values)
}

fn integers(path: &Path, npy: &Npy) -> Result<Vec<i64>, DataError> {
    let (kind, width) = npy.dtype.split_at_checked(2).unwrap_or_default();
    let signed = match kind {
        "|i" | "<i" => true,
        "|u" | "<u" => false,
        _ => return Err(unsupported_type(path, &npy.dtype, "labels are whole numbers, little-endian")),
    };
    let width = width.parse().ok().filter(|width| matches!(width, 1 | 2 | 4 | 8));
    let width = width.ok_or_else(|| unsupported_type(path, &npy.dtype, "labels have 1, 2, 4 or 8 bytes"))?;
    let number = |bytes: &[u8]| {
        let negative = signed && bytes[width - 1] >= 0x80;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..width].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    Ok(npy.bytes.chunks_exact(width).map(number).collect())
}

fn unsupported_type(path: &Path, dtype: &str, wanted: &str) -> DataError {
    DataError::Unsupported { path: path.into(), problem: format!("has elements of type {dtype}; {wanted}") }
}

/// Reads the header (NumPy's format description, versions 1 to 3) and checks the length against it.
fn parse(path: &Path, file: &[u8]) -> Result<Npy, DataError> {
    let damaged = |problem: &str| DataError::damaged(path, problem);
    let short = || damaged("it ends within its header");
    let (&[b0, b1, b2, b3, b4, b5, major, _], rest) = file.split_first_chunk::<8>().ok_or_else(short)?;
    if [b0, b1, b2, b3, b4, b5] != *b"\x93NUMPY" {
        return Err(damaged("no NumPy header"));
    }
    let (length, rest) = if major == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, bytes) = rest.split_at_checked(length).ok_or_else(short)?;
    let header = String::from_utf8_lossy(header);
    let unclear = || damaged("its header is unclear");
    if !field(&header, "fortran_order").ok_or_else(unclear)?.starts_with("False") {
        return Err(DataError::Unsupported {
            path: path.into(),
            problem: "is in column order; save it with numpy.ascontiguousarray".to_owned(),
        });
    }
    let dtype = field(&header, "descr").and_then(quoted).ok_or_else(unclear)?.to_owned();
    let shape = field(&header, "shape").and_then(tuple).ok_or_else(unclear)?;
    let width = dtype.get(2..).and_then(|width| width.parse().ok()).ok_or_else(unclear)?;
    let expected = shape.iter().try_fold(width, |product: usize, n| product.checked_mul(*n));
    if expected != Some(bytes.len()) {
        return Err(damaged(&format!("{} bytes do not fill its shape {shape:?}", bytes.len())));
    }
    Ok(Npy { dtype, shape, bytes: bytes.to_vec() })
}

/// What follows a key in the header, which is a Python dictionary's text.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, after) = header.split_once(&format!("'{key}'"))?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split_once('\'').map(|(inner, _)| inner)
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect()
}
