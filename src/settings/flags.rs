//! Flags, in groups that commands share. Each group has the form of its part of `espalier.toml`, so that a flag and a
//! key cannot drift apart.

use std::path::PathBuf;

use certify::runtimes::Kind;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

/// Which pictures.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct Data {
    /// Pictures (a folder, parquet, CIFAR-10 batches, IDX or .npy files, or the word `procedural`) or arrays of any kind
    /// (.npz, .npy, a folder of either; keys name inputs); `random` or `random:N` where all inputs are drawn.
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// What an input is fed, once for each (without NAME for the only one): normal, normal:MEAN:DEVIATION,
    /// uniform:LOW:HIGH or ints:LOW:HIGH (seeded random numbers), array or array:KEY (from --data), or picture.
    #[arg(id = "feed", long = "input", value_name = "NAME=HOW")]
    pub(crate) feed: Option<Vec<String>>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) shapes: Shapes,
    #[command(flatten)]
    pub(crate) division: Division,
    #[command(flatten)]
    pub(crate) input: Input,
}

/// Which sizes a file leaves open.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct Shapes {
    /// Sizes of an input that the file leaves open, once for each (without NAME for the only one). The first axis stays
    /// open: samples lie along it.
    #[arg(long, value_name = "NAME=1x3x48x320")]
    pub(crate) shape: Option<Vec<String>>,
}

/// What decides the pictures that are held out where no split serves.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct Division {
    /// Decides, with their names, which pictures are held out where no split serves; 0 unless given. `eval` measures
    /// what `prune` and `train` have held out when it is given the same.
    #[arg(id = "division_seed", long = "division-seed", value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// Which pictures are trained on.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct Train {
    /// The split to train on; the training split, else the unsplit set, unless given.
    #[arg(id = "train_split", long = "train-split", value_name = "NAME")]
    pub(crate) split: Option<String>,
}

/// Which pictures figures are measured on.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct Measure {
    /// The split figures are measured on; test, else validation, else a tenth held out of the others, unless given.
    #[arg(id = "measure_split", long = "measure-split", visible_alias = "split", value_name = "NAME")]
    pub(crate) split: Option<String>,
}

/// The same for a command to which a bare `--split` could as well mean the pictures that it trains on.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct LeftToMeasure {
    /// The split that is left to measure on; test, else validation, else a tenth held out of the others, unless given.
    #[arg(id = "measure_split", long = "measure-split", value_name = "NAME")]
    pub(crate) split: Option<String>,
    #[arg(long = "split", hide = true, value_parser = ambiguous_split)]
    #[serde(skip)]
    bare: Option<String>,
}

/// From pictures to a network's input.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "From pictures to inputs (what is left out is inferred)")]
pub(crate) struct Input {
    /// Where the channels are.
    #[arg(long, value_parser = ["nchw", "nhwc"])]
    pub(crate) layout: Option<String>,
    /// The order of the channels.
    #[arg(long, value_parser = ["rgb", "bgr", "grey"])]
    pub(crate) order: Option<String>,
    /// Factor on values 0 to 255; 1/255 unless given.
    #[arg(long, value_name = "X", value_parser = fraction)]
    pub(crate) scale: Option<f64>,
    /// Subtracted after scaling: one number, or one per channel.
    #[arg(long, value_name = "X,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) mean: Option<Vec<f64>>,
    /// Divided by after that.
    #[arg(long, value_name = "X,…", value_delimiter = ',')]
    pub(crate) std: Option<Vec<f64>>,
    /// What happens to pictures of another size: none, crop, exact or shorter=SIDE.
    #[arg(long, value_name = "HOW")]
    pub(crate) resize: Option<String>,
    /// Rows, where the network leaves them open.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) height: Option<usize>,
    /// Columns, where the network leaves them open.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) width: Option<usize>,
    /// Turn pictures as their EXIF orientation says; left as they are stored unless given, as torchvision does.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub(crate) orient: Option<bool>,
}

/// What to do about a run that is there already.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The run")]
pub(crate) struct WhichRun {
    /// Continue an interrupted run: `--resume RUN` alone, or this with the whole command. Settings that only later stages
    /// read may change.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "force")]
    pub(crate) resume: Option<Option<PathBuf>>,
    /// Put a new run in the place of one that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// How to compute.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Run {
    /// What every random number is a function of; 0 unless given.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Threads; as many as the processor offers unless given.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// How much checking a cut may take.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Gate {
    /// The most memory that checking the cut may take, such as 4GiB; half of what is free unless given.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
}

/// Where torch computes.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Device {
    /// cpu, cuda or cuda:N.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

/// How much may remain, and what stays whole.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Budget")]
pub(crate) struct Budget {
    /// At most this much: macs=50%, params=1.2M, channels=50%. Several budgets all hold.
    #[arg(long, value_name = "BUDGET")]
    pub(crate) to: Option<Vec<String>>,
    /// Leave tensors alone whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) keep: Option<Vec<String>>,
}

/// What the network is trained by.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Training")]
pub(crate) struct Until {
    /// Train up to this value of the graph, once for each, and leave what lies behind as it is; the outputs, or what lies
    /// before those that cannot be trained, unless given.
    #[arg(long, value_name = "VALUE")]
    pub(crate) until: Option<Vec<String>>,
}

/// What the slim file is like.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct Export {
    /// Let the slim file take any batch, where the model declares one size and nothing else in it needs that.
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = "The slim file")]
    pub(crate) free_batch: Option<bool>,
}

