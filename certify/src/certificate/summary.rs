//! From verdicts on images to shares, statements and comparisons.

use std::collections::BTreeSet;

use images::laws::Law;

use super::evaluate::ImageOutcome;
use super::result::{ImageVerdict, LawResult, Paired, SubjectClean, SubjectResult};
use super::settings::Settings;
use crate::answers::one_class;
use crate::error::CertifyError;
use crate::statistics::binomial::Proportion;
use crate::statistics::paired::Table;

/// Two-sided confidence of all intervals over images.
const CONFIDENCE: f64 = 0.95;
/// The normal quantile that belongs to it.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// Clean predictions of every model.
pub(super) fn clean(names: &[String], outcomes: &[ImageOutcome]) -> Result<Vec<SubjectClean>, CertifyError> {
    let of = |(subject, name): (usize, &String)| {
        let classes = outcomes.iter().map(|outcome| outcome.classes[subject]);
        let number = |class: Option<usize>| class.and_then(|class| i64::try_from(class).ok());
        let pairs: Vec<_> =
            outcomes.iter().map(|outcome| (number(outcome.class), number(outcome.classes[subject]))).collect();
        Ok(SubjectClean {
            name: name.clone(),
            right: proportion(outcomes.iter().map(|outcome| outcome.right[subject]))?,
            distinct: classes.clone().flatten().collect::<BTreeSet<_>>().len(),
            not_finite: classes.filter(Option::is_none).count(),
            collapse: one_class(&pairs),
        })
    };
    names.iter().enumerate().map(of).collect()
}

/// Clean predictions of each further model against the first's.
pub(super) fn clean_paired(names: &[String], outcomes: &[ImageOutcome]) -> Result<Vec<Paired>, CertifyError> {
    (1..names.len())
        .map(|second| {
            let cases = outcomes.iter().map(|outcome| (outcome.right[0], outcome.right[second]));
            Paired::of(&names[0], &names[second], cases)
        })
        .collect()
}

/// All models under law number `index`.
pub(super) fn law(
    settings: &Settings,
    labelled: bool,
    names: &[String],
    index: usize,
    outcomes: &[ImageOutcome],
) -> Result<LawResult, CertifyError> {
    let law = settings.laws[index];
    let of = |subject: usize| outcomes.iter().map(move |outcome| &outcome.verdicts[index][subject]);
    let subjects = names.iter().enumerate().map(|(subject, name)| self::subject(name, settings, of(subject)));
    let paired = (1..names.len()).map(|second| {
        let cases = of(0).zip(of(second)).map(|(a, b)| (a.certified, b.certified));
        Paired::of(&names[0], &names[second], cases)
    });
    Ok(LawResult {
        law,
        statement: statement(settings, &law, labelled),
        subjects: subjects.collect::<Result<_, _>>()?,
        paired: paired.collect::<Result<_, _>>()?,
    })
}

impl Paired {
    /// Compares two models case by case: `(first holds, second holds)`.
    ///
    /// # Errors
    /// When there is no case.
    pub fn of(first: &str, second: &str, cases: impl IntoIterator<Item = (bool, bool)>) -> Result<Self, CertifyError> {
        let mut table = Table::default();
        cases.into_iter().for_each(|(a, b)| table.count(a, b));
        let guaranteed = table.guaranteed(1.0 - CONFIDENCE).ok_or(CertifyError::NoImages)?;
        let newcombe = table.newcombe(QUANTILE).ok_or(CertifyError::NoImages)?;
        let (first, second) = (first.to_owned(), second.to_owned());
        Ok(Self { first, second, table, mcnemar: table.mcnemar(), guaranteed, newcombe })
    }
}

/// The share of `true`, with its interval.
pub(crate) fn proportion(cases: impl Iterator<Item = bool>) -> Result<Proportion, CertifyError> {
    let (count, of) = cases.fold((0, 0), |(count, of), case| (count + u64::from(case), of + 1));
    Proportion::of(count, of, CONFIDENCE).ok_or(CertifyError::NoImages)
}

fn subject<'a>(
    name: &str,
    settings: &Settings,
    verdicts: impl Iterator<Item = &'a ImageVerdict> + Clone,
) -> Result<SubjectResult, CertifyError> {
    let below =
        settings.chernoff.map(|_| proportion(verdicts.clone().map(|verdict| verdict.chernoff_below == Some(true))));
    Ok(SubjectResult {
        name: name.to_owned(),
        certified: proportion(verdicts.clone().map(|verdict| verdict.certified))?,
        chernoff_below: below.transpose()?,
        draws: verdicts.clone().map(|verdict| verdict.draws).sum(),
        images: verdicts.cloned().collect(),
    })
}

fn statement(settings: &Settings, law: &Law, labelled: bool) -> String {
    let class = if labelled { "its label" } else { "the first model's clean prediction" };
    format!(
        "A certified image is classified as {class}, and stays so under {} with probability at least {}; said with error \
         at most {} for each image, from {} draws, by the exact binomial test.",
        law.describe(),
        1.0 - settings.epsilon,
        settings.alpha,
        settings.draws,
    )
}
