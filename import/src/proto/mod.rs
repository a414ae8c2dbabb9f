//! A model file as it is: its messages over memory-mapped bytes, and the way back to a file.

mod access;
mod guess;
pub(crate) mod map;
pub mod onnx;
mod schema;
pub mod splice;
mod system;
pub mod wire;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;

pub use access::entry;
use onnx::ModelProto;
pub use write::{WriteError, destination, is_standard_output, move_to, write_atomic};

/// The newest version of the format this program has read the definition of.
pub const NEWEST_IR: i64 = 14;

/// Why a file could not be read as a model.
#[derive(Debug, thiserror::Error)]
pub enum ProtoError {
    /// The operating system would not give the file.
    #[error("cannot read `{}` ({source}); check the path and its permissions", path.display())]
    CannotRead {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("`{name}` is empty; export or download the model again")]
    Empty {
        /// The file, or `the model` for bytes without a file.
        name: String,
    },
    /// The bytes are something else.
    #[error("`{name}` is not an ONNX model but looks like {what}; give the .onnx file")]
    NotOnnx {
        /// The file, or `the model` for bytes without a file.
        name: String,
        /// What the bytes look like, with its article.
        what: &'static str,
    },
    /// The bytes end before the messages do.
    #[error(
        "`{name}` ends after {length} bytes in the middle of a message; it was cut short, copy or download it again"
    )]
    Truncated {
        /// The file, or `the model` for bytes without a file.
        name: String,
        /// How many bytes there are.
        length: usize,
    },
    /// The bytes are not protobuf, or not these messages.
    #[error("`{name}` is not a readable ONNX model ({source}); export it again")]
    Malformed {
        /// The file, or `the model` for bytes without a file.
        name: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// The messages hold no graph.
    #[error("`{name}` holds no ONNX graph; give a model file, not a single tensor or value")]
    NoGraph {
        /// The file, or `the model` for bytes without a file.
        name: String,
    },
    /// The file says it needs a later reader.
    #[error(
        "`{name}` has ONNX IR version {version}, and this program knows versions up to {NEWEST_IR}; export it with an older `onnx`"
    )]
    TooNew {
        /// The file, or `the model` for bytes without a file.
        name: String,
        /// The version the file states.
        version: i64,
    },
}

/// A model file: its bytes and what they say.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Where the file is; bytes that came without a file have no path.
    pub path: Option<PathBuf>,
    /// The whole model. The messages' payloads are slices of it.
    pub bytes: Bytes,
    /// The file as it was read: `bytes`, unless the model was rewritten before it was looked at.
    pub read: Bytes,
    /// The messages.
    pub proto: ModelProto,
}

impl ModelFile {
    /// Maps a file and decodes its messages without copying weights.
    ///
    /// # Errors
    /// When the file cannot be read or is not an ONNX model this program knows.
    pub fn open(path: &Path) -> Result<Self, ProtoError> {
        let bytes = map::map(path).map_err(|source| ProtoError::CannotRead { path: path.to_owned(), source })?;
        Self::decode(Some(path.to_owned()), bytes)
    }

    /// Decodes a model from memory. External data is looked for in the working folder.
    ///
    /// # Errors
    /// When the bytes are not an ONNX model this program knows.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, ProtoError> {
        Self::decode(None, bytes)
    }

    /// The folder external data is relative to.
    pub fn folder(&self) -> &Path {
        match self.path.as_deref().and_then(Path::parent) {
            Some(folder) => folder,
            None => Path::new(""),
        }
    }

    fn decode(path: Option<PathBuf>, bytes: Bytes) -> Result<Self, ProtoError> {
        let name = path.as_ref().map_or_else(|| "the model".to_owned(), |path| path.display().to_string());
        if bytes.is_empty() {
            return Err(ProtoError::Empty { name });
        }
        let proto = match ModelProto::decode(bytes.clone()) {
            Ok(proto) => proto,
            Err(source) => return Err(explain(name, &bytes, source)),
        };
        if let Some(version) = proto.ir_version
            && version > NEWEST_IR
        {
            return Err(ProtoError::TooNew { name, version });
        }
        if proto.graph.is_none() {
            return Err(match guess::kind(&bytes) {
                Some(what) => ProtoError::NotOnnx { name, what },
                None => ProtoError::NoGraph { name },
            });
        }
        Ok(Self { path, read: bytes.clone(), bytes, proto })
    }
}

/// The most helpful error for bytes that did not decode.
fn explain(name: String, bytes: &[u8], source: prost::DecodeError) -> ProtoError {
    if let Some(what) = guess::kind(bytes) {
        ProtoError::NotOnnx { name, what }
    } else if guess::ends_early(bytes) {
        ProtoError::Truncated { name, length: bytes.len() }
    } else {
        ProtoError::Malformed { name, source }
    }
}
