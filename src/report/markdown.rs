//! Reports as Markdown: `report.md` in the run folder.

use super::{Report, answers, rows};
use crate::machine::{Machine, Runtime};
use crate::pictures::PartDigest;

/// The whole report.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n", report.verdict.line);
    report.verdict.remarks().iter().for_each(|remark| text.push_str(&format!("**{remark}**\n\n")));
    text.push_str("## Same answers as the dense network\n\n");
    text.push_str(&table(&answers::BOTH, &answers::before_and_after(&report.answers)));
    text.push_str("\n## Dense against slim\n\n");
    text.push_str(&table(&rows::HEAD, &rows::figures(report)));
    text.push('\n');
    rows::notes(report).iter().for_each(|note| text.push_str(&format!("- {note}\n")));
    if let Some(certificate) = &report.certificates {
        text.push_str("\n## What the certificates say\n\n");
        certificate.laws.iter().for_each(|law| text.push_str(&format!("- {}\n", law.statement)));
    }
    text.push_str("\n## Agreement of the runtimes on the slim file\n\n");
    text.push_str(&table(&rows::AGREEMENT_HEAD, &rows::agreement(&report.agreement)));
    rows::faults(&report.agreement).iter().for_each(|fault| text.push_str(&format!("\n{fault}\n")));
    text.push_str("\n## Time\n\n");
    text.push_str(&table(&["stage", "time"], &rows::stages(report)));
    text.push_str("\n## To do it again\n\n");
    text.push_str(&format!("```\n{}\n```\n\n", report.again.line()));
    let (digests, machine, called) = (&report.digests, &report.machine, report.inputs.samples_called());
    for (name, value) in [
        ("seed", report.seed.to_string()),
        ("threads", machine.threads.to_string()),
        ("machine", format!("{}{} with {}", machine.platform, processor(machine), machine.instructions)),
        ("runtimes", runtimes(machine)),
        ("espalier", machine.espalier.clone()),
        ("model, SHA-256", digests.model.clone()),
        ("slim, SHA-256", digests.slim.clone()),
        ("measured", part(&digests.data.measured, called)),
        ("trained on", part(&digests.data.trained, called)),
        ("stopped by", part(&digests.data.watched, called)),
        ("preprocessing, SHA-256", digests.preprocessing.clone()),
    ] {
        text.push_str(&format!("- {name}: {value}\n"));
    }
    text
}

fn processor(machine: &Machine) -> String {
    machine.processor.as_ref().map(|name| format!(", {name},")).unwrap_or_default()
}

/// Names, versions and library digests.
fn runtimes(machine: &Machine) -> String {
    let one = |runtime: &Runtime| {
        let library = runtime.library.as_ref().map(|digest| format!(" (library SHA-256 {digest})")).unwrap_or_default();
        format!("{} {}{library}", runtime.name, runtime.version)
    };
    machine.runtimes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn part(part: &PartDigest, called: &str) -> String {
    format!("{} {called} of `{}`, files' SHA-256 {}", part.pictures, part.split, part.files)
}

fn table<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[test]
    fn a_report_in_markdown() {
        insta::assert_snapshot!(markdown(&report()));
    }
}
