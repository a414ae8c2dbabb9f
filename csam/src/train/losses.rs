//! The losses, on the answers of a network, each as one number per image.

use job::Task;
use tch::{Kind, Reduction, Tensor};

use crate::{
    CsamError,
    network::{Answer, Answers, Meaning},
};

/// What one prediction is compared with.
#[derive(Debug)]
pub struct Targets {
    /// Class numbers, where labels may be read.
    pub labels: Option<Tensor>,
    /// What the teacher says, t*, where there is a teacher.
    pub teacher: Option<Answers>,
}

/// The unit of each channel of each answer: how far it moves over pictures in the network that is learned from.
pub type Units = Vec<Vec<f32>>;

/// `(1−a)·CE(s, y) + a·D(t*, s)` per image; whichever part has no target is left out and the other gets the whole
/// weight. D is the mean over all answers of [`distance`].
///
/// # Errors
/// There is neither label nor teacher, the first answer cannot be class scores, or libtorch refuses.
pub fn task(answers: &Answers, targets: &Targets, units: &Units, task: &Task) -> Result<Tensor, CsamError> {
    let labels = targets.labels.as_ref();
    let labelled = labels.map(|labels| cross_entropy(&scores(answers)?, labels)).transpose()?;
    let taught = targets.teacher.as_ref().map(|teacher| distillation(answers, teacher, units, labels.is_some(), task));
    match (labelled, taught.transpose()?) {
        (Some(labelled), None) => Ok(labelled),
        (None, Some(taught)) => Ok(taught),
        (Some(labelled), Some(taught)) => {
            Ok(labelled.f_mul_scalar(1.0 - task.distil)?.f_add(&taught.f_mul_scalar(task.distil)?)?)
        }
        (None, None) => Err(CsamError::NothingToLearn),
    }
}

/// The class scores `[images, classes]` of answers.
///
/// # Errors
/// The first answer can be none.
pub fn scores(answers: &Answers) -> Result<Tensor, CsamError> {
    answers
        .scores()?
        .ok_or_else(|| CsamError::NoClasses { shape: answers.shapes().first().cloned().unwrap_or_default() })
}

/// −log p(y).
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor, CsamError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::None, -100, 0.0)?)
}

/// How far answers are from a teacher's, per image: the mean over all answers of [`distance`].
///
/// # Errors
/// They are another network's, or libtorch refuses.
pub fn apart(answers: &Answers, teacher: &Answers, units: &Units, task: &Task) -> Result<Tensor, CsamError> {
    distillation(answers, teacher, units, false, task)
}

fn distillation(
    student: &Answers,
    teacher: &Answers,
    units: &Units,
    labelled: bool,
    task: &Task,
) -> Result<Tensor, CsamError> {
    let mut sum: Option<Tensor> = None;
    for (position, (student, teacher)) in student.0.iter().zip(&teacher.0).enumerate() {
        let units = units.get(position).map_or(&[][..], Vec::as_slice);
        let distance = distance(student, teacher, units, labelled && position == 0, task.temperature)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&distance)?,
            None => distance,
        });
    }
    let sum = sum.ok_or(CsamError::NothingToLearn)?;
    Ok(sum.f_div_scalar(student.0.len() as f64)?)
}

/// How far an answer is from the teacher's: for classes `T²·KL(softmax(t/T) ‖ softmax(s/T))` averaged over places; for
/// numbers the squared error over the squared unit, averaged over places and channels, which is the share of the
/// teacher's variance that is not explained. Scores that neither a softmax nor labels confirm are compared both ways,
/// since classes do not mind a common offset and embeddings do.
fn distance(
    student: &Answer,
    teacher: &Answer,
    units: &[f32],
    labelled: bool,
    temperature: f64,
) -> Result<Tensor, CsamError> {
    let (s, t) = (&student.values, &teacher.values);
    match student.meaning {
        Meaning::Classes | Meaning::ClassesByPlace => softened(s, t, temperature),
        Meaning::Scores if labelled => softened(s, t, temperature),
        Meaning::Scores => Ok(softened(s, t, temperature)?.f_add(&squares(s, t, units)?)?),
        Meaning::Numbers => squares(s, t, units),
    }
}

