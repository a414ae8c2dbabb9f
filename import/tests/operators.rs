//! `docs/operators.md` says what the operator table says. `UPDATE_DOCS=1 cargo test` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

fn page() -> String {
    let mut page = String::from(
        "# Operators\n\nGenerated from the operator table in `import/src/ops`. An operator without a row still loads: it is kept as \
         it is, and\nso is every channel it touches. \"Parameters\" are the inputs that are trained when they are stored, with their role;\n\
         \"sizes\" are those that state sizes, which a cut states anew.\n\n\
         | operator | operator sets | parameters | statistics | sizes |\n|---|---|---|---|---|\n",
    );
    let mut rows: Vec<_> = import::ops::rows().collect();
    rows.sort_by_key(|row| row.name);
    for row in rows {
        let inputs = |statistic: bool| {
            let wanted = row.parameters.iter().filter(|(_, role)| role.is_statistic() == statistic);
            wanted.map(|(input, role)| format!("{input} {role:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
        };
        let (from, to) = (row.opsets.start(), row.opsets.end());
        let sizes = row.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        writeln!(page, "| {} | {from}–{to} | {} | {} | {sizes} |", row.name, inputs(false), inputs(true)).unwrap();
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
fn every_operator_has_one_row() {
    let mut names: Vec<_> = import::ops::rows().map(|row| (row.domain, row.name)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
