//! Digests: what was read, in a form that another machine can check.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Result, anyhow};
use import::external::external_files;
use import::proto::ModelFile;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// SHA-256 of a file, as lower-case hexadecimal text.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn file(path: &Path) -> Result<String> {
    hash(path)
        .map_err(|error| anyhow!("cannot read `{}` ({error}); check the path and its permissions", path.display()))
}

/// Digests of a model: of its file, and of the files that hold its weights, by name.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn model(model: &ModelFile) -> Result<Value> {
    let weights = external_files(&model.proto)?.into_iter().map(|name| {
        let digest = file(&model.folder().join(&name))?;
        Ok((name.to_string_lossy().into_owned(), Value::String(digest)))
    });
    Ok(json!({ "file": hex(&Sha256::digest(&model.read)), "weights": weights.collect::<Result<Map<_, _>>>()? }))
}

/// SHA-256 of a text.
pub(crate) fn text(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_and_its_text_have_the_known_digest() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), "abc").unwrap();
        assert_eq!(file(path.path()).unwrap(), known);
        assert_eq!(text("abc"), known);
    }
}