/// T²·KL(softmax(t/T) ‖ softmax(s/T)) over the last axis, averaged over places.
fn softened(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor, CsamError> {
    let student = student.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float)?;
    let teacher = teacher.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float)?;
    Ok(divergence(&teacher, &student)?.f_mul_scalar(temperature * temperature)?.f_mean_dim(1i64, false, Kind::Float)?)
}

/// Squared differences in units of each channel, averaged over places and channels.
fn squares(student: &Tensor, teacher: &Tensor, units: &[f32]) -> Result<Tensor, CsamError> {
    let units = Tensor::f_from_slice(units)?.f_to_device(student.device())?;
    Ok(student.f_sub(teacher)?.f_div(&units)?.f_square()?.f_mean_dim(&[1i64, 2][..], false, Kind::Float)?)
}

/// KL(p ‖ q) from log p and log q.
pub fn divergence(log_p: &Tensor, log_q: &Tensor) -> Result<Tensor, CsamError> {
    let sum = log_p.f_exp()?.f_mul(&log_p.f_sub(log_q)?)?;
    Ok(sum.f_sum_dim_intlist(-1, false, Kind::Float)?)
}

/// The Jensen–Shannon divergence of two predictions given as logits.
pub fn jensen_shannon(a: &Tensor, b: &Tensor) -> Result<Tensor, CsamError> {
    let (log_a, log_b) = (a.f_log_softmax(-1, Kind::Float)?, b.f_log_softmax(-1, Kind::Float)?);
    let log_mean = log_a.f_logaddexp(&log_b)?.f_sub_scalar(std::f64::consts::LN_2)?;
    Ok(divergence(&log_a, &log_mean)?.f_add(&divergence(&log_b, &log_mean)?)?.f_mul_scalar(0.5)?)
}

