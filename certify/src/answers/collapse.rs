//! When a network has stopped looking at its input.

use std::collections::BTreeMap;

use super::result::Collapse;
use crate::statistics::binomial::at_most;

/// A network that gives any other class more often than this has not collapsed.
const OTHERS: f64 = 0.01;
/// How improbable so few other classes must be at the large network's own rate.
const IMPROBABLE: f64 = 0.01;
/// Below this share of the large network's variance over pictures, values are constant.
const CONSTANT: f64 = 1e-6;

/// Whether the second classes are nearly all one, too often to be chance at the rate of the first ones.
pub(crate) fn one_class(classes: &[(Option<i64>, Option<i64>)]) -> Option<Collapse> {
    let pictures = classes.len() as u64;
    let (_, dense) = most_frequent(classes.iter().filter_map(|(dense, _)| *dense))?;
    let (class, slim) = most_frequent(classes.iter().filter_map(|(_, slim)| *slim))?;
    let others = pictures - slim;
    let dense_others = (pictures - dense) as f64 / pictures as f64;
    let few = others as f64 <= OTHERS * pictures as f64;
    let share = |count: u64| count as f64 / pictures as f64;
    (few && at_most(others, pictures, dense_others) <= IMPROBABLE).then(|| Collapse::OneClass {
        class,
        share: share(slim),
        dense_share: share(dense),
    })
}

/// Whether values do not vary over pictures where the large network's do.
pub(super) fn constant(dense: f64, slim: f64) -> Option<Collapse> {
    (dense > 0.0 && slim < CONSTANT * dense).then(|| Collapse::Constant { variance: slim / dense })
}

fn most_frequent(classes: impl Iterator<Item = i64>) -> Option<(i64, u64)> {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    classes.for_each(|class| *counts.entry(class).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` pictures: the large network's classes go round `classes` of them, the candidate gives another than 0 to `others`.
    fn found(n: i64, classes: i64, others: i64) -> bool {
        let pairs: Vec<_> = (0..n).map(|i| (Some(i % classes), Some(i64::from(i < others)))).collect();
        one_class(&pairs).is_some()
    }

    #[test]
    fn one_class_for_all_is_a_collapse_where_chance_does_not_explain_it() {
        assert!(found(500, 10, 0) && found(500, 10, 5) && found(8, 10, 0));
        assert!(!found(500, 10, 6) && !found(500, 1, 0) && !found(1, 10, 0) && !found(4, 2, 0));
        // One picture in a hundred is another class: fifty of the first class are no wonder.
        let mut rare = vec![(Some(0), Some(0)); 50];
        rare[7].0 = Some(1);
        assert_eq!(one_class(&rare), None);
    }

    #[test]
    fn values_that_do_not_vary_are_a_collapse_where_the_large_ones_do() {
        assert!(constant(1.0, 0.0).is_some() && constant(1.0, 1e-7).is_some());
        assert!(constant(1.0, 1e-3).is_none() && constant(0.0, 0.0).is_none());
    }
}
