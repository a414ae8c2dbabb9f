//! The stored tensors that training changes: one leaf per stored tensor, however often it is read.

use import::Tensor as Stored;
use import::ops::Role;
use tch::{Device, Tensor};

use super::{NetworkError, convert};

/// A tensor that training changes.
#[derive(Debug)]
pub struct Parameter {
    /// The stored tensor's name.
    pub name: String,
    /// The leaf: change it in place, without recording gradients.
    pub tensor: Tensor,
    /// What it is to its readers.
    pub role: Role,
}

/// A stored tensor that training changes.
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) tensor: Tensor,
    /// As the file has it; `None` for tensors of inserted normalisations.
    pub(super) original: Option<Stored>,
}

impl Leaf {
    /// A leaf over a stored tensor, in the precision it is trained in.
    pub(super) fn stored(name: &str, stored: &Stored, role: Role, device: Device) -> Result<Self, NetworkError> {
        let tensor = convert::to_torch(name, stored)?.f_to_device(device)?;
        Self::new(name.to_owned(), tensor, role, Some(stored.clone()))
    }

    /// A leaf over any tensor.
    pub(super) fn new(
        name: String,
        tensor: Tensor,
        role: Role,
        original: Option<Stored>,
    ) -> Result<Self, NetworkError> {
        let tensor = tensor.f_set_requires_grad(!role.is_statistic())?;
        Ok(Self { name, role, tensor, original })
    }

    /// The parameter as training sees it.
    pub(super) fn parameter(&self) -> Parameter {
        Parameter { name: self.name.clone(), tensor: self.tensor.shallow_clone(), role: self.role }
    }

    /// The tensor in the file's type, when it differs from what the file holds.
    pub(super) fn changed(&self, tensor: &Tensor) -> Result<Option<(String, Stored)>, NetworkError> {
        let Some(original) = &self.original else { return Ok(None) };
        let now = convert::to_stored(&self.name, tensor, original.dtype)?;
        Ok((now.data != original.data).then(|| (self.name.clone(), now)))
    }
}
