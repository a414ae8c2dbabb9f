//! Files that appear whole or not at all: a plan and the tensors beside it.

use std::{borrow::Cow, fs, io::Write, path::Path};

use import::{DType, Tensor, lanes::Plan};
use safetensors::{Dtype, View};

use crate::CsamError;

/// The plan's file name.
pub const PLAN: &str = "plan.json";
/// The tensors' file name.
pub const TENSORS: &str = "tensors.safetensors";

/// Writes bytes beside their place and renames them into it, making the folder where it is missing.
///
/// # Errors
/// The system refuses; nothing is left behind then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CsamError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(CsamError::file(folder, "making the folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(CsamError::file(folder, "writing"))?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(CsamError::file(path, "writing"))?;
    file.persist(path).map_err(|error| CsamError::file(path, "writing")(error.error))?;
    Ok(())
}

/// Writes a plan and the tensors that it replaces, the tensors first, so that a plan never lacks them.
///
/// # Errors
/// The system refuses.
pub fn write_plan(folder: &Path, plan: &Plan, tensors: &[(String, Tensor)]) -> Result<(), CsamError> {
    if !tensors.is_empty() {
        let views = tensors.iter().filter_map(|(name, tensor)| Some((name.as_str(), stored(tensor)?)));
        let path = folder.join(TENSORS);
        let bytes = safetensors::serialize(views, None).map_err(|error| CsamError::File {
            path: path.clone(),
            action: "writing",
            reason: error.to_string(),
        })?;
        write_whole(&path, &bytes)?;
    }
    let path = folder.join(PLAN);
    let text = serde_json::to_vec_pretty(plan).map_err(|error| CsamError::File {
        path: path.clone(),
        action: "writing",
        reason: error.to_string(),
    })?;
    write_whole(&path, &text)
}

struct Stored<'a>(Dtype, &'a Tensor);

/// Only floating-point tensors are trained, so there are no others to write.
fn stored(tensor: &Tensor) -> Option<Stored<'_>> {
    let dtype = match tensor.dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        _ => return None,
    };
    Some(Stored(dtype, tensor))
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.0
    }

    fn shape(&self) -> &[usize] {
        &self.1.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.1.data)
    }

    fn data_len(&self) -> usize {
        self.1.data.len()
    }
}
