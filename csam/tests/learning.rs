//! Every imported network learns: gradients of all trained tensors are finite, and twenty steps on one batch lower the
//! distance of all float outputs to random targets, in the unit of each output.
//!
//! `ESPALIER_NETWORKS=FOLDER:FOLDER cargo test --release -p espalier-csam --test learning -- --ignored --nocapture` runs
//! the models of any folders, a line each.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "a line for each model of a folder")]

use std::fmt;
use std::path::{Path, PathBuf};

use csam::network::{Learnable, Lowering, Network, Parameter, Pass};
use fixtures::models::{Builder, Dim, int, random, resnet, small};
use import::{DType, Graph, Model, Tensor as Stored};
use tch::{Kind, Tensor, no_grad};

const STEPS: usize = 20;
/// Samples of a batch that the model leaves open.
const SAMPLES: i64 = 1;
/// Sides that a model leaves open are tried at these sizes.
const SIDES: [i64; 7] = [32, 64, 224, 256, 320, 16, 1];
/// Larger inputs say nothing more.
const MOST_ELEMENTS: i64 = 4_000_000;
/// A step moves each tensor by this share of its own length (You et al. 2017, without momentum). One that does not lower
/// the loss is undone, and the next ones are a quarter as long.
const SHARE: f64 = 0.02;
/// Elements that are zero have a length all the same.
const LEAST: f64 = 0.01;

/// What came of a network.
#[derive(Debug)]
enum Found {
    Learned(Learned),
    /// Not to be trained, with the reason.
    Refused(String),
    Failed(String),
}

#[derive(Debug)]
struct Learned {
    tensors: usize,
    /// Trained tensors from which no gradient path leads to a float output.
    unreached: Vec<String>,
    first: f64,
    last: f64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused\t{reason}"),
            Self::Failed(reason) => write!(f, "FAILED\t{reason}"),
            Self::Learned(Learned { tensors, unreached, first, last }) => {
                write!(f, "learned\t{tensors} tensors, loss {first:.3e} to {last:.3e}")?;
                match unreached.as_slice() {
                    [] => Ok(()),
                    [one, ..] => write!(f, ", {} not reached, such as {one}", unreached.len()),
                }
            }
        }
    }
}

fn learn(model: &Model) -> Found {
    // Up to where it can be, as a training has it.
    let lowered =
        Learnable::of(model).and_then(|learnable| match learnable.is_partial() && !learnable.values.is_empty() {
            true => Network::lower_until(model, &learnable.values, None, Lowering::training()),
            false => Network::lower(model, None, Lowering::training()),
        });
    let network = match lowered {
        Ok(network) => network,
        Err(error) => return Found::Refused(error.to_string()),
    };
    let parameters = network.parameters();
    if parameters.is_empty() {
        return Found::Refused("it has nothing to train".to_owned());
    }
    let mut failed = "no input of a usual size fits it".to_owned();
    for side in SIDES {
        let Some(inputs) = inputs(&model.graph, side) else { continue };
        match no_grad(|| network.forward(&inputs, &mut Pass::default())) {
            Ok(outputs) => return descend(&network, &parameters, &inputs, &outputs),
            Err(error) => failed = error.to_string(),
        }
    }
    Found::Failed(failed)
}

fn descend(network: &Network, parameters: &[Parameter], inputs: &[Tensor], outputs: &[Tensor]) -> Found {
    tch::manual_seed(7);
    let targets: Vec<Option<Target>> = outputs.iter().map(Target::of).collect();
    if targets.iter().all(Option::is_none) {
        return Found::Refused("none of its outputs is made of finite floats".to_owned());
    }
    let gradients = || gradients(network, parameters, inputs, &targets);
    let (first, mut slopes) = match gradients() {
        Ok(found) => found,
        Err(found) => return found,
    };
    let (mut last, mut share) = (first, SHARE);
    for _ in 0..STEPS {
        let before: Vec<Tensor> = no_grad(|| parameters.iter().map(|parameter| parameter.tensor.copy()).collect());
        step(parameters, &slopes, share);
        match gradients() {
            Ok((now, new)) if now < last => (last, slopes) = (now, new),
            Ok(_) => {
                let pairs = parameters.iter().zip(&before);
                no_grad(|| pairs.for_each(|(parameter, before)| parameter.tensor.shallow_clone().copy_(before)));
                share /= 4.0;
            }
            Err(found) => return found,
        }
    }
    let unreached = parameters.iter().zip(&slopes).filter(|(_, slope)| slope.is_none());
    let unreached = unreached.map(|(parameter, _)| parameter.name.clone()).collect();
    match last < first {
        true => Found::Learned(Learned { tensors: parameters.len(), unreached, first, last }),
        false => Found::Failed(format!("no step lowers the loss of {first:e}")),
    }
}

