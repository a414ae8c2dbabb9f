//! Stored tensors to torch tensors and back.

use import::tensor::TensorError;
use import::{DType, Tensor as Stored};
use tch::{Kind, Tensor};

use super::NetworkError;

/// The torch kind that a stored type is computed in: half types in single precision, integers as they are.
pub(super) fn kind(dtype: DType) -> Option<Kind> {
    Some(match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Kind::Float,
        DType::F64 => Kind::Double,
        DType::I64 | DType::U64 | DType::U32 | DType::U16 => Kind::Int64,
        DType::I32 => Kind::Int,
        DType::I16 => Kind::Int16,
        DType::I8 => Kind::Int8,
        DType::U8 => Kind::Uint8,
        DType::Bool => Kind::Bool,
        _ => return None,
    })
}

/// Extents as torch takes them.
pub(super) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&extent| extent as i64).collect()
}

/// Copies a stored tensor to the CPU.
///
/// # Errors
/// When its elements have no torch kind.
pub(super) fn to_torch(name: &str, stored: &Stored) -> Result<Tensor, NetworkError> {
    let failed = |source| NetworkError::Stored { name: name.to_owned(), source };
    let kind = kind(stored.dtype).ok_or_else(|| failed(TensorError::Conversion { from: stored.dtype, to: "torch" }))?;
    let shape = sizes(&stored.shape);
    let tensor = match stored.dtype {
        DType::F16 | DType::BF16 => Tensor::f_from_slice(&stored.to_f32().map_err(failed)?)?.f_reshape(&shape)?,
        DType::U64 | DType::U32 | DType::U16 => {
            Tensor::f_from_slice(&stored.to_i64().map_err(failed)?)?.f_reshape(&shape)?
        }
        _ => Tensor::f_from_data_size(&stored.data, &shape, kind)?,
    };
    Ok(tensor)
}

/// The elements of a floating-point torch tensor, rounded to a stored type.
///
/// # Errors
/// When the type is not one that weights have.
pub(super) fn to_stored(name: &str, tensor: &Tensor, dtype: DType) -> Result<Stored, NetworkError> {
    let flat = tensor.f_detach()?.f_to_kind(Kind::Double)?.f_contiguous()?.f_flatten(0, -1)?;
    let values = Vec::<f64>::try_from(&flat)?;
    let shape: Vec<usize> = tensor.size().into_iter().map(|extent| extent as usize).collect();
    Stored::from_floats(dtype, &shape, &values).map_err(|source| NetworkError::Stored { name: name.to_owned(), source })
}
