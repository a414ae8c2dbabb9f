//! Any bytes as a model file.
#![no_main]

#[path = "../../export/tests/support/hold.rs"]
mod hold;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hold::hold(bytes.to_vec()));
