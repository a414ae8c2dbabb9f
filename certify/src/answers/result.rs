//! How a network's answers compare with the large network's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::statistics::binomial::Proportion;

/// One candidate's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The candidate's name.
    pub name: String,
    /// Pictures compared.
    pub pictures: usize,
    /// One per output, in the file's order.
    pub outputs: Vec<OutputAnswers>,
}

/// One output's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputAnswers {
    /// The output's name.
    pub output: String,
    /// What it is.
    pub kind: Kind,
    /// Why it is taken for that.
    pub because: String,
    /// How near the candidate is; absent where a place is not finite, or the two cannot be compared.
    pub measure: Option<Measure>,
    /// Why the two cannot be compared.
    pub incomparable: Option<String>,
    /// Places that are finite in the large network's answers and not in the candidate's.
    pub not_finite: u64,
    /// Why the candidate no longer looks at the picture, where it does not.
    pub collapse: Option<Collapse>,
    /// Channels (of pixels; else classes or entries of the last axis) that vary from picture to picture in the large network's
    /// answers and hardly in the candidate's: below a hundredth of that variance.
    pub dead_channels: usize,
    /// Channels that vary in the large network's answers.
    pub channels: usize,
}

/// How near an output is to the large network's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub enum Measure {
    /// Class scores, or classes.
    Classes {
        /// Pictures with the same class, and the exact 95 % interval of their share.
        same: Proportion,
    },
    /// A class for every pixel.
    Map {
        /// Pixels with the same class, of all.
        same: f64,
        /// Intersection over union, averaged over the classes that either network gives.
        mean_iou: f64,
    },
    /// A picture.
    Image {
        /// Peak signal-to-noise ratio in decibels, over all pixels together; absent when all are equal.
        psnr: Option<f64>,
        /// The peak: the width of the range that the large network's answers fill.
        peak: f64,
    },
    /// Anything else.
    Values {
        /// ‖a − b‖ / ‖a‖ over all pictures; absent when a is zero.
        relative_error: Option<f64>,
        /// Cosine over all pictures; absent when either is zero.
        cosine: Option<f64>,
        /// 1 − Σ(a − b)² / Σ(a − ā)², ā being each element's mean over pictures; absent when a does not vary.
        explained_variance: Option<f64>,
    },
}

/// How a network gives the same whatever it sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "collapse", rename_all = "snake_case")]
pub enum Collapse {
    /// Nearly always one class, though the large network tells several apart.
    OneClass {
        /// The class.
        class: i64,
        /// The share of pictures that get it.
        share: f64,
        /// The share of pictures that get the large network's own most frequent class.
        dense_share: f64,
    },
    /// Values that do not vary from picture to picture, though the large network's do.
    Constant {
        /// Variance over pictures as a share of the large network's.
        variance: f64,
    },
}

impl Answers {
    /// Whether a network with these answers may be given to anybody: every answer is finite where the large network's
    /// is, and no output has collapsed.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.outputs.iter().all(|output| output.ruin().is_none())
    }

    /// What is ruined, one sentence for each output that is.
    #[must_use]
    pub fn ruins(&self) -> Vec<String> {
        self.outputs.iter().filter_map(|output| Some(format!("`{}` {}", output.output, output.ruin()?))).collect()
    }

    /// The share of same answers of the first output of classes, where there is one.
    #[must_use]
    pub fn same(&self) -> Option<Proportion> {
        self.outputs.iter().find_map(|output| match output.measure {
            Some(Measure::Classes { same }) => Some(same),
            _ => None,
        })
    }
}

impl OutputAnswers {
    /// What is ruined, where something is.
    #[must_use]
    pub fn ruin(&self) -> Option<String> {
        match (self.not_finite, self.collapse) {
            (0, None) => None,
            (0, Some(collapse)) => Some(collapse.to_string()),
            (places, _) => Some(format!("is not finite in {places} places where the dense network is")),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        match *self {
            Self::Classes { same: Proportion { share, count, of, lower, upper, confidence } } => write!(
                f,
                "same class {} ({count} of {of}; {:.0} % interval {} to {})",
                percent(share),
                confidence * 100.0,
                percent(lower),
                percent(upper)
            ),
            Self::Map { same, mean_iou } => {
                write!(f, "same class at {} of pixels, mean IoU {mean_iou:.3}", percent(same))
            }
            Self::Image { psnr: Some(psnr), .. } => write!(f, "PSNR {psnr:.1} dB"),
            Self::Image { psnr: None, .. } => f.write_str("equal in every pixel"),
            Self::Values { relative_error, cosine, explained_variance } => {
                let figures = [
                    relative_error.map(|error| format!("relative error {error:.1e}")),
                    cosine.map(|cosine| format!("cosine {cosine:.4}")),
                    explained_variance.map(|share| format!("explained variance {}", percent(share))),
                ];
                let figures: Vec<String> = figures.into_iter().flatten().collect();
                f.write_str(if figures.is_empty() { "nothing to compare" } else { "" })?;
                f.write_str(&figures.join(", "))
            }
        }
    }
}

impl fmt::Display for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneClass { class, share, dense_share } => write!(
                f,
                "has collapsed: class {class} for {:.2} % of the pictures, where the dense network gives no class to more \
                 than {:.2} %",
                share * 100.0,
                dense_share * 100.0
            ),
            Self::Constant { .. } => {
                f.write_str("has collapsed: the same for every picture, where the dense network tells them apart")
            }
        }
    }
}
