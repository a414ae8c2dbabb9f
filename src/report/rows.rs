//! The lines of a report, dense against slim, before they are put into a table.

use certify::agreement::across::{Across, Run};
use certify::agreement::compare::OutputAgreement;
use certify::agreement::verify::{Agreement, Pair};
use certify::certificate::result::{LawResult, SubjectResult};
use certify::latency::{Compared, Latency};
use certify::statistics::binomial::Proportion;
use certify::statistics::paired::Interval;

use super::Report;
use crate::numbers::{duration, or_absent, percent, small};
use crate::subject::cost_rows;

/// The head of the rows of [`figures`].
pub(super) const HEAD: [&str; 4] = ["", "dense", "slim", "change"];
/// The head of the rows of [`agreement`].
pub(super) const AGREEMENT_HEAD: [&str; 5] = ["runtimes", "largest error", "relative", "top-1 same", "agrees"];

/// Name, dense, slim, change.
pub(super) fn figures(report: &Report) -> Vec<[String; 4]> {
    let (dense, slim) = (&report.dense, &report.slim);
    let mut rows = vec![shares("accuracy", dense.accuracy.as_ref(), slim.accuracy.as_ref())];
    for law in report.certificates.iter().flat_map(|certificate| &certificate.laws) {
        rows.extend(certified(law, report.verdict.is_usable()));
    }
    rows.extend(cost_rows(&dense.cost, &slim.cost));
    for runtime in ["ort", "tract"] {
        rows.push(latency(runtime, report.latency_on(runtime)));
    }
    rows
}

/// Two runtimes, absolute error, relative error, top-1, verdict.
pub(super) fn agreement(agreement: &Agreement) -> Vec<[String; 5]> {
    let pairs = agreement.pairs.iter().map(pair);
    let findings = agreement.findings.iter().map(|finding| absent(finding.runtime.name().to_owned(), "cannot run"));
    pairs.chain(findings).collect()
}

/// The head of [`outputs`].
pub(super) const OUTPUTS_HEAD: [&str; 7] =
    ["runtimes", "output", "largest error", "relative", "own noise", "outside", "agrees"];

/// Two runtimes and one output each: absolute and relative error, how far the runtimes are from themselves, the share of
/// places outside the tolerance, verdict.
pub(super) fn outputs(agreement: &Agreement) -> Vec<[String; 7]> {
    let of_pair = |pair: &Pair| match pair.fault {
        Some(_) => vec![whole_row(names(pair), "no")],
        None => pair.outputs.iter().map(|output| output_row(names(pair), output)).collect(),
    };
    let findings = agreement.findings.iter().map(|finding| whole_row(finding.runtime.name().to_owned(), "cannot run"));
    agreement.pairs.iter().flat_map(of_pair).chain(findings).collect()
}

/// The same for two files on one runtime each.
pub(super) fn across(found: &Across) -> Vec<[String; 7]> {
    let of_run = |run: &Run| -> Vec<_> {
        run.outputs.iter().map(|output| output_row(run.runtime.name().to_owned(), output)).collect()
    };
    let findings = found.findings.iter().map(|of| whole_row(of.finding.runtime.name().to_owned(), "cannot run"));
    found.runs.iter().flat_map(of_run).chain(findings).collect()
}

/// One output of two sides.
fn output_row(who: String, output: &OutputAgreement) -> [String; 7] {
    let agrees = match (output.passed, output.within_noise) {
        (true, true) => "within noise",
        (true, false) => "yes",
        (false, _) => "no",
    };
    [
        who,
        output.output.clone(),
        small(output.largest_absolute),
        output.largest_relative.map_or_else(|| "no bound".to_owned(), small),
        or_absent(output.floor, small),
        if output.outside > 0.0 { percent(output.outside) } else { String::new() },
        agrees.to_owned(),
    ]
}

fn whole_row(who: String, why: &str) -> [String; 7] {
    let mut row = [const { String::new() }; 7];
    (row[0], row[6]) = (who, why.to_owned());
    row
}

/// Why rows of [`agreement`] have no figures, or other ones than are allowed, one sentence each.
pub(super) fn faults(agreement: &Agreement) -> Vec<String> {
    let pairs = agreement.pairs.iter().filter_map(|pair| Some(format!("{}: {}.", names(pair), pair.fault.as_ref()?)));
    let noise = agreement.pairs.iter().filter(|pair| pair.as_before).map(|pair| {
        format!("{}: further apart than is allowed, but no further than on the dense network.", names(pair))
    });
    let lost = agreement.lost.iter().map(|kind| format!("{} runs the dense network, but not this one.", kind.name()));
    pairs.chain(noise).chain(lost).chain(agreement.findings.iter().map(|finding| format!("{finding}."))).collect()
}

/// Stage and its time.
pub(super) fn stages(report: &Report) -> Vec<[String; 2]> {
    report.stages.iter().map(|stage| [stage.stage.clone(), duration(stage.seconds)]).collect()
}

