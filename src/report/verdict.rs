//! What a run comes to, in one line, and what speaks against its result.

use certify::answers::{Answers, Measure};
use certify::latency::Compared;
use certify::statistics::paired::Interval;
use serde::{Deserialize, Serialize};

use crate::numbers::percent;

/// A loss of accuracy above this is warned of.
const MOST_LOST: f64 = 0.05;
/// So is a share of same answers (of pixels, of explained variance) below this.
const FEWEST_SAME: f64 = 0.95;
/// So is a picture with more noise than this, in decibels: where differences begin to be seen.
const LEAST_PSNR: f64 = 30.0;

/// The line, and warnings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// `49.8 % of the MACs, 0.9 ± 0.4 points lost, 1.6 × as fast on ort`.
    pub(crate) line: String,
    /// What is worse than it should be, one sentence each; the result is delivered all the same.
    pub(crate) warnings: Vec<String>,
    /// Why the network is not to be used, one sentence for each output; empty where it may be.
    pub(crate) ruins: Vec<String>,
}

/// The figures that a verdict is read from.
pub(super) struct Figures<'a> {
    /// The slim network's multiply-accumulates as a share of the dense one's.
    pub(super) macs: f64,
    /// Accuracy lost, where there are labels.
    pub(super) lost: Option<Interval>,
    /// The answers after tuning.
    pub(super) answers: &'a Answers,
    /// Times, runtime by runtime.
    pub(super) latency: &'a [Compared],
}

impl Verdict {
    pub(super) fn of(figures: &Figures<'_>) -> Self {
        let ruins = figures.answers.ruins();
        let mut parts = vec![format!("{} of the MACs", percent(figures.macs))];
        if ruins.is_empty() {
            parts.push(figures.lost.map_or_else(|| same(figures.answers), lost));
        } else {
            parts.insert(0, "RUINED".to_owned());
        }
        parts.extend(figures.latency.first().map(speed));
        Self { line: parts.join(", "), warnings: warnings(figures), ruins }
    }

    /// Whether the network may be given to anybody.
    pub(crate) fn is_usable(&self) -> bool {
        self.ruins.is_empty()
    }

    /// What has to be said beside the line, one sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let ruins = self.ruins.iter().map(|ruin| format!("RUINED: {ruin}."));
        ruins.chain(self.warnings.iter().map(|warning| format!("WARNING: {warning}."))).collect()
    }
}

/// Points lost, or gained, with half the width of the 95 % interval.
fn lost(Interval { difference, lower, upper }: Interval) -> String {
    let way = if difference < 0.0 { "gained" } else { "lost" };
    format!("{:.1} ± {:.1} points {way}", difference.abs() * 100.0, (upper - lower) * 50.0)
}

/// How near the answers are, by the output that is farthest.
fn same(answers: &Answers) -> String {
    let measured = answers.outputs.iter().filter_map(|output| Some((output, output.measure?)));
    let margin = |measure: Measure| held(measure).map_or(f64::INFINITY, |held| held.margin);
    let worst = measured.clone().min_by(|(_, a), (_, b)| margin(*a).total_cmp(&margin(*b)));
    let Some((output, measure)) = worst else { return "answers not comparable".to_owned() };
    match measured.count() - 1 {
        0 => format!("`{}` {measure}", output.output),
        others => format!("`{}` {measure} (the worst of {} outputs)", output.output, others + 1),
    }
}

fn speed(compared: &Compared) -> String {
    let (speedup, runtime) = (compared.speedup, &compared.dense.identity.runtime);
    match (speedup.lower, speedup.upper) {
        (lower, _) if lower > 1.0 => format!("{:.1} × as fast on {runtime}", speedup.ratio),
        (_, upper) if upper < 1.0 => format!("{:.1} × as slow on {runtime}", 1.0 / speedup.ratio),
        _ => format!("no faster on {runtime}"),
    }
}

