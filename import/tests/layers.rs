//! The house of `import` stands as drawn: a file knows only files below it, and no two know each other.
//!
//! The `use` lines are read as they are. A folder's `mod.rs` gives out what its files hold, so files of one folder name
//! each other and never it.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules from the lowest up, as `lib.rs` lists them: each may know those before it.
const LAYERS: [&str; 11] =
    ["proto", "tensor", "external", "graph", "labels", "ops", "channels", "build", "lanes", "model", "batch"];

/// A module's path below the crate, such as `["lanes", "cost"]`.
type Module = Vec<String>;

#[test]
fn a_module_knows_only_those_below_it() {
    let modules = modules();
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
    let arrows = arrows(&modules());
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

/// The text of every file but `lib.rs`, by module.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![root.clone()];
    let mut found = BTreeMap::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path != root.join("lib.rs") {
            found.insert(module(path.strip_prefix(&root).unwrap()), std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn module(file: &Path) -> Module {
    let path: PathBuf = if file.ends_with("mod.rs") { file.parent().unwrap().into() } else { file.with_extension("") };
    path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// Which file names which other.
fn arrows(modules: &BTreeMap<Module, String>) -> BTreeSet<(Module, Module)> {
    let mut arrows = BTreeSet::new();
    for (from, text) in modules {
        for path in uses(text) {
            let is_folder = modules.keys().any(|module| module.len() > from.len() && module.starts_with(from));
            if let Some(to) = file_of(modules, &absolute(from, is_folder, &path)).filter(|to| to != from) {
                arrows.insert((from.clone(), to));
            }
        }
    }
    arrows
}

/// A path counted from the crate; empty for one that leaves it. `mod.rs` stands in its own folder, other files do not.
fn absolute(from: &Module, is_folder: bool, path: &[String]) -> Vec<String> {
    match path[0].as_str() {
        "crate" => path[1..].to_vec(),
        "super" => [&from[..from.len() - 1], &path[1..]].concat(),
        first if is_folder && first != "std" => [from.as_slice(), path].concat(),
        _ => Vec::new(),
    }
}

/// The file that holds what a path names: the longest beginning of it that is a module.
fn file_of(modules: &BTreeMap<Module, String>, path: &[String]) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|beginning| modules.contains_key(beginning))
}

/// Every path that the `use` lines of a text name, those of its tests left out. Inside a module in the text itself,
/// `super` is the text.
fn uses(text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let begins = |line: &str| {
        let line = line.trim_start_matches("pub").trim_start();
        let line = if line.starts_with('(') { line.split_once(')').unwrap().1.trim_start() } else { line };
        line.strip_prefix("use ").map(str::to_owned)
    };
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mut statement) = begins(line.trim_start()) else {
            found.extend(inline(line));
            continue;
        };
        if line.starts_with(' ') && statement.starts_with("super") {
            continue;
        }
        while !statement.contains(';') {
            statement.push_str(lines.next().unwrap());
        }
        spread(&[], statement.split(';').next().unwrap(), &mut found);
    }
    found
}

/// The paths from the crate's root that a line names where it needs them.
fn inline(line: &str) -> Vec<Vec<String>> {
    let code = line.split("//").next().unwrap();
    let starts = code.match_indices("crate::").map(|(at, _)| &code[at..]);
    let ends = |path: &str| path.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, ':' | '_')));
    let paths = starts.map(|path| &path[..ends(path).unwrap_or(path.len())]);
    paths.map(|path| path.split("::").map(str::to_owned).collect()).collect()
}

/// Spreads `a::{b, c::d}` into `a::b` and `a::c::d`.
fn spread(before: &[String], rest: &str, found: &mut Vec<Vec<String>>) {
    let rest = rest.trim();
    let Some(open) = rest.find('{') else {
        let names = rest.split(" as ").next().unwrap().split("::").map(str::trim);
        let names = names.filter(|name| !matches!(*name, "self" | "*" | "")).map(str::to_owned);
        let path: Vec<String> = before.iter().cloned().chain(names).collect();
        if !rest.is_empty() && path[0] != "std" {
            found.push(path);
        }
        return;
    };
    let head = rest[..open].split("::").map(str::trim).filter(|name| !name.is_empty() && *name != "self");
    let head: Vec<String> = before.iter().cloned().chain(head.map(str::to_owned)).collect();
    let (mut depth, mut start) = (0, open + 1);
    for (at, letter) in rest.char_indices().skip(open) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (letter == ',' && depth == 1) || depth == 0 {
            spread(&head, &rest[start..at], found);
            start = at + 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// Some files that know each other, directly or by way of others.
fn circle(arrows: &BTreeSet<(Module, Module)>) -> Option<Vec<Module>> {
    let mut left: BTreeSet<&Module> = arrows.iter().flat_map(|(from, to)| [from, to]).collect();
    loop {
        let knows_one = |module: &&Module| arrows.iter().any(|(from, to)| from == *module && left.contains(to));
        let done: Vec<&Module> = left.iter().copied().filter(|module| !knows_one(module)).collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module| !done.contains(module));
    }
    let first = *left.first()?;
    let mut way = vec![first];
    loop {
        let last = *way.last()?;
        let next = arrows.iter().find(|(from, to)| from == last && left.contains(to)).map(|(_, to)| to)?;
        if let Some(start) = way.iter().position(|module| *module == next) {
            return Some(way[start..].iter().map(|module| (*module).clone()).collect());
        }
        way.push(next);
    }
}
