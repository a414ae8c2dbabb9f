//! The tensor files between a runtime process and its parent, in the safetensors format.
//!
//! In: one `f32` tensor for each run, named `0`, `1`, … Out: one tensor for each run and graph output, of the type that
//! the runtime gave, named `RUN:OUTPUT:NAME` with both numbers from 0, and metadata `runtime`, `version` and `device`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::Path;

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::super::Identity;
use super::super::batch::{Batch, Output};
use super::super::pieces::Piece;
use super::super::values::Values;
use crate::error::CertifyError;

/// Writes the batches that are to be run one after another.
///
/// # Errors
/// When the file cannot be written.
pub fn write_inputs(path: &Path, pieces: &[Piece]) -> Result<(), CertifyError> {
    let inputs = pieces.iter().enumerate().map(|(run, piece)| {
        let Batch { shape, data } = &piece.batch;
        (run.to_string(), shape.clone(), encoded(&Values::from(data.clone())))
    });
    write(path, inputs, HashMap::new())
}

/// Reads what [`write_inputs`] wrote.
///
/// # Errors
/// When the file cannot be read, or is not of that form.
pub fn read_inputs(path: &Path) -> Result<Vec<Batch>, CertifyError> {
    let bytes = read(path)?;
    let (file, _) = parse(path, &bytes)?;
    let batch = |run: usize| {
        let view = file.tensor(&run.to_string()).map_err(|error| unusable(path, error))?;
        match decoded(path, &view)? {
            (shape, Values::F32(data)) => Batch::new(shape, data),
            (_, other) => Err(unusable(path, format!("it holds {:?} where f32 is agreed", other.element()))),
        }
    };
    (0..file.len()).map(batch).collect()
}

/// Writes the outputs of every run.
///
/// # Errors
/// When the file cannot be written.
pub fn write_outputs(path: &Path, runs: &[Vec<Output>], identity: &Identity) -> Result<(), CertifyError> {
    let metadata = HashMap::from([
        ("runtime".to_owned(), identity.runtime.clone()),
        ("version".to_owned(), identity.version.clone()),
        ("device".to_owned(), identity.device.clone()),
    ]);
    let numbered = runs.iter().enumerate().flat_map(|(run, outputs)| {
        let named = move |(index, output): (usize, &Output)| {
            (format!("{run}:{index}:{}", output.name), output.shape.clone(), encoded(&output.values))
        };
        outputs.iter().enumerate().map(named)
    });
    write(path, numbered, metadata)
}

/// Reads what [`write_outputs`], or another program that keeps to its form, wrote: the outputs of each run.
///
/// # Errors
/// When the file cannot be read, or is not of that form.
pub fn read_outputs(path: &Path) -> Result<(Vec<Vec<Output>>, Identity), CertifyError> {
    let bytes = read(path)?;
    let (file, metadata) = parse(path, &bytes)?;
    let mut numbered = BTreeMap::new();
    for (key, view) in file.iter() {
        let (place, name) =
            place(key).ok_or_else(|| unusable(path, format!("tensor `{key}` is not named RUN:OUTPUT:NAME")))?;
        let (shape, values) = decoded(path, &view)?;
        numbered.insert(place, Output { name: name.to_owned(), shape, values });
    }
    let mut runs: Vec<Vec<Output>> = Vec::new();
    for ((run, index), output) in numbered {
        if index == 0 {
            runs.push(Vec::new());
        }
        let in_order = runs.len() == run + 1 && runs[run].len() == index;
        if !in_order {
            return Err(unusable(path, format!("output {index} of run {run} does not follow another")));
        }
        runs[run].push(output);
    }
    let said =
        |key: &str| metadata.get(key).cloned().ok_or_else(|| unusable(path, format!("metadata `{key}` is missing")));
    let identity = Identity { runtime: said("runtime")?, version: said("version")?, device: said("device")? };
    Ok((runs, identity))
}

/// Run, output and name from `RUN:OUTPUT:NAME`.
fn place(key: &str) -> Option<((usize, usize), &str)> {
    let (run, rest) = key.split_once(':')?;
    let (index, name) = rest.split_once(':')?;
    Some(((run.parse().ok()?, index.parse().ok()?), name))
}

/// A tensor's element type and bytes in the file.
type Encoded = (Dtype, Vec<u8>);

fn write(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, Encoded)>,
    metadata: HashMap<String, String>,
) -> Result<(), CertifyError> {
    let encoded: Vec<(String, Vec<usize>, Encoded)> = tensors.into_iter().collect();
    let views = encoded
        .iter()
        .map(|(name, shape, (dtype, data))| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| unusable(path, error))?;
    serialize_to_file(views, Some(metadata), path).map_err(|error| unusable(path, error))
}

