//! IDX files, the form of MNIST: big-endian sizes and then bytes, gzipped or not.

use super::{
    DataError, Dataset, Kind, classes,
    listing::Listing,
    pairs,
    raw::{Raw, Values},
};
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

/// The only element type of pictures and labels: unsigned byte.
const UNSIGNED_BYTE: u8 = 0x08;

pub(super) fn open(listing: &Listing) -> Result<Dataset, DataError> {
    let arrays =
        listing.files.iter().map(|(path, _)| Ok((path.clone(), array(path)?))).collect::<Result<_, DataError>>()?;
    pairs::dataset(Kind::Idx, listing, arrays)
}

fn array(path: &Path) -> Result<pairs::Array, DataError> {
    let (shape, bytes) = read(path)?;
    match *shape.as_slice() {
        [_] => {
            let numbers: Vec<i64> = bytes.into_iter().map(i64::from).collect();
            classes::labels_from(path, &numbers).map(pairs::Array::Labels)
        }
        [_, height, width] if height > 0 && width > 0 => Ok(pairs::Array::Pictures(Raw {
            files: vec![path.into()],
            channels: 1,
            height,
            width,
            planes: false,
            values: Values::Bytes(bytes),
        })),
        _ => Err(DataError::Unsupported {
            path: path.into(),
            problem: format!("has the shape {shape:?}; pictures have [number, height, width] and labels [number]"),
        }),
    }
}

/// The sizes of a file's axes and its bytes.
fn read(path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut reader = plain(path)?;
    let damaged = |problem: String| DataError::damaged(path, problem);
    let mut exactly = |n: usize| {
        let mut bytes = vec![0; n];
        reader.read_exact(&mut bytes).map_err(|e| damaged(format!("the header: {e}")))?;
        Ok::<_, DataError>(bytes)
    };
    let head = exactly(4)?;
    if head[2] != UNSIGNED_BYTE {
        return Err(DataError::Unsupported {
            path: path.into(),
            problem: format!("has elements of IDX type {:#04x}; only unsigned bytes (0x08) are read", head[2]),
        });
    }
    let shape: Vec<usize> = exactly(4 * usize::from(head[3]))?
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let count = shape
        .iter()
        .try_fold(1usize, |product, n| product.checked_mul(*n))
        .ok_or_else(|| damaged(format!("impossible shape {shape:?}")))?;
    // One byte more than wanted, so that a file that goes on is noticed too.
    let mut bytes = Vec::new();
    reader.take(count as u64 + 1).read_to_end(&mut bytes).map_err(|e| damaged(e.to_string()))?;
    if bytes.len() != count {
        let found = if bytes.len() > count { "more" } else { "fewer" };
        return Err(damaged(format!("{found} bytes than its shape {shape:?} says")));
    }
    Ok((shape, bytes))
}

/// The file's bytes, decompressed where they are compressed.
fn plain(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let unreadable = DataError::unreadable(path);
    let mut magic = Vec::new();
    File::open(path).and_then(|file| file.take(2).read_to_end(&mut magic)).map_err(&unreadable)?;
    let file = BufReader::new(File::open(path).map_err(&unreadable)?);
    Ok(if magic == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
