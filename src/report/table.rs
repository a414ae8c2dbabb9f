//! Reports for a terminal.

use certify::agreement::across::{Across, OfFile};
use certify::agreement::verify::Agreement;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::{Report, answers, rows};
use crate::numbers::duration;

/// One line under the head, and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The whole report.
pub(crate) fn text(report: &Report) -> String {
    let mut text = format!("{}\n", report.verdict.line);
    report.verdict.remarks().iter().for_each(|remark| text.push_str(&format!("{remark}\n")));
    text.push('\n');
    text.push_str(&grid(&answers::BOTH, &answers::before_and_after(&report.answers)));
    text.push('\n');
    text.push_str(&grid(&rows::HEAD, &rows::figures(report)));
    text.push('\n');
    text.push_str(&agreement(&report.agreement));
    text.push('\n');
    for note in rows::notes(report) {
        text.push_str(&note);
        text.push('\n');
    }
    let times: Vec<String> = rows::stages(report).iter().map(|[stage, time]| format!("{stage} {time}")).collect();
    let all = report.stages.iter().map(|stage| stage.seconds).sum();
    text.push_str(&format!("Time: {}; {} in all.\n", times.join(", "), duration(all)));
    text
}

/// How runtimes agree, pair by pair.
fn agreement(agreement: &Agreement) -> String {
    let mut text = grid(&rows::AGREEMENT_HEAD, &rows::agreement(agreement));
    rows::faults(agreement).iter().for_each(|fault| text.push_str(&format!("{fault}\n")));
    text
}

/// How two files agree, runtime by runtime and output by output.
pub(crate) fn across(found: &Across) -> String {
    let mut text = grid(&rows::OUTPUTS_HEAD, &rows::across(found));
    found.mismatches.iter().for_each(|mismatch| text.push_str(&format!("{mismatch}.\n")));
    let finding = |of: &OfFile| format!("{}: {}.\n", of.model.display(), of.finding);
    found.findings.iter().for_each(|of| text.push_str(&finding(of)));
    text
}

/// How runtimes agree, output by output.
pub(crate) fn outputs(agreement: &Agreement) -> String {
    let mut text = grid(&rows::OUTPUTS_HEAD, &rows::outputs(agreement));
    rows::faults(agreement).iter().for_each(|fault| text.push_str(&format!("{fault}\n")));
    text
}

/// A table: the first column to the left, figures to the right. It ends with a line end.
pub(crate) fn grid<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[test]
    fn a_report_on_the_terminal() {
        insta::assert_snapshot!(text(&report()));
    }
}