/// What must be said about the figures above, one sentence each.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let called = report.inputs.samples_called();
    let mut notes: Vec<String> = report.skipped.iter().map(|skipped| format!("{skipped}.")).collect();
    notes.extend(report.answers.last().map(|answers| {
        format!("Answers against the dense network's on {} {called} that nothing was trained on.", answers.pictures)
    }));
    notes.extend(report.lost.map(|lost| {
        let Interval { difference, lower, upper } = lost;
        let show = |share: f64| format!("{:.2}", share * 100.0);
        format!(
            "Accuracy lost, on the same {called}: {} points, 95 % interval {} to {} (Newcombe, paired).",
            show(difference),
            show(lower),
            show(upper)
        )
    }));
    notes.extend(report.budgets.iter().map(|reached| format!("{}.", reached.line())));
    notes.extend(report.dense.cost.caveat().map(|caveat| format!("{caveat}.")));
    notes.push(format!("{}.", crate::gate::line(&report.twin)));
    if let Some(certificate) = &report.certificates {
        let settings = &certificate.settings;
        notes.push(format!(
            "Certified: of {} images, ε {}, α {}, {} draws, exact binomial test; \
             in brackets the Chernoff–Cramér figure, which is no certificate.",
            certificate.images, settings.epsilon, settings.alpha, settings.draws
        ));
        notes.extend(certificate.notes.iter().cloned());
    }
    if report.dense.freed_copy || report.slim.freed_copy {
        notes.push(
            "Accuracy and certificates were measured on copies with a free batch axis, which equal the files."
                .to_owned(),
        );
    }
    let measured = &report.digests.data.measured;
    notes.push(format!("Figures on {} {called} of `{}`.", measured.pictures, measured.split));
    notes.extend(report.remarks.iter().map(|remark| format!("{remark}.")));
    notes.push(format!("Input: {}.", report.inputs.describe()));
    notes
}

fn shares(name: &str, dense: Option<&Proportion>, slim: Option<&Proportion>) -> [String; 4] {
    let change = dense.zip(slim).map(|(dense, slim)| points(slim.share - dense.share));
    let show = |proportion: &Proportion| percent(proportion.share);
    [name.to_owned(), or_absent(dense, show), or_absent(slim, show), change.unwrap_or_default()]
}

/// A ruined network is never certified to have gained: one answer for everything is the most stable of all.
fn certified(law: &LawResult, usable: bool) -> Option<[String; 4]> {
    let [dense, slim] = law.subjects.as_slice() else { return None };
    let change = if usable { points(slim.certified.share - dense.certified.share) } else { "ruined".to_owned() };
    Some([format!("certified, {}", law.law), certified_cell(dense), certified_cell(slim), change])
}

fn certified_cell(subject: &SubjectResult) -> String {
    let figure = subject.chernoff_below.map(|below| format!(" [{}]", percent(below.share)));
    format!("{}{}", percent(subject.certified.share), figure.unwrap_or_default())
}

fn latency(runtime: &str, compared: Option<&Compared>) -> [String; 4] {
    let batch = compared.map_or(1, |compared| compared.dense.batch);
    let show = |l: &Latency| format!("{:.2} ms ({:.2} to {:.2})", l.median_ms, l.p10_ms, l.p90_ms);
    let change = compared.map(|compared| {
        let speedup = compared.speedup;
        format!("{:.2} × as fast ({:.2} to {:.2})", speedup.ratio, speedup.lower, speedup.upper)
    });
    let name = format!("latency, {runtime}, batch {batch}");
    let (dense, slim) = (compared.map(|compared| &compared.dense), compared.map(|compared| &compared.slim));
    [name, or_absent(dense, show), or_absent(slim, show), change.unwrap_or_default()]
}

fn pair(pair: &Pair) -> [String; 5] {
    if pair.fault.is_some() {
        return absent(names(pair), "no");
    }
    let absolute = pair.outputs.iter().map(|output| output.largest_absolute).fold(0.0, f64::max);
    let relative: Option<Vec<f64>> = pair.outputs.iter().map(|output| output.largest_relative).collect();
    let relative = relative.map(|all| all.into_iter().fold(0.0, f64::max));
    let top1 = pair.outputs.iter().find_map(|output| output.top1);
    [
        names(pair),
        small(absolute),
        relative.map_or_else(|| "no bound".to_owned(), small),
        or_absent(top1, |top1| format!("{} of {}", top1.same, top1.same + top1.other)),
        agrees(pair).to_owned(),
    ]
}

fn agrees(pair: &Pair) -> &'static str {
    let noise = pair.outputs.iter().any(|output| output.within_noise);
    match (pair.passed, pair.as_before) {
        (true, true) => "as the dense",
        (true, false) if noise => "within noise",
        (true, false) => "yes",
        (false, _) => "no",
    }
}

fn names(pair: &Pair) -> String {
    format!("{} and {}", pair.reference.name(), pair.candidate.name())
}

/// A row without figures.
fn absent(who: String, why: &str) -> [String; 5] {
    [who, String::new(), String::new(), String::new(), why.to_owned()]
}

/// A difference of shares in percentage points, with its sign.
fn points(difference: f64) -> String {
    format!("{:+.2} points", difference * 100.0)
}