/// How lanes are chosen.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Search")]
pub(crate) struct Search {
    /// csam, taylor, magnitude or random; csam unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) method: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) widths: Widths,
}

/// How lanes are chosen without data.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Which lanes go")]
pub(crate) struct Dataless {
    /// Lanes of the smallest weights, or any; magnitude unless given.
    #[arg(long, value_parser = ["magnitude", "random"])]
    pub(crate) method: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) widths: Widths,
}

/// How lanes are scored without data, and how many each group keeps.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct Widths {
    /// The same share of every group, the best lanes of all, those within a band, or the best of all groups of one form.
    #[arg(long, value_parser = ["uniform", "global", "banded", "isomorphic"])]
    pub(crate) allocation: Option<String>,
    /// Channels that every group keeps at least.
    #[arg(long, value_name = "N")]
    pub(crate) floor: Option<usize>,
    /// Bound the lanes of layers by a part of their name, once for each: NAME=16.., NAME=..50% or NAME=25%..75%.
    #[arg(long, value_name = "NAME=LEAST..MOST")]
    pub(crate) layer: Option<Vec<String>>,
    /// What a lane's weights are measured by: squares, magnitudes, the normalisation's scale, or the distance from the
    /// geometric median; l2 unless given.
    #[arg(long, value_parser = ["l2", "l1", "bn-scale", "fpgm"])]
    pub(crate) criterion: Option<String>,
    /// How the tensors on which a lane lies become one score; mean unless given.
    #[arg(long, value_parser = ["mean", "sum", "max"])]
    pub(crate) reduce: Option<String>,
    /// What the scores of a group are divided by; mean unless given.
    #[arg(long, value_parser = ["mean", "max", "sum", "none"])]
    pub(crate) normalise: Option<String>,
}

/// How the network is trained.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Training")]
pub(crate) struct Tune {
    /// Passes over the training pictures.
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<f64>,
    /// Images per step.
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Highest learning rate.
    #[arg(long, value_name = "X")]
    pub(crate) rate: Option<f64>,
    #[command(flatten)]
    pub(crate) task: Task,
}

/// What the network is trained to answer.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct Task {
    /// Weight of the dense network's answers against labels, 0 to 1.
    #[arg(long, value_name = "X")]
    pub(crate) distil: Option<f64>,
    /// On transformed pictures: 1 asks for the answer to the clean one, 0 for the dense network's own.
    #[arg(long, value_name = "X")]
    pub(crate) beta: Option<f64>,
}

/// Whether labels are used.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct Labels {
    /// Learn from the dense network alone, even where there are labels.
    #[arg(long = "no-labels", num_args = 0, default_missing_value = "false", help_heading = "Training")]
    pub(crate) labels: Option<bool>,
}

/// Any key of `[search]` and `[tune]`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Set {
    /// Any other setting, such as search.perturb=uniform or tune.ema=0.999; docs/settings.md lists them.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Training")]
    pub(crate) set: Vec<String>,
}

/// Which certificates.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Certificates")]
pub(crate) struct Certify {
    /// How much evidence: quick, standard, full, or off.
    #[arg(long, value_parser = ["quick", "standard", "full", "off"])]
    pub(crate) preset: Option<String>,
    /// The tolerated probability that a transformation changes the prediction.
    #[arg(long, value_name = "X")]
    pub(crate) epsilon: Option<f64>,
    /// The probability that a certificate is wrong.
    #[arg(long, value_name = "X")]
    pub(crate) alpha: Option<f64>,
    /// Random transformations per image.
    #[arg(long, value_name = "N")]
    pub(crate) draws: Option<u64>,
    /// Images to certify.
    #[arg(long, value_name = "N")]
    pub(crate) images: Option<usize>,
    /// Transformations: rotation, brightness, contrast, blur, noise, each alone or as NAME=SIZE.
    #[arg(long, value_name = "LAW,…", value_delimiter = ',')]
    pub(crate) laws: Option<Vec<String>>,
}

/// How long certificates may take.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub(crate) struct Minutes {
    /// Stop certifying after this time; what was done by then is reported.
    #[arg(long, value_name = "N", help_heading = "Certificates")]
    pub(crate) minutes: Option<f64>,
}

/// How runtimes are compared.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Agreement")]
pub(crate) struct Verify {
    /// Largest relative difference that is still agreement; 1e-4 (1e-2 for fp16) unless given.
    #[arg(long, value_name = "X")]
    pub(crate) tolerance: Option<f64>,
    /// Pictures to compare on; 64 unless given.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Pictures in one run of a runtime, where the model leaves its batch open; 16 unless given.
    #[arg(long, value_name = "N")]
    pub(crate) at_once: Option<usize>,
    /// Runtimes, the reference first; ort,tract,torch unless given.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    pub(crate) runtimes: Option<Vec<String>>,
}

fn ambiguous_split(_: &str) -> Result<String, String> {
    Err("say --train-split for the pictures to train on, or --measure-split for those to keep for measuring".to_owned())
}

/// A number, or one divided by another as in `1/255`.
fn fraction(text: &str) -> Result<f64, String> {
    let wrong = |_| format!("`{text}` is not a number; write 0.5 or 1/255");
    match text.split_once('/') {
        None => text.trim().parse().map_err(wrong),
        Some((above, below)) => {
            let (above, below): (f64, f64) =
                (above.trim().parse().map_err(wrong)?, below.trim().parse().map_err(wrong)?);
            Ok(above / below)
        }
    }
}
