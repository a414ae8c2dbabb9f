//! Graphs that are legal or nearly so, decided choice by choice.
#![no_main]

#[path = "../../export/tests/support/hold.rs"]
mod hold;

libfuzzer_sys::fuzz_target!(|choices: &[u8]| hold::hold(fixtures::models::nearly::graph(choices)));
