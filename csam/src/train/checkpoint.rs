//! Everything a phase needs to go on as if it had never stopped, in one file that appears whole.
//!
//! Tensors are stored bit by bit, numbers as 64-bit tensors, counters as text in the file's metadata.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor, no_grad};

use super::sam::copied;
use crate::{CsamError, output::write_whole};

/// The metadata key that says which job a checkpoint belongs to.
const JOB: &str = "job";

/// The contents of a checkpoint.
#[derive(Debug, Default)]
pub struct State {
    tensors: BTreeMap<String, Tensor>,
    counters: BTreeMap<String, u64>,
}

/// Where a phase keeps its checkpoint and how often it writes one.
#[derive(Debug)]
pub struct CheckpointStore {
    path: PathBuf,
    job: String,
    every: Duration,
    written: Instant,
}

impl State {
    /// Remembers a tensor.
    pub fn put(&mut self, name: impl Into<String>, tensor: &Tensor) {
        self.tensors.insert(name.into(), tensor.detach());
    }

    /// Remembers numbers, exactly.
    pub fn put_numbers(&mut self, name: &str, numbers: &[f64]) {
        self.tensors.insert(name.to_owned(), Tensor::from_slice(numbers));
    }

    /// Remembers a counter.
    pub fn put_counter(&mut self, name: &str, value: u64) {
        self.counters.insert(name.to_owned(), value);
    }

    /// Copies a remembered tensor into one of the same shape.
    ///
    /// # Errors
    /// There is none of this name and shape.
    pub fn copy_into(&self, name: &str, target: &Tensor) -> Result<(), String> {
        let found = self.tensors.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        if found.size() != target.size() {
            return Err(format!("`{name}` has shape {:?} instead of {:?}", found.size(), target.size()));
        }
        let mut target = target.detach();
        no_grad(|| target.f_copy_(found)).map_err(|error| error.to_string())
    }

    /// Remembered numbers.
    ///
    /// # Errors
    /// There are none of this name.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, String> {
        let found = self.tensors.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        Vec::try_from(found).map_err(|error| format!("`{name}`: {error}"))
    }

    /// A remembered counter.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn counter(&self, name: &str) -> Result<u64, String> {
        self.counters.get(name).copied().ok_or_else(|| format!("`{name}` is missing"))
    }

    /// Remembers all of another state, every name behind `prefix`.
    pub fn put_all(&mut self, prefix: &str, other: &Self) {
        let tensors = other.tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone()));
        self.tensors.extend(tensors);
        self.counters.extend(other.counters.iter().map(|(name, value)| (format!("{prefix}{name}"), *value)));
    }

    /// What was remembered behind `prefix`.
    pub fn part(&self, prefix: &str) -> Self {
        let own = |name: &String| name.strip_prefix(prefix).map(str::to_owned);
        Self {
            tensors: self.tensors.iter().filter_map(|(name, t)| Some((own(name)?, t.shallow_clone()))).collect(),
            counters: self.counters.iter().filter_map(|(name, value)| Some((own(name)?, *value))).collect(),
        }
    }

    /// The same in memory of its own, so that it stays what it is.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn copied(&self) -> Result<Self, CsamError> {
        let tensors = self.tensors.iter().map(|(name, tensor)| Ok((name.clone(), copied(tensor)?)));
        Ok(Self { tensors: tensors.collect::<Result<_, CsamError>>()?, counters: self.counters.clone() })
    }

    /// Writes everything under the job's name; the file appears whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path, job: &str) -> Result<(), CsamError> {
        let mut metadata: HashMap<String, String> =
            self.counters.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        metadata.insert(JOB.to_owned(), job.to_owned());
        let views = self.tensors.iter().map(|(name, tensor)| Ok((name, Stored::of(tensor)?)));
        let views = views.collect::<Result<Vec<_>, CsamError>>()?;
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|error| CsamError::bad_checkpoint(path, error))?;
        write_whole(path, &bytes)
    }

    /// Reads the checkpoint of a job; none where the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or belongs to another job.
    pub fn read(path: &Path, job: &str) -> Result<Option<Self>, CsamError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CsamError::file(path, "reading"))?,
        };
        let bad = |error: safetensors::SafeTensorError| CsamError::bad_checkpoint(path, error);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(bad)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if metadata.get(JOB).map(String::as_str) != Some(job) {
            return Err(CsamError::OtherCheckpoint { path: path.into(), what: "settings, model or data" });
        }
        let mut state = Self::default();
        for (name, value) in metadata.iter().filter(|(name, _)| *name != JOB) {
            let value = value.parse().map_err(|error| CsamError::bad_checkpoint(path, error))?;
            state.counters.insert(name.clone(), value);
        }
        for (name, view) in SafeTensors::deserialize(&bytes).map_err(bad)?.tensors() {
            let tensor = loaded(view.dtype(), view.shape(), view.data())
                .map_err(|reason| CsamError::bad_checkpoint(path, reason))?;
            state.tensors.insert(name, tensor);
        }
        Ok(Some(state))
    }
}