fn read(path: &Path) -> Result<Vec<u8>, CertifyError> {
    std::fs::read(path).map_err(|source| CertifyError::File { path: path.to_path_buf(), source })
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, HashMap<String, String>), CertifyError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| unusable(path, error))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| unusable(path, error))?;
    Ok((file, header.metadata().clone().unwrap_or_default()))
}

fn encoded(values: &Values) -> Encoded {
    fn bytes<T: Copy, const N: usize>(data: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        data.iter().flat_map(|value| write(*value)).collect()
    }
    match values {
        Values::F16(data) => (Dtype::F16, bytes(data, f16::to_le_bytes)),
        Values::Bf16(data) => (Dtype::BF16, bytes(data, bf16::to_le_bytes)),
        Values::F32(data) => (Dtype::F32, bytes(data, f32::to_le_bytes)),
        Values::F64(data) => (Dtype::F64, bytes(data, f64::to_le_bytes)),
        Values::I8(data) => (Dtype::I8, bytes(data, i8::to_le_bytes)),
        Values::I16(data) => (Dtype::I16, bytes(data, i16::to_le_bytes)),
        Values::I32(data) => (Dtype::I32, bytes(data, i32::to_le_bytes)),
        Values::I64(data) => (Dtype::I64, bytes(data, i64::to_le_bytes)),
        Values::U8(data) => (Dtype::U8, data.clone()),
        Values::U16(data) => (Dtype::U16, bytes(data, u16::to_le_bytes)),
        Values::U32(data) => (Dtype::U32, bytes(data, u32::to_le_bytes)),
        Values::U64(data) => (Dtype::U64, bytes(data, u64::to_le_bytes)),
        Values::Bool(data) => (Dtype::BOOL, bytes(data, |value| [u8::from(value)])),
    }
}

fn decoded(path: &Path, view: &TensorView<'_>) -> Result<(Vec<usize>, Values), CertifyError> {
    fn elements<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Values
    where
        Values: From<Vec<T>>,
    {
        bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect::<Vec<T>>().into()
    }
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F16 => elements(bytes, f16::from_le_bytes),
        Dtype::BF16 => elements(bytes, bf16::from_le_bytes),
        Dtype::F32 => elements(bytes, f32::from_le_bytes),
        Dtype::F64 => elements(bytes, f64::from_le_bytes),
        Dtype::I8 => elements(bytes, i8::from_le_bytes),
        Dtype::I16 => elements(bytes, i16::from_le_bytes),
        Dtype::I32 => elements(bytes, i32::from_le_bytes),
        Dtype::I64 => elements(bytes, i64::from_le_bytes),
        Dtype::U8 => elements(bytes, u8::from_le_bytes),
        Dtype::U16 => elements(bytes, u16::from_le_bytes),
        Dtype::U32 => elements(bytes, u32::from_le_bytes),
        Dtype::U64 => elements(bytes, u64::from_le_bytes),
        Dtype::BOOL => elements(bytes, |[byte]: [u8; 1]| byte != 0),
        other => return Err(unusable(path, format!("it holds {other:?}, which is not agreed"))),
    };
    Ok((view.shape().to_vec(), values))
}

fn unusable(path: &Path, reason: impl Display) -> CertifyError {
    CertifyError::Exchange { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::Pieces;
    use super::*;

    #[test]
    fn tensors_come_back_in_order_and_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let batch = Batch::new(vec![2, 2], vec![1.5, f32::NAN, f32::NEG_INFINITY, -0.0]).unwrap();
        write_inputs(&path, &Pieces::AtMost(1).cut(&batch)).unwrap();
        let read: Vec<u32> =
            read_inputs(&path).unwrap().iter().flat_map(|batch| &batch.data).map(|v| v.to_bits()).collect();
        assert_eq!(read, batch.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>());

        let identity = Identity { runtime: "ort".into(), version: "1".into(), device: "cpu".into() };
        let output = |name: &str, values| Output { name: name.into(), shape: vec![1], values };
        let outputs: Vec<Output> = [Values::F64(vec![1e300]), Values::Bool(vec![true]), Values::U64(vec![u64::MAX])]
            .into_iter()
            .chain((0..9).map(|i| Values::I8(vec![-i])))
            .enumerate()
            .map(|(i, values)| output(&format!("o:{}", 12 - i), values))
            .collect();
        let runs = vec![outputs.clone(), outputs];
        write_outputs(&path, &runs, &identity).unwrap();
        assert_eq!(read_outputs(&path).unwrap(), (runs, identity));
    }

    #[test]
    fn files_of_another_form_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        assert!(matches!(read_outputs(&path), Err(CertifyError::File { .. })));
        std::fs::write(&path, b"not tensors").unwrap();
        assert!(matches!(read_outputs(&path), Err(CertifyError::Exchange { .. })));
        write_inputs(&path, &Pieces::AtMost(1).cut(&Batch::new(vec![1], vec![0.0]).unwrap())).unwrap();
        assert!(matches!(read_outputs(&path), Err(CertifyError::Exchange { .. })));
    }
}
