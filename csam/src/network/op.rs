//! What an operator is once its attributes are resolved.

use std::borrow::Cow;

use tch::{Device, Kind, TchError, Tensor};

use super::Statistics;

/// A result of torch.
pub(super) type Torch<T> = Result<T, TchError>;

/// What holds for one run of one operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What normalisations do.
    pub(super) statistics: Statistics,
    /// Where floating-point values live.
    pub(super) device: Device,
    /// Whether input 0 may be overwritten: nobody reads it afterwards, in this run or in the backward one.
    pub(super) overwrite: bool,
}

/// The inputs of one run of an operator.
pub(super) struct Inputs(pub(super) Vec<Option<Tensor>>);

impl Inputs {
    /// An input that has to be there.
    pub(super) fn at(&self, position: usize) -> Torch<&Tensor> {
        self.get(position).ok_or_else(|| TchError::Shape(format!("input {position} is missing")))
    }

    /// An input that may be left out.
    pub(super) fn get(&self, position: usize) -> Option<&Tensor> {
        self.0.get(position).and_then(Option::as_ref)
    }

    /// Input 0, to be overwritten.
    pub(super) fn first_mut(&mut self) -> Torch<&mut Tensor> {
        let first = self.0.first_mut().and_then(Option::as_mut);
        first.ok_or_else(|| TchError::Shape("input 0 is missing".to_owned()))
    }

    /// The shapes, for messages.
    pub(super) fn show(&self) -> String {
        let shapes = self.0.iter().map(|input| input.as_ref().map_or("-".to_owned(), |x| format!("{:?}", x.size())));
        shapes.collect::<Vec<_>>().join(", ")
    }

    /// Every input that is there, in order.
    pub(super) fn present(&self) -> impl Iterator<Item = &Tensor> {
        self.0.iter().flatten()
    }
}

/// An operator with its attributes resolved.
pub(super) trait Op: Send {
    /// Computes the outputs.
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>>;

    /// Whether output 0 is a new tensor that the backward run does not need, so that its only reader may overwrite it.
    fn fresh(&self) -> bool {
        false
    }

    /// Whether [`Frame::overwrite`] makes this cheaper.
    fn overwrites(&self) -> bool {
        false
    }

    /// What a constant input `means` (one number per read index) would add to output 0 through `weight`.
    fn fill(&self, _weight: &Tensor, _means: &Tensor) -> Torch<Tensor> {
        Err(TchError::Shape("this reader takes no mean fill".to_owned()))
    }

    /// Whether `fold` works: a scale and shift per channel of output 0 can go into weight and bias.
    fn folds(&self) -> bool {
        false
    }

    /// The weight that gives `scale · y` instead of `y`, one scale per channel of output 0.
    fn scale_weight(&self, _weight: &Tensor, _scale: &Tensor) -> Torch<Tensor> {
        Err(TchError::Shape("this operator's output is not scaled by its weight".to_owned()))
    }

    /// Weight and bias (inputs 1 and 2) that give `scale · y + shift` instead of `y`.
    fn fold(&self, weight: &Tensor, bias: Option<&Tensor>, scale: &Tensor, shift: &Tensor) -> Torch<[Tensor; 2]> {
        let scaled = self.scale_weight(weight, scale)?;
        let shift = match bias {
            Some(bias) => bias.f_mul(scale)?.f_add(shift)?,
            None => shift.shallow_clone(),
        };
        Ok([scaled, shift])
    }
}

/// A vector as a tensor of `rank` axes that varies along one of them.
pub(super) fn along(vector: &Tensor, axis: usize, rank: usize) -> Torch<Tensor> {
    let mut shape = vec![1; rank];
    if let Some(extent) = shape.get_mut(axis) {
        *extent = -1;
    }
    vector.f_reshape(&shape)
}

/// An operator that is a function of its inputs and nothing else.
struct Pure<F>(F);

impl<F: Fn(&Inputs) -> Torch<Tensor> + Send> Op for Pure<F> {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        Ok(vec![(self.0)(inputs)?])
    }
}

/// Makes an operator with one output from a function.
pub(super) fn pure(function: impl Fn(&Inputs) -> Torch<Tensor> + Send + 'static) -> Box<dyn Op> {
    Box::new(Pure(function))
}

/// An operator with several outputs that is a function of its inputs and nothing else.
struct Many<F>(F);

impl<F: Fn(&Inputs) -> Torch<Vec<Tensor>> + Send> Op for Many<F> {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        (self.0)(inputs)
    }
}

/// Makes an operator with several outputs from a function.
pub(super) fn many(function: impl Fn(&Inputs) -> Torch<Vec<Tensor>> + Send + 'static) -> Box<dyn Op> {
    Box::new(Many(function))
}

/// A list of integers that is known at lowering, or read from an input at run time.
pub(super) enum Ints {
    /// Known.
    Known(Vec<i64>),
    /// The elements of this input.
    At(usize),
}

impl Ints {
    /// The numbers in this run.
    pub(super) fn get(&self, inputs: &Inputs) -> Torch<Cow<'_, [i64]>> {
        match self {
            Self::Known(list) => Ok(Cow::Borrowed(list)),
            Self::At(position) => Ok(Cow::Owned(read_ints(inputs.at(*position)?)?)),
        }
    }
}

/// A list that may be left out, in this run.
pub(super) fn optional(list: &Option<Ints>, inputs: &Inputs) -> Torch<Option<Vec<i64>>> {
    list.as_ref().map(|list| list.get(inputs).map(Cow::into_owned)).transpose()
}

/// The elements of an integer tensor of any shape.
pub(super) fn read_ints(tensor: &Tensor) -> Torch<Vec<i64>> {
    Vec::<i64>::try_from(&tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_flatten(0, -1)?)
}

/// Whether a tensor holds floating-point numbers.
pub(super) fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double)
}

/// The size of an axis, counted from the end when negative.
pub(super) fn extent(data: &Tensor, axis: i64) -> Torch<i64> {
    let at = if axis < 0 { axis + data.dim() as i64 } else { axis };
    let found = usize::try_from(at).ok().and_then(|at| data.size().get(at).copied());
    found.ok_or_else(|| TchError::Shape(format!("axis {axis} of a value with {} axes", data.dim())))
}
