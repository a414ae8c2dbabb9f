//! How many images go through a network at once, where the job leaves that open.
//!
//! The numbers are functions of the job, the network and the pictures, never of the machine, so that a run can be
//! repeated elsewhere.

use job::Job;

/// Images of a step with small images and many of them.
const USUAL: usize = 128;
/// Images of a step that normalisations can measure on.
const FEW: usize = 8;
/// Steps that one pass over the pictures has at least, where that leaves enough images for one.
const STEPS: usize = 16;
/// Bytes that the values of a step, and their gradients, may take.
const MEMORY: usize = 3 << 30;
/// Images at once without gradients.
const INFERENCE: usize = 256;

/// Images at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSizes {
    /// In a step of the search, all branches of an image counted once each.
    pub search: usize,
    /// In a step of the tuning.
    pub tune: usize,
    /// Where nothing is kept for gradients.
    pub inference: usize,
}

impl BatchSizes {
    /// For so many training pictures, in a network that keeps so many bytes of an image for its gradients.
    pub fn of(job: &Job, pictures: usize, bytes: usize) -> Self {
        let fitting = MEMORY / bytes.saturating_mul(2).max(1);
        let usual = (pictures / STEPS).clamp(FEW, USUAL);
        let usual = usual.min(fitting).max(2);
        let usual = 1 << usual.ilog2();
        let tune = job.tune.batch.unwrap_or(usual).min(pictures.max(1));
        Self {
            search: job.search.csam.batch.unwrap_or(usual),
            tune,
            inference: fitting.saturating_mul(4).clamp(1, INFERENCE),
        }
    }

    /// A rate that is right for [`USUAL`] images a step, for another number of images (Goyal et al. 2017: in proportion).
    pub fn rate(usual: f64, images: usize) -> f64 {
        usual * images as f64 / USUAL as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn job(sections: serde_json::Value) -> Job {
        let mut job = serde_json::json!({
            "model": "m.onnx", "data": "d", "out": "o",
            "inputs": [],
        });
        job.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
        Job::read(job).unwrap()
    }

    #[test]
    fn small_images_go_in_the_usual_number_and_large_ones_in_what_fits() {
        let batch_sizes = |pictures, bytes| BatchSizes::of(&job(serde_json::json!({})), pictures, bytes);
        assert_eq!(batch_sizes(45_000, 3 << 20), BatchSizes { search: 128, tune: 128, inference: 256 });
        assert_eq!(batch_sizes(600, 3 << 20).tune, 32);
        assert_eq!(batch_sizes(600, 100 << 20).tune, 8);
        assert_eq!(batch_sizes(600, 4 << 30), BatchSizes { search: 2, tune: 2, inference: 1 });
        assert_eq!(batch_sizes(3, 1).tune, 3);
    }

    #[test]
    fn what_is_asked_for_is_done() {
        let asked = job(serde_json::json!({ "tune": { "batch": 500 }, "search": { "batch": 7 } }));
        let batch_sizes = BatchSizes::of(&asked, 600, 1 << 30);
        assert_eq!((batch_sizes.tune, batch_sizes.search), (500, 7));
    }
}