/// The discrepancy `Z = ‖p(x) − p(x_T)‖_∞` and the margin `d = (p₁ − p₂)/2` of p(x), per image.
///
/// `changed` may hold several draws per image: shape [draws·images, classes] gives Z of shape [draws, images].
pub fn discrepancy(clean: &Tensor, changed: &Tensor) -> Result<(Tensor, Tensor), CsamError> {
    let p = clean.f_softmax(-1, Kind::Float)?;
    let (images, classes) = p.size2()?;
    let q = changed.f_softmax(-1, Kind::Float)?.f_reshape([-1, images, classes])?;
    let z = q.f_sub(&p)?.f_abs()?.f_amax(-1, false)?;
    let (top, _) = p.f_topk(2.min(classes), -1, true, true)?;
    let d = top.f_select(-1, 0)?.f_sub(&top.f_select(-1, -1)?)?.f_mul_scalar(0.5)?;
    Ok((z, d))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use images::draw;

    fn random_logits(rows: usize, purpose: &str) -> Tensor {
        let mut rng = draw::rng(5, purpose, 0, 0);
        let values: Vec<f32> = (0..rows * 4).map(|_| draw::uniform(&mut rng, -4.0, 4.0)).collect();
        Tensor::from_slice(&values).reshape([rows as i64, 4])
    }

    fn answers(meaning: Meaning, values: &Tensor) -> Answers {
        Answers(vec![Answer { meaning, values: values.shallow_clone() }])
    }

    #[test]
    fn distillation_from_oneself_costs_nothing() {
        let values = random_logits(3, "logits").unsqueeze(1);
        for meaning in [Meaning::Classes, Meaning::ClassesByPlace, Meaning::Scores, Meaning::Numbers] {
            let targets = Targets { labels: None, teacher: Some(answers(meaning, &values)) };
            let loss = task(&answers(meaning, &values), &targets, &vec![vec![2.0; 4]], &Task::default()).unwrap();
            assert_eq!(loss.size(), [3]);
            assert!(loss.abs().max().double_value(&[]) < 1e-5);
        }
    }

    #[test]
    fn numbers_are_told_in_the_unit_of_their_channel() {
        let student = Tensor::from_slice(&[100.0f32, 0.1, 300.0, 0.1]).reshape([1, 2, 2]);
        let teacher = Tensor::from_slice(&[200.0f32, 0.2, 200.0, 0.2]).reshape([1, 2, 2]);
        let targets = Targets { labels: None, teacher: Some(answers(Meaning::Numbers, &teacher)) };
        let units = vec![vec![100.0, 0.1]];
        let loss = task(&answers(Meaning::Numbers, &student), &targets, &units, &Task::default()).unwrap();
        // One unit of each off everywhere: boxes of hundreds of pixels do not drown what is below one.
        assert!((loss.double_value(&[0]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_common_offset_is_free_for_classes_and_not_for_embeddings() {
        let teacher = random_logits(3, "logits").unsqueeze(1);
        let moved = teacher.copy() + 1.0;
        let cost = |meaning, labels| {
            let targets = Targets { labels, teacher: Some(answers(meaning, &teacher)) };
            let task_only = Task { distil: 1.0, ..Task::default() };
            let loss = task(&answers(meaning, &moved), &targets, &vec![vec![1.0; 4]], &task_only).unwrap();
            loss.max().double_value(&[])
        };
        assert!(cost(Meaning::Classes, None) < 1e-5);
        assert!((cost(Meaning::Scores, None) - 1.0).abs() < 1e-4);
        assert!(cost(Meaning::Scores, Some(Tensor::from_slice(&[0i64, 1, 2]))) < 1e-5);
    }

    #[test]
    fn every_output_counts_the_same() {
        let (a, b) = (random_logits(3, "a").unsqueeze(1), random_logits(3, "b").unsqueeze(1));
        let of = |meaning, student: &Tensor, teacher: &Tensor| {
            let targets = Targets { labels: None, teacher: Some(answers(meaning, teacher)) };
            task(&answers(meaning, student), &targets, &vec![vec![1.0; 4]], &Task::default()).unwrap()
        };
        let both = |first: &Tensor, second: &Tensor| {
            let [first, second] = [answers(Meaning::Classes, first), answers(Meaning::Numbers, second)];
            Answers(first.0.into_iter().chain(second.0).collect())
        };
        let targets = Targets { labels: None, teacher: Some(both(&b, &a)) };
        let units = vec![vec![1.0; 4], vec![1.0; 4]];
        let joint = task(&both(&a, &b), &targets, &units, &Task::default()).unwrap();
        let mean = (of(Meaning::Classes, &a, &b) + of(Meaning::Numbers, &b, &a)) / 2.0;
        assert!((joint - mean).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn both_parts_are_weighted() {
        let student = Tensor::from_slice(&[0.0f32, 0.0]).reshape([1, 1, 2]);
        let teacher = Tensor::from_slice(&[3.0f32 * 9f32.ln(), 0.0]).reshape([1, 1, 2]);
        let targets =
            Targets { labels: Some(Tensor::from_slice(&[1i64])), teacher: Some(answers(Meaning::Classes, &teacher)) };
        let settings = Task { distil: 0.5, temperature: 3.0, beta: 1.0 };
        let student = answers(Meaning::Classes, &student);
        let loss = task(&student, &targets, &Vec::new(), &settings).unwrap().double_value(&[0]);
        let ln2 = std::f64::consts::LN_2;
        let taught = 9.0 * (0.9 * 0.9f64.ln() + 0.1 * 0.1f64.ln() + ln2);
        assert!((loss - 0.5 * (ln2 + taught)).abs() < 1e-5);
    }

    #[test]
    fn a_discrepancy_below_the_margin_keeps_the_class() {
        let (clean, changed) = (random_logits(2000, "clean"), random_logits(2000, "changed"));
        // Half way between, so that both cases occur.
        let changed = clean.lerp(&changed, 0.4);
        let (z, d) = discrepancy(&clean, &changed).unwrap();
        let safe = z.squeeze_dim(0).lt_tensor(&d);
        let same = clean.argmax(-1, false).eq_tensor(&changed.argmax(-1, false));
        let count = |t: &Tensor| t.to_kind(Kind::Int64).sum(Kind::Int64).int64_value(&[]);
        assert!(count(&safe) > 100 && count(&safe) < 1900);
        assert_eq!(count(&safe.logical_and(&same)), count(&safe));
    }

    #[test]
    fn jensen_shannon_is_symmetric_and_at_most_ln_2() {
        let (a, b) = (random_logits(50, "a"), random_logits(50, "b"));
        let (ab, ba) = (jensen_shannon(&a, &b).unwrap(), jensen_shannon(&b, &a).unwrap());
        assert!((ab.copy() - ba).abs().max().double_value(&[]) < 1e-6);
        assert!(ab.max().double_value(&[]) <= std::f64::consts::LN_2 && ab.min().double_value(&[]) > 0.0);
    }
}