fn warnings(figures: &Figures<'_>) -> Vec<String> {
    let lost = figures.lost.filter(|lost| lost.difference > MOST_LOST).map(|lost| {
        format!("{:.1} points of accuracy are lost, more than {:.0}", lost.difference * 100.0, MOST_LOST * 100.0)
    });
    let outputs = figures.answers.outputs.iter().filter_map(|output| {
        let held = held(output.measure?).filter(|held| held.margin < 1.0)?;
        Some(format!("`{}` has {}", output.output, held.told))
    });
    lost.into_iter().chain(outputs).collect()
}

/// A measure against what it should be.
struct Held {
    /// Below 1 it is less than it should be.
    margin: f64,
    /// Both, in words.
    told: String,
}

/// What a measure is held to.
fn held(measure: Measure) -> Option<Held> {
    let (what, share) = match measure {
        Measure::Classes { same } => ("a share of same answers", same.share),
        Measure::Map { same, .. } => ("a share of same pixels", same),
        Measure::Values { explained_variance, .. } => ("an explained variance", explained_variance?),
        Measure::Image { psnr, .. } => {
            let psnr = psnr?;
            let told = format!("a PSNR of {psnr:.1} dB, less than {LEAST_PSNR:.0} dB");
            return Some(Held { margin: psnr / LEAST_PSNR, told });
        }
    };
    let told = format!("{what} of {}, less than {}", percent(share), percent(FEWEST_SAME));
    Some(Held { margin: share / FEWEST_SAME, told })
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;
    use certify::answers::{Collapse, OutputAnswers};

    fn verdict(change: impl FnOnce(&mut Answers), lost: Option<Interval>) -> Verdict {
        let report = report();
        let mut answers = report.answers[1].clone();
        change(&mut answers);
        Verdict::of(&Figures { macs: 0.4877, lost, answers: &answers, latency: &report.latency })
    }

    #[test]
    fn a_good_result_is_one_line_without_warnings() {
        let found = verdict(|_| {}, report().lost);
        assert_eq!(found.line, "48.77 % of the MACs, 1.6 ± 0.4 points lost, 1.6 × as fast on ort");
        assert!(found.is_usable() && found.remarks().is_empty(), "{found:?}");
        let unlabelled = verdict(|_| {}, None);
        assert!(unlabelled.line.contains("`scores` same class 97.07 %"), "{}", unlabelled.line);
    }

    #[test]
    fn a_loss_beyond_the_defaults_is_warned_of() {
        let lost = Interval { difference: 0.08, lower: 0.07, upper: 0.09 };
        let few = |answers: &mut Answers| {
            if let Some(Measure::Classes { same }) = &mut answers.outputs[0].measure {
                same.share = 0.9;
            }
        };
        let found = verdict(few, Some(lost));
        assert!(found.is_usable());
        assert_eq!(
            found.remarks(),
            [
                "WARNING: 8.0 points of accuracy are lost, more than 5.",
                "WARNING: `scores` has a share of same answers of 90.00 %, less than 95.00 %."
            ]
        );
    }

    #[test]
    fn the_output_that_is_farthest_comes_first() {
        let near = Measure::Values { relative_error: None, cosine: None, explained_variance: Some(0.99) };
        let far = Measure::Image { psnr: Some(21.0), peak: 1.0 };
        let found = verdict(
            |answers| {
                answers.outputs[0].measure = Some(near);
                let second =
                    OutputAnswers { output: "picture".to_owned(), measure: Some(far), ..answers.outputs[0].clone() };
                answers.outputs.push(second);
            },
            None,
        );
        assert!(found.line.contains("`picture` PSNR 21.0 dB (the worst of 2 outputs)"), "{}", found.line);
        assert_eq!(found.warnings, ["`picture` has a PSNR of 21.0 dB, less than 30 dB"]);
    }

    #[test]
    fn a_collapsed_network_is_named_as_such_and_gains_nothing() {
        let collapse = Collapse::OneClass { class: 8, share: 1.0, dense_share: 0.11 };
        let found = verdict(|answers| answers.outputs[0].collapse = Some(collapse), None);
        assert!(!found.is_usable() && found.line.starts_with("RUINED"), "{}", found.line);
        let mut whole = report();
        whole.verdict = found;
        let text = super::super::text(&whole);
        assert!(
            text.contains("RUINED: `scores`") && text.contains("ruined") && !text.contains("-3.00 points"),
            "{text}"
        );
    }
}