impl CheckpointStore {
    /// Checkpoints as `folder/NAME.safetensors` for a job, writing every `seconds`.
    pub fn new(folder: &Path, name: &str, job: String, seconds: u64) -> Self {
        let path = folder.join(format!("{name}.safetensors"));
        Self { path, job, every: Duration::from_secs(seconds), written: Instant::now() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds, if it exists.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn read(&self) -> Result<Option<State>, CsamError> {
        State::read(&self.path, &self.job)
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        self.written.elapsed() >= self.every
    }

    /// Writes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, state: &State) -> Result<(), CsamError> {
        state.write(&self.path, &self.job)?;
        self.written = Instant::now();
        Ok(())
    }
}

/// A tensor's bytes as safetensors wants them.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn of(tensor: &Tensor) -> Result<Self, CsamError> {
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let (dtype, size) = match tensor.f_kind()? {
            Kind::Double => (Dtype::F64, 8),
            Kind::Int64 => (Dtype::I64, 8),
            Kind::Float => (Dtype::F32, 4),
            other => return Err(CsamError::Torch(format!("tensors of {other:?} have no place in a checkpoint"))),
        };
        let mut bytes = vec![0; tensor.numel() * size];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(Self { dtype, shape: tensor.size().into_iter().map(|extent| extent as usize).collect(), bytes })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn loaded(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<Tensor, String> {
    let kind = match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::F32 => Kind::Float,
        other => return Err(format!("it holds a tensor of {other:?}")),
    };
    let shape: Vec<i64> = shape.iter().map(|extent| *extent as i64).collect();
    Tensor::f_from_data_size(bytes, &shape, kind).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn example() -> State {
        let mut state = State::default();
        state.put("weight", &Tensor::from_slice(&[1.0f32, -0.0, f32::MIN_POSITIVE / 3.0, 1e30]).reshape([2, 2]));
        state.put("empty", &Tensor::from_slice::<f32>(&[]));
        state.put_numbers("scores", &[0.1, 1.0 / 3.0, f64::INFINITY]);
        state.put_counter("step", u64::MAX);
        state
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("a.safetensors");
        example().write(&path, "job").unwrap();
        let read = State::read(&path, "job").unwrap().unwrap();
        let weight = Tensor::from_slice(&[0.0f32; 4]).reshape([2, 2]);
        read.copy_into("weight", &weight).unwrap();
        let bits: Vec<u32> = Vec::<f32>::try_from(weight.flatten(0, -1)).unwrap().iter().map(|x| x.to_bits()).collect();
        let expected = [1.0f32, -0.0, f32::MIN_POSITIVE / 3.0, 1e30].map(f32::to_bits);
        assert_eq!(bits, expected);
        assert_eq!(read.numbers("scores").unwrap(), [0.1, 1.0 / 3.0, f64::INFINITY]);
        assert_eq!(read.counter("step").unwrap(), u64::MAX);
    }

    #[test]
    fn a_checkpoint_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        assert!(State::read(&path, "job").unwrap().is_none());
        example().write(&path, "job").unwrap();
        assert!(matches!(State::read(&path, "other"), Err(CsamError::OtherCheckpoint { .. })));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert!(matches!(State::read(&path, "job"), Err(CsamError::BadCheckpoint { .. })));
        assert!(example().copy_into("weight", &Tensor::from_slice(&[0.0f32; 4])).is_err());
        assert!(example().counter("none").is_err());
    }
}
