//! The tensors a plan brings along: new elements for stored ones.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use import::{DType, Tensor};
use safetensors::{Dtype, SafeTensors};

use crate::error::ExportError;

/// New elements by stored tensor's name.
#[derive(Clone, Debug, Default)]
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    /// Reads a `tensors.safetensors`, which lies beside the `plan.json` that needs it.
    ///
    /// # Errors
    /// When the file cannot be read, or holds elements that weights do not have.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let failed = |reason: String| ExportError::Tensors { path: path.to_owned(), reason };
        let bytes = Bytes::from(std::fs::read(path).map_err(|error| failed(error.to_string()))?);
        let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let dtype = dtype(view.dtype()).ok_or_else(|| failed(format!("`{name}` holds {:?}", view.dtype())))?;
            let tensor = Tensor { dtype, shape: view.shape().to_vec(), data: bytes.slice_ref(view.data()) };
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self(tensors))
    }

    /// The new elements of one stored tensor.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn get(&self, name: &str) -> Result<&Tensor, ExportError> {
        self.0.get(name).ok_or_else(|| ExportError::Missing { tensor: name.to_owned() })
    }
}

impl FromIterator<(String, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

fn dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F64 => Some(DType::F64),
        _ => None,
    }
}

/// The elements in another floating-point type; in their own type they are not touched.
pub(crate) fn in_type(tensor: &Tensor, dtype: DType) -> Result<Tensor, ExportError> {
    if tensor.dtype == dtype {
        return Ok(tensor.clone());
    }
    let values = tensor.to_f64()?;
    Ok(Tensor::from_floats(dtype, &tensor.shape, &values)?)
}
