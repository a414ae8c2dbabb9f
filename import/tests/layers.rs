//! The house of `import` stands as drawn: a file knows only files below it, and no two know each other.
//!
//! The `use` lines are read as they are. A folder's `mod.rs` gives out what its files hold, so files of one folder name
//! each other and never it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use fixtures::arrows::{Module, arrows, circle, modules, uses};

/// Modules from the lowest up, as `lib.rs` lists them: each may know those before it.
const LAYERS: [&str; 16] = [
    "proto",
    "tensor",
    "sparse",
    "external",
    "graph",
    "labels",
    "reasons",
    "ops",
    "channels",
    "compute",
    "build",
    "inline",
    "lanes",
    "model",
    "batch",
    "differences",
];

fn sources() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn a_module_knows_only_those_below_it() {
    let modules = modules(&sources());
    let known: BTreeSet<&str> = modules.keys().filter_map(|module| module.first()).map(String::as_str).collect();
    assert_eq!(known, LAYERS.into_iter().collect(), "LAYERS is not what there is");
    let height = |module: &Module| LAYERS.iter().position(|layer| *layer == module[0]).unwrap();
    let wrong: Vec<String> = arrows(&modules)
        .into_iter()
        .filter(|(from, to)| height(to) > height(from))
        .map(|(from, to)| format!("{} knows {}", from.join("::"), to.join("::")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_two_files_know_each_other() {
    let arrows = arrows(&modules(&sources()));
    assert!(arrows.len() > 100, "only {} arrows were found", arrows.len());
    assert_eq!(circle(&arrows), None);
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let arrows = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (module(a), module(b))).collect::<BTreeSet<_>>();
    assert_eq!(circle(&arrows(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    assert_eq!(circle(&arrows(&[("a", "b"), ("b", "c"), ("c", "b")])).map(|circle| circle.len()), Some(2));
}

#[test]
fn every_form_of_use_is_read() {
    let text = "use crate::{graph::{Node, Value as V}, ops};\npub(crate) use super::axis::{self, Axis};\n\
        use std::fmt;\n    use super::*;\nfn of(node: &crate::tensor::DType) {} // crate::lanes\n";
    let found: Vec<String> = uses(text).into_iter().map(|path| path.join("::")).collect();
    let wanted = [
        "crate::graph::Node",
        "crate::graph::Value",
        "crate::ops",
        "super::axis",
        "super::axis::Axis",
        "crate::tensor::DType",
    ];
    assert_eq!(found, wanted);
}
