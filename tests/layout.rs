//! The house stands as drawn: which room may depend on which.
//!
//! The manifests are read as they are, so an arrow that nobody meant to draw
//! fails here whatever the compiler makes of it. A room's tests may also use
//! `fixtures` (things to test with) and `certify` (to run what they made).

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fixtures::arrows::{Module, arrows, circle, modules};
use toml::{Table, Value};

/// Each package, and the packages of this workspace that it may depend on.
const ARROWS: [(&str, &[&str]); 9] = [
    ("espalier-import", &[]),
    ("espalier-images", &[]),
    ("espalier-job", &["espalier-import", "espalier-images"]),
    ("espalier-export", &["espalier-import"]),
    ("espalier-csam", &["espalier-import", "espalier-images", "espalier-job"]),
    ("espalier-certify", &["espalier-import", "espalier-images"]),
    ("espalier-fixtures", &["espalier-import", "espalier-images"]),
    ("espalier", &["espalier-import", "espalier-images", "espalier-job", "espalier-export", "espalier-certify"]),
    ("xtask", &[]),
];

/// What the tests of every room may use besides.
const FOR_TESTS: [&str; 2] = ["espalier-fixtures", "espalier-certify"];

/// The one package that may depend on the binding of libtorch.
const TORCH: &str = "espalier-csam";

/// The binding of libtorch.
const TORCH_CRATES: [&str; 2] = ["tch", "torch-sys"];

#[test]
fn rooms_depend_only_as_drawn() {
    let wrong: Vec<String> = manifests().values().flat_map(wrong_arrows).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The command line's rooms stand one above the other, its commands each by itself.
#[test]
fn no_two_rooms_of_the_command_line_know_each_other() {
    let files = arrows(&modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert!(files.len() > 100, "only {} arrows were found", files.len());
    let room = |module: Module| {
        let depth = if module[0] == "commands" { 2 } else { 1 };
        module.into_iter().take(depth).collect::<Module>()
    };
    let rooms: BTreeSet<(Module, Module)> = files.into_iter().map(|(from, to)| (room(from), room(to))).collect();
    assert_eq!(circle(&rooms.into_iter().filter(|(from, to)| from != to).collect()), None);
}

#[test]
fn the_drawing_shows_every_room() {
    let rooms = manifests();
    let mut drawn: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    drawn.sort_unstable();
    assert_eq!(rooms.keys().collect::<Vec<_>>(), drawn);
}

#[test]
fn a_wrong_arrow_is_found_in_every_table() {
    let room = |tables: &str| {
        let text = format!("[package]\nname = \"espalier-export\"\n{tables}");
        wrong_arrows(&text.parse().unwrap()).len()
    };
    assert_eq!(room("[dependencies]\nespalier-import.workspace = true"), 0);
    assert_eq!(room("[dependencies]\nespalier-images.workspace = true"), 1);
    assert_eq!(room("[dependencies]\nespalier-certify.workspace = true"), 1);
    assert_eq!(room("[dev-dependencies]\nespalier-certify.workspace = true"), 0);
    assert_eq!(room("[dev-dependencies]\nespalier-csam.workspace = true"), 1);
    assert_eq!(room("[build-dependencies]\nespalier.path = \"..\""), 1);
    assert_eq!(room("[dependencies]\nother = { package = \"espalier-csam\" }"), 1);
    assert_eq!(room("[target.'cfg(unix)'.dependencies]\ntch = \"0.26\""), 1);
    assert_eq!(room("[dev-dependencies]\ntch.workspace = true"), 1);
}

/// Words that only some operating systems understand.
const SYSTEMS: [&str; 6] = ["std::os::unix", "rustix::", "signal_hook::", "\"/proc/", "cfg(unix)", "cfg(target_os"];

#[test]
fn only_one_file_of_a_room_names_a_system() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = Vec::new();
    for room in ["", "import", "images", "job", "csam", "export", "certify", "fixtures", "xtask"] {
        sources(&root.join(room).join("src"), &mut |path, text| {
            let names = SYSTEMS.iter().any(|word| text.contains(word));
            if names && path.file_name().is_none_or(|name| name != "system.rs") {
                named.push(path.to_path_buf());
            }
        });
    }
    assert!(named.is_empty(), "these belong in the room's system.rs: {named:#?}");
}

/// Every source file in a folder, with its text.
fn sources(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, look);
        } else if path.extension().is_some_and(|end| end == "rs") {
            look(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every manifest of the workspace, by package name.
fn manifests() -> BTreeMap<String, Table> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &Path| -> Table {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        text.parse().unwrap()
    };
    let workspace = read(root);
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let folders = members.iter().map(|member| root.join(member.as_str().unwrap()));
    std::iter::once(root.to_path_buf())
        .chain(folders)
        .map(|folder| read(&folder))
        .map(|manifest| (name(&manifest).to_owned(), manifest))
        .collect()
}

/// The dependencies of a package that ARROWS does not allow, each in words.
fn wrong_arrows(manifest: &Table) -> Vec<String> {
    let from = name(manifest);
    let allowed = ARROWS.iter().find(|(name, _)| *name == from);
    let allowed = allowed.map_or(&[][..], |(_, to)| to);
    let targets = manifest.get("target").and_then(Value::as_table);
    let everywhere = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut wrong = Vec::new();
    for tables in everywhere.chain([manifest]) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for to in dependencies(tables, kind) {
                let for_tests = kind == "dev-dependencies" && FOR_TESTS.contains(&to);
                let good = if TORCH_CRATES.contains(&to) {
                    from == TORCH
                } else {
                    !ours(to) || allowed.contains(&to) || for_tests
                };
                if !good {
                    wrong.push(format!("{from} has {to} among its {kind}"));
                }
            }
        }
    }
    wrong
}

/// The packages named by one table of dependencies, renamed ones by their own name.
fn dependencies<'a>(tables: &'a Table, kind: &str) -> impl Iterator<Item = &'a str> {
    let table = tables.get(kind).and_then(Value::as_table);
    table.into_iter().flatten().map(|(key, value)| {
        let renamed = value.get("package").and_then(Value::as_str);
        renamed.unwrap_or(key)
    })
}

fn ours(package: &str) -> bool {
    ARROWS.iter().any(|(name, _)| *name == package)
}

fn name(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}
