//! The tensor files between a runtime process and its parent, in the safetensors format.
//!
//! In: one `f32` tensor `input`, with the size of each run as metadata `batch`. Out: one `f32` tensor per graph output,
//! named `0:NAME`, `1:NAME`, … in order, with metadata `runtime`, `version` and `device`.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::super::Identity;
use super::super::batch::{Batch, Output};
use crate::error::CertifyError;

const INPUT: &str = "input";
const BATCH: &str = "batch";

/// Writes a batch to be run `size` samples at a time.
///
/// # Errors
/// When the file cannot be written.
pub fn write_inputs(path: &Path, batch: &Batch, size: usize) -> Result<(), CertifyError> {
    let metadata = HashMap::from([(BATCH.to_owned(), size.to_string())]);
    write(path, [(INPUT.to_owned(), batch.shape.clone(), batch.data.as_slice())], metadata)
}

/// Reads what [`write_inputs`] wrote.
///
/// # Errors
/// When the file cannot be read, or is not of that form.
pub fn read_inputs(path: &Path) -> Result<(Batch, usize), CertifyError> {
    let bytes = read(path)?;
    let (file, metadata) = parse(path, &bytes)?;
    let (shape, data) = floats(path, &file.tensor(INPUT).map_err(|error| unusable(path, error))?)?;
    let size =
        metadata.get(BATCH).and_then(|size| size.parse().ok()).unwrap_or_else(|| shape.first().copied().unwrap_or(1));
    Ok((Batch::new(shape, data)?, size))
}

/// Writes the outputs of a run.
///
/// # Errors
/// When the file cannot be written.
pub fn write_outputs(path: &Path, outputs: &[Output], identity: &Identity) -> Result<(), CertifyError> {
    let metadata = HashMap::from([
        ("runtime".to_owned(), identity.runtime.clone()),
        ("version".to_owned(), identity.version.clone()),
        ("device".to_owned(), identity.device.clone()),
    ]);
    let numbered = outputs.iter().enumerate();
    let tensors =
        numbered.map(|(i, output)| (format!("{i}:{}", output.name), output.shape.clone(), output.data.as_slice()));
    write(path, tensors, metadata)
}

/// Reads what [`write_outputs`], or another program that keeps to its form, wrote.
///
/// # Errors
/// When the file cannot be read, or is not of that form.
pub fn read_outputs(path: &Path) -> Result<(Vec<Output>, Identity), CertifyError> {
    let bytes = read(path)?;
    let (file, metadata) = parse(path, &bytes)?;
    let mut numbered = Vec::with_capacity(file.len());
    for (key, view) in file.iter() {
        let (index, name) = key
            .split_once(':')
            .and_then(|(index, name)| Some((index.parse::<usize>().ok()?, name)))
            .ok_or_else(|| unusable(path, format!("tensor `{key}` is not named INDEX:NAME")))?;
        let (shape, data) = floats(path, &view)?;
        numbered.push((index, Output { name: name.to_owned(), shape, data }));
    }
    numbered.sort_by_key(|(index, _)| *index);
    let said =
        |key: &str| metadata.get(key).cloned().ok_or_else(|| unusable(path, format!("metadata `{key}` is missing")));
    let identity = Identity { runtime: said("runtime")?, version: said("version")?, device: said("device")? };
    Ok((numbered.into_iter().map(|(_, output)| output).collect(), identity))
}

fn write<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, &'a [f32])>,
    metadata: HashMap<String, String>,
) -> Result<(), CertifyError> {
    let encoded: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, data)| (name, shape, data.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = encoded
        .iter()
        .map(|(name, shape, data)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data)?)))
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

fn floats(path: &Path, view: &TensorView<'_>) -> Result<(Vec<usize>, Vec<f32>), CertifyError> {
    if view.dtype() != Dtype::F32 {
        return Err(unusable(path, format!("it holds {:?} where f32 is agreed", view.dtype())));
    }
    let (values, _) = view.data().as_chunks::<4>();
    Ok((view.shape().to_vec(), values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

fn unusable(path: &Path, reason: impl Display) -> CertifyError {
    CertifyError::Exchange { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tensors_come_back_in_order_and_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let batch = Batch::new(vec![2, 2], vec![1.5, f32::NAN, f32::NEG_INFINITY, -0.0]).unwrap();
        write_inputs(&path, &batch, 1).unwrap();
        let (read, size) = read_inputs(&path).unwrap();
        assert_eq!((size, &read.shape), (1, &batch.shape));
        assert!(read.data.iter().zip(&batch.data).all(|(a, b)| a.to_bits() == b.to_bits()));

        let identity = Identity { runtime: "ort".into(), version: "1".into(), device: "cpu".into() };
        let output = |name: &str| Output { name: name.into(), shape: vec![1], data: vec![0.5] };
        let outputs: Vec<Output> = (0..12).map(|i| output(&format!("o:{}", 12 - i))).collect();
        write_outputs(&path, &outputs, &identity).unwrap();
        assert_eq!(read_outputs(&path).unwrap(), (outputs, identity));
    }

    #[test]
    fn files_of_another_form_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        assert!(matches!(read_outputs(&path), Err(CertifyError::File { .. })));
        std::fs::write(&path, b"not tensors").unwrap();
        assert!(matches!(read_outputs(&path), Err(CertifyError::Exchange { .. })));
        write_inputs(&path, &Batch::new(vec![1], vec![0.0]).unwrap(), 1).unwrap();
        assert!(matches!(read_outputs(&path), Err(CertifyError::Exchange { .. })));
    }
}
