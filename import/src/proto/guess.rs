//! What a file that is not an ONNX model may be instead, for the sentence that says so.

use super::wire::{self, WireError};

/// Beginnings of files people hand over by mistake, and what they are.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"PK\x03\x04", "a zip archive (PyTorch and Keras save those)"),
    (0, b"\x89HDF", "an HDF5 file (Keras saves those)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"%PDF", "a PDF"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x7fELF", "a program"),
    (0, b"\x80\x02", "a Python pickle (old PyTorch saves those)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "a model in ONNX Runtime's own format"),
    (8, b"{\"", "a safetensors file"),
    (0, b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull`)"),
];

/// How much of a file is looked at to call it text.
const TEXT_SAMPLE: usize = 512;

/// What the bytes look like, with its article.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    MAGIC
        .iter()
        .find(|(offset, magic, _)| bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, what)| *what)
        .or_else(|| is_text(bytes).then_some("a text file"))
}

/// Text holds no control characters but white space, and is UTF-8.
fn is_text(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(TEXT_SAMPLE)];
    let utf8 = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    utf8 && sample.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
}

/// Whether the bytes are protobuf up to a field that they end in the middle of.
pub(super) fn ends_early(bytes: &[u8]) -> bool {
    wire::fields(bytes, 0..bytes.len()) == Err(WireError::EndsEarly)
}
