//! `docs/operators.md` says what the operator table says. `UPDATE_DOCS=1 cargo test` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use fixtures::models::{Builder, Dim, int};
use import::Model;
use import::lanes::parameters;
use import::ops::Role;

fn page() -> String {
    let mut page = String::from(
        "# Operators\n\nGenerated from the operator table in `import/src/ops`. An operator without a row still loads: it is kept as \
         it is, and\nso is every channel it touches. \"Parameters\" are the inputs that are trained when they are stored, with their role;\n\
         \"sizes\" are those that state sizes, which a cut states anew. \"Revisions\" are the operator sets that defined the operator\n\
         anew, all of which its row was checked against. \"Lanes\" says what becomes of channels, or other indices, that could be\n\
         cut: those that stay are never cut.\n\n\
         | operator | operator sets | revisions | parameters | statistics | sizes | lanes | notes |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut rows: Vec<_> = import::ops::rows().collect();
    rows.sort_by_key(|row| (row.name, row.before));
    for row in rows {
        let inputs = |statistic: bool| {
            let wanted = row.parameters.iter().filter(|(_, role)| role.is_statistic() == statistic);
            wanted.map(|(input, role)| format!("{input} {role:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
        };
        let (from, to) = (row.opsets().start, row.opsets().end - 1);
        let revisions = row.revisions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let sizes = row.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let (parameters, statistics) = (inputs(false), inputs(true));
        let told = format!("{} | {}", row.lanes_in_words, row.notes);
        writeln!(page, "| {} | {from}–{to} | {revisions} | {parameters} | {statistics} | {sizes} | {told} |", row.name)
            .unwrap();
    }
    page
}

#[test]
fn the_operator_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "run UPDATE_DOCS=1 cargo test -p espalier-import --test operators");
}

#[test]
fn every_row_says_what_becomes_of_lanes() {
    let silent: Vec<&str> =
        import::ops::rows().filter(|row| row.lanes_in_words.is_empty()).map(|row| row.name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn rows_of_one_operator_cover_operator_sets_apart() {
    let rows: Vec<_> = import::ops::rows().collect();
    for (place, row) in rows.iter().enumerate() {
        assert!(row.revisions.is_sorted_by(|a, b| a < b), "{} {:?}", row.name, row.revisions);
        assert!(!row.opsets().is_empty() && row.revisions.iter().all(|it| row.opsets().contains(it)), "{}", row.name);
        for other in rows[..place].iter().filter(|other| (other.domain, other.name) == (row.domain, row.name)) {
            let (a, b) = (row.opsets(), other.opsets());
            assert!(a.end <= b.start || b.end <= a.start, "{}: {a:?} and {b:?}", row.name);
        }
    }
}

#[test]
fn an_operator_set_is_covered_by_the_row_that_was_checked_against_it() {
    let softmax = |opset: i64| {
        let mut net = Builder::new("revision", opset, 1);
        let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(3)]);
        let y = net.node("Softmax", &[&x], vec![]);
        let y = net.node("Gelu", &[&y], vec![]);
        net.output(&y, &[Dim::Symbol("batch"), Dim::Is(3)]);
        let model = Model::from_bytes(net.finish().into()).unwrap();
        let [softmax, gelu] = model.graph.nodes.as_slice() else { panic!() };
        assert_eq!(gelu.row.is_some(), opset >= 20);
        assert_eq!(model.refusals.len(), usize::from(opset < 20));
        import::ops::row_of(softmax).unwrap().opsets()
    };
    assert_eq!(softmax(12), 1..13);
    assert!(softmax(13).start == 13 && softmax(20).start == 13);
}

#[test]
fn what_numbers_are_scaled_by_is_no_parameter() {
    for (name, bytes) in fixtures::models::small::quantized() {
        let graph = Model::from_bytes(bytes.into()).unwrap().graph;
        let scale =
            parameters(&graph).into_keys().map(|id| graph.stored_name(id).to_owned()).find(|it| it.contains("scale"));
        assert_eq!(scale, None, "{name}");
    }
}

#[test]
fn a_stored_tensor_has_the_role_of_its_readers_row_whatever_its_rank() {
    let mut net = Builder::new("roles", 17, 1);
    let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)]);
    let kernel = net.drawn("kernel", &[4, 27], 0.0, 1.0);
    let shape = net.integers("shape", &[4, 3, 3, 3]);
    let kernel = net.node("Reshape", &[&kernel, &shape], vec![]);
    let bias = net.drawn("bias", &[4], 0.0, 1.0);
    let x = net.node("Conv", &[&x, &kernel, &bias], vec![]);
    for (op, name) in [("PRelu", "slope"), ("Mul", "scale"), ("Add", "shift")] {
        let own = net.drawn(name, &[4, 1, 1], 0.0, 1.0);
        let x = net.node(op, &[&x, &own], vec![]);
        net.output(&x, &[Dim::Symbol("batch"), Dim::Is(4), Dim::Is(6), Dim::Is(6)]);
    }
    let [scale, shift] = ["norm.scale", "norm.shift"].map(|name| net.drawn(name, &[6, 6], 0.0, 1.0));
    let x = net.node("LayerNormalization", &[&x, &scale, &shift], vec![int("axis", 2)]);
    let x = net.node("Flatten", &[&x], vec![]);
    let matrix = net.drawn("matrix", &[144, 10], 0.0, 1.0);
    let x = net.node("MatMul", &[&x, &matrix], vec![]);
    let turned = net.drawn("turned", &[5, 10], 0.0, 1.0);
    let x = net.node("Gemm", &[&x, &turned], vec![int("transB", 1)]);
    net.output(&x, &[Dim::Symbol("batch"), Dim::Is(5)]);
    let graph = Model::from_bytes(net.finish().into()).unwrap().graph;
    let found: Vec<(&str, Role, usize)> =
        parameters(&graph).iter().map(|(id, own)| (graph.stored_name(*id), own.role, own.fan_in)).collect();
    let wanted = [
        ("kernel", Role::Weight, 27),
        ("bias", Role::Bias, 1),
        ("slope", Role::Slope, 1),
        ("scale", Role::Scale, 1),
        ("shift", Role::Shift, 1),
        ("norm.scale", Role::Scale, 1),
        ("norm.shift", Role::Shift, 1),
        ("matrix", Role::Weight, 144),
        ("turned", Role::Weight, 10),
    ];
    for (name, role, fan_in) in wanted {
        let own = found.iter().find(|(known, ..)| *known == name).unwrap();
        // What sums nothing has no use for its fan-in.
        assert_eq!(own.1, role, "{name}");
        assert!(role != Role::Weight || own.2 == fan_in, "{name}: {own:?}");
    }
    assert_eq!(found.len(), wanted.len());
}
