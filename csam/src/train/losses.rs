//! The losses, all on logits of shape [images, classes], each as one number per image.

use tch::{Kind, Reduction, Tensor};

use crate::{CsamError, job::Task};

/// What one prediction is compared with.
#[derive(Debug)]
pub struct Targets {
    /// Class numbers, where labels may be read.
    pub labels: Option<Tensor>,
    /// The teacher's logits t*, where there is a teacher.
    pub teacher: Option<Tensor>,
}

/// `(1−a)·CE(s, y) + a·T²·KL(softmax(t*/T) ‖ softmax(s/T))` per image; whichever part has no target is left out and
/// the other gets the whole weight.
///
/// # Errors
/// There is neither label nor teacher, or libtorch refuses.
pub fn task(logits: &Tensor, targets: &Targets, task: &Task) -> Result<Tensor, CsamError> {
    match (&targets.labels, &targets.teacher) {
        (Some(labels), None) => cross_entropy(logits, labels),
        (None, Some(teacher)) => distillation(logits, teacher, task.temperature),
        (Some(labels), Some(teacher)) => {
            let own = cross_entropy(logits, labels)?.f_mul_scalar(1.0 - task.distil)?;
            let taught = distillation(logits, teacher, task.temperature)?.f_mul_scalar(task.distil)?;
            Ok(own.f_add(&taught)?)
        }
        (None, None) => Err(CsamError::NothingToLearn),
    }
}

/// −log p(y).
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor, CsamError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::None, -100, 0.0)?)
}

/// T²·KL(softmax(t/T) ‖ softmax(s/T)).
fn distillation(logits: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor, CsamError> {
    let student = logits.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float)?;
    let teacher = teacher.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float)?;
    Ok(divergence(&teacher, &student)?.f_mul_scalar(temperature * temperature)?)
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

    #[test]
    fn distillation_from_oneself_costs_nothing() {
        let logits = random_logits(3, "logits");
        let targets = Targets { labels: None, teacher: Some(logits.shallow_clone()) };
        let loss = task(&logits, &targets, &Task::default()).unwrap();
        assert!(loss.abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn both_parts_are_weighted() {
        let logits = Tensor::from_slice(&[0.0f32, 0.0]).reshape([1, 2]);
        let targets = Targets {
            labels: Some(Tensor::from_slice(&[1i64])),
            teacher: Some(Tensor::from_slice(&[3.0f32 * 9f32.ln(), 0.0]).reshape([1, 2])),
        };
        let settings = Task { distil: 0.5, temperature: 3.0, beta: 1.0 };
        let loss = task(&logits, &targets, &settings).unwrap().double_value(&[0]);
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
