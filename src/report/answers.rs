//! How a network's answers compare with the dense network's, as the rows of a table.

use certify::answers::{Answers, OutputAnswers};

use super::grid;

/// The head of [`rows`].
const HEAD: [&str; 3] = ["output", "is", "against the dense network"];

/// One candidate's answers, with what is ruined below them.
pub(crate) fn answers(found: &Answers, called: &str) -> String {
    let mut text = grid(&HEAD, &rows(found));
    found.ruins().iter().for_each(|ruin| text.push_str(&format!("{ruin}\n")));
    text.push_str(&format!("{} {called}\n", found.pictures));
    text
}

/// The head of [`before_and_after`].
pub(super) const BOTH: [&str; 4] = ["answers of", "is", "before tuning", "after tuning"];

/// Output, kind, figures before and after tuning.
pub(super) fn before_and_after(found: &[Answers]) -> Vec<[String; 4]> {
    let [before, after] = found else { return Vec::new() };
    let pairs = before.outputs.iter().zip(&after.outputs);
    pairs
        .map(|(before, after)| [after.output.clone(), after.kind.to_string(), figures(before), figures(after)])
        .collect()
}

/// Output, kind, figures.
fn rows(found: &Answers) -> Vec<[String; 3]> {
    found.outputs.iter().map(|output| [output.output.clone(), output.kind.to_string(), figures(output)]).collect()
}

fn figures(output: &OutputAnswers) -> String {
    let measure = output.measure.map(|measure| measure.to_string());
    let mut text = measure.or_else(|| output.incomparable.clone()).unwrap_or_else(|| "not finite".to_owned());
    if output.dead_channels > 0 {
        text.push_str(&format!("; {} of {} channels hardly vary", output.dead_channels, output.channels));
    }
    text
}