/// The loss, and its gradient by every trained tensor that it depends on. A loss that is not finite has none.
fn gradients(
    network: &Network,
    parameters: &[Parameter],
    inputs: &[Tensor],
    targets: &[Option<Target>],
) -> Result<(f64, Vec<Option<Tensor>>), Found> {
    let outputs = network.forward(inputs, &mut Pass::default()).map_err(|error| Found::Failed(error.to_string()))?;
    let apart = outputs.iter().zip(targets).filter_map(|(output, target)| Some(target.as_ref()?.distance(output)));
    let loss = Tensor::stack(&apart.collect::<Vec<_>>(), 0).mean(Kind::Double);
    let now = loss.double_value(&[]);
    if !loss.requires_grad() {
        return Err(Found::Refused("nothing that is trained reaches a float output".to_owned()));
    }
    if !now.is_finite() {
        return Ok((now, Vec::new()));
    }
    for parameter in parameters.iter().filter(|parameter| parameter.tensor.grad().defined()) {
        parameter.tensor.shallow_clone().zero_grad();
    }
    loss.backward();
    let slope = |parameter: &Parameter| Some(parameter.tensor.grad()).filter(Tensor::defined).map(|slope| slope.copy());
    let slopes: Vec<Option<Tensor>> = parameters.iter().map(slope).collect();
    let is_bad = |slope: &Option<Tensor>| slope.as_ref().is_some_and(|it| it.isfinite().all().int64_value(&[]) == 0);
    match slopes.iter().position(is_bad) {
        Some(bad) => Err(Found::Failed(format!("the gradient of `{}` is not finite", parameters[bad].name))),
        None => Ok((now, slopes)),
    }
}

/// Moves every tensor down its gradient by a share of its own length.
fn step(parameters: &[Parameter], slopes: &[Option<Tensor>], share: f64) {
    let length = |tensor: &Tensor| tensor.to_kind(Kind::Double).square().sum(Kind::Double).sqrt().double_value(&[]);
    no_grad(|| {
        for (parameter, slope) in parameters.iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            let own = length(&parameter.tensor).max(LEAST * (parameter.tensor.numel() as f64).sqrt());
            let steep = length(slope);
            if steep > 0.0 {
                let _ = parameter.tensor.shallow_clone().g_sub_(&(slope * (share * own / steep)));
            }
        }
    });
}

/// Where an output is to get to.
struct Target {
    values: Tensor,
    /// How far its finite numbers vary.
    unit: f64,
    finite: Tensor,
}

impl Target {
    /// Somewhere in the range of the output's numbers; `None` for what is not made of floats, or of no finite ones.
    fn of(output: &Tensor) -> Option<Self> {
        if !matches!(output.kind(), Kind::Float | Kind::Double) || output.numel() == 0 {
            return None;
        }
        let output = output.to_kind(Kind::Double);
        let finite = output.isfinite();
        let numbers = output.masked_select(&finite);
        if numbers.numel() == 0 {
            return None;
        }
        let mean = numbers.mean(Kind::Double);
        let spread = numbers.std(false).double_value(&[]);
        let size = numbers.abs().max().double_value(&[]);
        let unit = if spread > 1e-9 * size { spread } else { size.max(1.0) };
        let values = output.randn_like() * unit + mean;
        Some(Self { values, unit, finite })
    }

    /// The mean square of what is missing, in units.
    fn distance(&self, output: &Tensor) -> Tensor {
        let apart = (output.to_kind(Kind::Double) - &self.values) / self.unit;
        apart.masked_select(&self.finite).square().mean(Kind::Double)
    }
}

/// Random numbers for every input; `None` when they would be too many, or of a type that is not fed.
fn inputs(graph: &Graph, side: i64) -> Option<Vec<Tensor>> {
    tch::manual_seed(3);
    let one = |&input: &import::graph::ValueId| {
        let value = graph.value(input);
        let shape = value.shape.as_ref()?;
        let batch = graph.batch_axis(input);
        let size = |(axis, size): (usize, &import::graph::Dim)| match size.value() {
            Some(size) => size,
            None if batch == Some(axis) => SAMPLES,
            None if axis == 1 && shape.len() == 4 => 3,
            None => side,
        };
        let shape: Vec<i64> = shape.iter().enumerate().map(size).collect();
        if shape.iter().product::<i64>() > MOST_ELEMENTS {
            return None;
        }
        let options = (Kind::Float, tch::Device::Cpu);
        Some(match value.dtype? {
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Tensor::randn(&shape, options),
            DType::U8 => Tensor::randint(255, &shape, options),
            dtype if dtype.is_integer() || dtype == DType::Bool => Tensor::randint(2, &shape, options),
            _ => return None,
        })
    };
    graph.inputs.iter().map(one).collect()
}

