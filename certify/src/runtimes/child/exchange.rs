//! The tensor files between a runtime process and its parent, in the safetensors format.
//!
//! In: one tensor for each run and input, named `RUN:INPUT:NAME`. Out: one tensor for each run and graph output, of the
//! type that the runtime gave, named `RUN:OUTPUT:NAME`, and metadata `runtime`, `version` and `device`. Both numbers are
//! counted from 0; the name of a model's only input may be empty.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::super::Identity;
use super::super::batch::{Fed, Output};
use super::super::pieces::Piece;
use super::super::values::{Element, Values};
use crate::error::CertifyError;

/// Writes the batches that are to be run one after another.
///
/// # Errors
/// When the file cannot be written, or an input takes one sample at a time and is given several.
pub fn write_inputs(path: &Path, pieces: &[Piece]) -> Result<(), CertifyError> {
    let runs = pieces.iter().map(|piece| piece.batch.fed()).collect::<Result<Vec<_>, _>>()?;
    let tensors = runs.iter().enumerate().flat_map(|(run, inputs)| {
        let named = move |(index, fed): (usize, &Fed<'_>)| {
            (format!("{run}:{index}:{}", fed.name), fed.shape.clone(), encoded(&fed.values))
        };
        inputs.iter().enumerate().map(named)
    });
    write(path, tensors, HashMap::new())
}

/// Reads what [`write_inputs`] wrote: the inputs of each run.
///
/// # Errors
/// When the file cannot be read, or is not of that form.
pub fn read_inputs(path: &Path) -> Result<Vec<Vec<Fed<'static>>>, CertifyError> {
    let bytes = read(path)?;
    let (file, _) = parse(path, &bytes)?;
    let runs = by_run(path, &file)?.into_iter();
    let fed = |(name, shape, values)| Fed { name: Cow::Owned(name), shape, values: Cow::Owned(values) };
    Ok(runs.map(|inputs| inputs.into_iter().map(fed).collect()).collect())
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
    let runs = by_run(path, &file)?.into_iter();
    let output = |(name, shape, values)| Output { name, shape, values };
    let runs = runs.map(|outputs| outputs.into_iter().map(output).collect()).collect();
    let said =
        |key: &str| metadata.get(key).cloned().ok_or_else(|| unusable(path, format!("metadata `{key}` is missing")));
    let identity = Identity { runtime: said("runtime")?, version: said("version")?, device: said("device")? };
    Ok((runs, identity))
}

/// A tensor of a run: its name, shape and elements.
type Named = (String, Vec<usize>, Values);

/// The tensors of each run, in their order.
fn by_run(path: &Path, file: &SafeTensors<'_>) -> Result<Vec<Vec<Named>>, CertifyError> {
    let mut numbered = BTreeMap::new();
    for (key, view) in file.iter() {
        let (place, name) =
            place(key).ok_or_else(|| unusable(path, format!("tensor `{key}` is not named RUN:NUMBER:NAME")))?;
        let (shape, values) = decoded(path, &view)?;
        numbered.insert(place, (name.to_owned(), shape, values));
    }
    let mut runs: Vec<Vec<Named>> = Vec::new();
    for ((run, index), tensor) in numbered {
        if index == 0 {
            runs.push(Vec::new());
        }
        let in_order = runs.len() == run + 1 && runs[run].len() == index;
        if !in_order {
            return Err(unusable(path, format!("tensor {index} of run {run} does not follow another")));
        }
        runs[run].push(tensor);
    }
    Ok(runs)
}

/// Run, number and name from `RUN:NUMBER:NAME`.
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
    let dtype = match values.element() {
        Element::F16 => Dtype::F16,
        Element::Bf16 => Dtype::BF16,
        Element::F32 => Dtype::F32,
        Element::F64 => Dtype::F64,
        Element::I8 => Dtype::I8,
        Element::I16 => Dtype::I16,
        Element::I32 => Dtype::I32,
        Element::I64 => Dtype::I64,
        Element::U8 => Dtype::U8,
        Element::U16 => Dtype::U16,
        Element::U32 => Dtype::U32,
        Element::U64 => Dtype::U64,
        Element::Bool => Dtype::BOOL,
    };
    (dtype, values.to_le_bytes())
}

fn decoded(path: &Path, view: &TensorView<'_>) -> Result<(Vec<usize>, Values), CertifyError> {
    let element = match view.dtype() {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::U8 => Element::U8,
        Dtype::U16 => Element::U16,
        Dtype::U32 => Element::U32,
        Dtype::U64 => Element::U64,
        Dtype::BOOL => Element::Bool,
        other => return Err(unusable(path, format!("it holds {other:?}, which is not agreed"))),
    };
    Ok((view.shape().to_vec(), Values::from_le_bytes(element, view.data())))
}

fn unusable(path: &Path, reason: impl Display) -> CertifyError {
    CertifyError::Exchange { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::{Batch, Pieces};
    use super::*;

    #[test]
    fn tensors_come_back_in_order_and_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let batch = Batch::new(vec![2, 2], vec![1.5, f32::NAN, f32::NEG_INFINITY, -0.0]).unwrap();
        write_inputs(&path, &Pieces::AtMost(1).cut(&batch)).unwrap();
        let read = read_inputs(&path).unwrap();
        let bytes: Vec<u8> = read.iter().flatten().flat_map(|fed| fed.values.to_le_bytes()).collect();
        assert_eq!((read.len(), bytes), (2, batch.feeds()[0].values.to_le_bytes()));

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
