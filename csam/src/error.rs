//! What can go wrong between a job and its plan, one sentence each.

use std::path::{Path, PathBuf};

use images::values::Element;
use import::lanes;

use crate::network::NetworkError;

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CsamError {
    /// The job cannot be read.
    #[error(transparent)]
    Job(#[from] job::JobError),
    /// A pattern of what is to be kept that fits nothing.
    #[error(
        "`keep` names `{pattern}`, but no stored tensor of the model has that in its name; `espalier inspect` lists them"
    )]
    KeepsNothing {
        /// The pattern.
        pattern: String,
    },
    /// The operating system refused.
    #[error("{}: {action} failed ({reason})", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's words.
        reason: String,
    },
    /// The model cannot be read.
    #[error(transparent)]
    Import(#[from] import::ImportError),
    /// The model cannot be trained.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A model cannot be run.
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    /// The pictures cannot be read.
    #[error(transparent)]
    Data(#[from] images::data::DataError),
    /// An input whose type torch does not have.
    #[error(
        "the input `{input}` holds {element:?}, which torch does not compute with; the network can be measured, not trained"
    )]
    InputType {
        /// The input's name.
        input: String,
        /// Its type.
        element: Element,
    },
    /// The budget cannot be met.
    #[error(transparent)]
    Allocate(#[from] lanes::AllocateError),
    /// Layers that cannot be bounded as asked.
    #[error(transparent)]
    Ranking(#[from] lanes::RankingError),
    /// A text that is no budget.
    #[error(transparent)]
    Budget(#[from] lanes::BudgetError),
    /// A stored tensor cannot be read.
    #[error(transparent)]
    Tensor(#[from] import::tensor::TensorError),
    /// A text that is no law.
    #[error(transparent)]
    Law(#[from] images::laws::LawError),
    /// The network's output is no class score.
    #[error(
        "the first output is no row of class scores (its shape is {shape:?} for each image), so the labels of the pictures \
         say nothing about it; use --no-labels to learn the dense network's answers instead"
    )]
    NoClasses {
        /// What the output looks like.
        shape: Vec<i64>,
    },
    /// Student and teacher say different things.
    #[error(
        "the teacher's outputs are {teacher:?} for each image and the network's {student:?}; give the network it was cut from"
    )]
    OtherTeacher {
        /// The shapes of what the teacher says.
        teacher: Vec<Vec<i64>>,
        /// The shapes of what the network says.
        student: Vec<Vec<i64>>,
    },
    /// Training without labels and without a teacher.
    #[error("there are no labels to learn from and no teacher; give labelled pictures")]
    NothingToLearn,
    /// Pictures prepared otherwise than for the network's own training.
    #[error(
        "the pictures are not in the network's range: what is normalised by `{statistic}` spreads {times:.3} times as widely \
         as in its training; prepare them as there (--scale, --mean, --std)"
    )]
    OtherRange {
        /// The stored variance.
        statistic: String,
        /// The spread over the pictures, in units of the stored one.
        times: f64,
    },
    /// A label that the network has no output for.
    #[error("the pictures have labels up to {label}, but the network has {classes} classes")]
    LabelOutOfRange {
        /// The largest label.
        label: u32,
        /// The number of outputs.
        classes: i64,
    },
    /// The loss ran away.
    #[error(
        "the loss became {loss} at step {step} of {phase}, and again after going back {retreats} times with a smaller rate; \
         set a smaller {phase} rate, or check that the pictures are prepared as the network expects them"
    )]
    Diverged {
        /// The phase.
        phase: &'static str,
        /// The step.
        step: u64,
        /// The loss there.
        loss: f64,
        /// How often the phase went back before.
        retreats: u64,
    },
    /// No learning rate that was tried keeps the loss where it is.
    #[error(
        "the loss of {phase} rises with every rate from {highest} down to {lowest}; set a smaller {phase} rate, or check that \
         the pictures are prepared as the network expects them"
    )]
    NoRate {
        /// The phase.
        phase: &'static str,
        /// The first rate.
        highest: f64,
        /// The last one.
        lowest: f64,
    },
    /// A checkpoint of something else.
    #[error("{}: belongs to another job ({what} differ); remove it or start without --resume", path.display())]
    OtherCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A damaged checkpoint.
    #[error("{}: is not a whole checkpoint ({reason}); remove it", path.display())]
    BadCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// libtorch refused a call.
    #[error("libtorch: {0}")]
    Torch(String),
    /// A device that is not there.
    #[error("the device `{0}` is not there; `espalier doctor` lists those that are")]
    Device(job::Device),
    /// The program that started this one has ended.
    #[error("process {parent}, which should have started this program, is not its parent; leave --parent out")]
    Orphaned {
        /// The id that was given.
        parent: i32,
    },
    /// The preparation of batches ended early.
    #[error("the thread that prepares batches ended early")]
    FeedEnded,
    /// The user asked to stop; a checkpoint was written where one was asked for.
    #[error("interrupted at step {step} of {phase}; the same command with --resume continues")]
    Interrupted {
        /// The phase.
        phase: &'static str,
        /// Steps that are done.
        step: u64,
    },
}

impl CsamError {
    /// The process's exit status: 130 when the user interrupted, else 2.
    pub fn status(&self) -> u8 {
        if matches!(self, Self::Interrupted { .. }) { 130 } else { 2 }
    }

    pub(crate) fn file(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::File { path: path.into(), action, reason: error.to_string() }
    }

    pub(crate) fn bad_checkpoint(path: &Path, reason: impl ToString) -> Self {
        Self::BadCheckpoint { path: path.into(), reason: reason.to_string() }
    }
}

impl From<tch::TchError> for CsamError {
    fn from(error: tch::TchError) -> Self {
        // Only the first line is for people; the rest is a C++ stack.
        let text = error.to_string();
        Self::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}