#[test]
fn fixtures_learn() {
    tch::set_num_threads(1);
    let small = [small::all(), small::scoped()].into_iter().flatten();
    let small = small.filter(|(name, _)| *name != "opaque").map(|(name, bytes)| (name.to_owned(), bytes));
    let random = (0..6).map(|seed| (format!("random {seed}"), random::network(seed)));
    for (name, bytes) in small.chain(random).chain([("resnet8".to_owned(), resnet::cifar(8, 10, 0))]) {
        let found = learn(&Model::from_bytes(bytes.into()).unwrap());
        let Found::Learned(learned) = &found else { panic!("{name}: {found}") };
        assert!(learned.unreached.is_empty(), "{name}: {found}");
    }
}

#[test]
fn quantised_networks_are_refused_in_one_sentence() {
    for (name, bytes) in small::quantized() {
        let Found::Refused(reason) = learn(&Model::from_bytes(bytes.into()).unwrap()) else { panic!("{name}") };
        assert!(reason.contains("rounds to quantised numbers, which have no gradient"), "{name}: {reason}");
    }
}

#[test]
#[ignore = "runs the models of the folders in ESPALIER_NETWORKS"]
fn networks_in_folders_learn() {
    tch::set_num_threads(1);
    let folders = std::env::var_os("ESPALIER_NETWORKS").expect("ESPALIER_NETWORKS=FOLDER:FOLDER says what to run");
    let mut files: Vec<PathBuf> = std::env::split_paths(&folders).flat_map(|folder| models(&folder)).collect();
    files.sort();
    let mut failed = 0;
    for file in files {
        let found = match Model::open(&file) {
            Ok(model) => learn(&model),
            Err(error) => Found::Refused(error.to_string()),
        };
        failed += usize::from(matches!(found, Found::Failed(_)));
        println!("{}\t{found}", file.display());
    }
    assert_eq!(failed, 0, "so many networks do not learn");
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => models(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect()
}

/// A network that computes in a half type between casts, with weights of that type.
fn half(dtype: DType) -> Vec<u8> {
    let mut net = Builder::new("half", 16, 0);
    let side = Dim::Is(8);
    let x = net.input("x", &[Dim::Symbol("batch"), Dim::Is(3), side, side]);
    let mut x = net.node("Cast", &[&x], vec![int("to", dtype.code().into())]);
    for (name, shape) in [("first", [6, 3, 3, 3]), ("second", [4, 6, 3, 3])] {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|place| (place as f64 * 0.7).sin() * 0.3).collect();
        let weight = Stored::from_floats(dtype, &shape, &values).unwrap();
        let weight = net.tensor(name, &weight);
        x = net.node("Conv", &[&x, &weight], Vec::new());
        x = net.node("Relu", &[&x], Vec::new());
    }
    let y = net.node("Cast", &[&x], vec![int("to", DType::F32.code().into())]);
    net.output_of_any_shape(&y, DType::F32);
    net.finish()
}

/// ONNX Runtime has no convolution of bfloat16 to compare with on a processor.
#[test]
fn half_types_are_trained_in_single_precision_and_written_back_as_they_were() {
    tch::set_num_threads(1);
    for dtype in [DType::F16, DType::BF16] {
        let model = Model::from_bytes(half(dtype).into()).unwrap();
        let found = learn(&model);
        assert!(matches!(found, Found::Learned(_)), "{dtype:?}: {found}");
        let network = Network::lower(&model, None, Lowering::training()).unwrap();
        assert!(network.write_back().unwrap().is_empty(), "{dtype:?}");
        let parameters = network.parameters();
        assert!(parameters.iter().all(|parameter| parameter.tensor.kind() == Kind::Float) && parameters.len() == 2);
        no_grad(|| parameters.iter().for_each(|parameter| drop(parameter.tensor.shallow_clone().g_add_scalar_(0.25))));
        let written = network.write_back().unwrap();
        assert_eq!(written.len(), 2);
        for (name, tensor) in written {
            let stored = &model.graph.stored(model.graph.find_stored(&name).unwrap()).tensor;
            assert_eq!((tensor.dtype, &tensor.shape), (dtype, &stored.shape));
            let (now, before) = (tensor.to_f32().unwrap(), stored.to_f32().unwrap());
            let apart = now.iter().zip(&before).map(|(now, before)| (now - before - 0.25).abs()).fold(0.0, f32::max);
            assert!(apart < 0.01, "{name}: {apart}");
        }
    }
}
