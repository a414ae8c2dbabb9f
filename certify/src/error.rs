//! What can go wrong while gathering evidence, in one sentence each.

use std::path::PathBuf;

use thiserror::Error;

use crate::runtimes::Element;

/// Why a piece of evidence could not be had.
#[derive(Debug, Error)]
pub enum CertifyError {
    /// ONNX Runtime's library is nowhere to be found.
    #[error("ONNX Runtime's library was not found; set ORT_DYLIB_PATH to libonnxruntime.so, or run `espalier doctor`")]
    NoLibrary,
    /// ONNX Runtime's library does not load.
    #[error(
        "ONNX Runtime's library {path} does not load ({reason}); point ORT_DYLIB_PATH to another, or run `espalier doctor`"
    )]
    Library {
        /// The file tried.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A runtime refuses a model.
    #[error("{runtime} cannot load {model}: {reason}")]
    Load {
        /// The runtime's name.
        runtime: &'static str,
        /// The model file.
        model: PathBuf,
        /// What the runtime said.
        reason: String,
    },
    /// A runtime fails on an input.
    #[error("{runtime} cannot run {model}: {reason}")]
    Run {
        /// The runtime's name.
        runtime: &'static str,
        /// The model file.
        model: PathBuf,
        /// What the runtime said.
        reason: String,
    },
    /// The runtime is only reachable in a child process.
    #[error("{runtime} runs in its own process only; ask for it through a launcher")]
    NotInProcess {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// A batch's shape and data do not fit.
    #[error("a batch of shape {shape:?} holds {values} values; give one value per element and at least one sample")]
    Batch {
        /// The shape given.
        shape: Vec<usize>,
        /// The values given.
        values: usize,
    },
    /// An input that takes one sample at a time, and several samples.
    #[error("the input `{input}` has no axis for {samples} samples; run them one at a time")]
    OneByOne {
        /// The input's name.
        input: String,
        /// The samples of a run.
        samples: usize,
    },
    /// An output cannot be put together from several runs.
    #[error(
        "output `{output}` has shape {shape:?} for a batch of {batch}, so runs cannot be joined; run the whole batch at once"
    )]
    Unjoinable {
        /// The output's name.
        output: String,
        /// Its shape in one run.
        shape: Vec<usize>,
        /// The samples of that run.
        batch: usize,
    },
    /// Runs of one model differ in the number of outputs.
    #[error("one run gave {first} outputs and another {other}; export the model again")]
    Outputs {
        /// In the first run.
        first: usize,
        /// In the other.
        other: usize,
    },
    /// A tensor file between processes is not as agreed.
    #[error("the tensor file {path} is not usable: {reason}")]
    Exchange {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The arguments of the child process are not as agreed.
    #[error(
        "`{argument}` is not an argument a runtime process takes here; it takes --kind, --model, --inputs, --outputs, --threads and --plain"
    )]
    Argument {
        /// The argument.
        argument: String,
    },
    /// Agreement needs somebody to agree with.
    #[error(
        "runtimes agree with each other, and fewer than two were asked for; name two with --runtimes, as in ort,tract"
    )]
    OneRuntime,
    /// One runtime asked for twice.
    #[error("the runtime {runtime} is named twice, which compares it with itself; name each once")]
    RuntimeTwice {
        /// Its name.
        runtime: &'static str,
    },
    /// The twin that a cut is checked against does not run.
    #[error("{reason}")]
    Twin {
        /// What stopped it.
        reason: String,
    },
    /// A model's output the check needs is missing.
    #[error("{model} has no output named `{output}`")]
    NoOutput {
        /// The model file.
        model: PathBuf,
        /// The name looked for.
        output: String,
    },
    /// No output has the name that a setting gives.
    #[error("the model has no output named `{output}`; correct the name in the settings")]
    NoSuchOutput {
        /// The name looked for.
        output: String,
    },
    /// An output cannot be what a setting says it is.
    #[error(
        "output `{output}` of shape {shape:?} cannot be taken for {kind}; leave the setting out, or choose another"
    )]
    Kind {
        /// The output's name.
        output: String,
        /// What it was set to.
        kind: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The two sides of a check differ in shape.
    #[error("`{site}` has shape {left:?} on one side and {right:?} on the other")]
    Shapes {
        /// What is compared.
        site: String,
        /// Shape of the reference.
        left: Vec<usize>,
        /// Shape of the candidate.
        right: Vec<usize>,
    },
    /// One side of a comparison holds integers, the other rounded numbers.
    #[error("`{site}` holds {left:?} on one side and {right:?} on the other; both must be integers, or both floats")]
    Elements {
        /// What is compared.
        site: String,
        /// The elements of the reference.
        left: Element,
        /// The elements of the candidate.
        right: Element,
    },
    /// The first output is not one score per class.
    #[error(
        "{model} gives an output of shape {shape:?} for {batch} images; certificates and accuracy need one score for each of at least two classes"
    )]
    NotAClassifier {
        /// The model file.
        model: PathBuf,
        /// Its first output's shape.
        shape: Vec<usize>,
        /// The images given.
        batch: usize,
    },
    /// The certificate can never hold.
    #[error("{draws} draws can never certify ε = {epsilon} at α = {alpha}; take at least {needed} draws")]
    NeverCertifies {
        /// The draws asked for.
        draws: u64,
        /// The tolerated failure probability.
        epsilon: f64,
        /// The error of a certificate.
        alpha: f64,
        /// The fewest draws that could.
        needed: u64,
    },
    /// A setting lies outside what it may be.
    #[error("{name} = {value} is out of range; it must be {allowed}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// No preset has that name.
    #[error("`{name}` is not a preset of certificates; use off, quick, standard or full")]
    Preset {
        /// The name given.
        name: String,
    },
    /// A label is not among the model's classes.
    #[error(
        "image {image} has label {label}, but {model} knows {classes} classes; give the data the model was made for"
    )]
    Label {
        /// The image's index.
        image: usize,
        /// Its label, counted from 0.
        label: u32,
        /// The model file.
        model: PathBuf,
        /// Its classes.
        classes: usize,
    },
    /// There is nothing to measure on.
    #[error("there are no images to measure on; give a folder or split that has some")]
    NoImages,
    /// Accuracy needs labels.
    #[error("image {image} has no label; accuracy needs a labelled set")]
    NoLabel {
        /// The image's index.
        image: usize,
    },
    /// An image cannot be had.
    #[error("image {image} cannot be used: {reason}")]
    Image {
        /// The image's index.
        image: usize,
        /// Why.
        reason: String,
    },
}
