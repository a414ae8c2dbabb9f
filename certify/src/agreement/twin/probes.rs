//! What the files of a check are fed: seeded numbers in several ranges and sizes, and real pictures where there are any.

use half::{bf16, f16};
use images::draw;
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType, ValueType};
use serde::{Deserialize, Serialize};

use super::Precision;

/// Of so many elements one moves up and one down: half a unit on average, as rounding is.
const ONE_OF: usize = 8;

/// One input of a network, by name, and the size it is fed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    /// The input's name.
    pub name: String,
    /// Sizes of all axes.
    pub shape: Vec<usize>,
}

/// Which numbers a probe is drawn from. A network is at home in one of these ranges; in another, whole layers may give
/// nothing but zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// Standard normal, as of normalised pictures; integers 0 and 1.
    Normal,
    /// 0 to 1, as of pictures that were only scaled; integers 0 to 9.
    Unit,
    /// Whole numbers 0 to 255, as of pictures as they are.
    Bytes,
}

impl Range {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "standard normal",
            Self::Unit => "0 to 1",
            Self::Bytes => "0 to 255",
        }
    }
}

/// One input, with its elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fed {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The inputs of one run, drawn for the element types that a session takes.
pub(super) fn drawn(session: &Session, feeds: &[Feed], range: Range, seed: u64, run: u64) -> Result<Vec<Fed>, String> {
    feeds
        .iter()
        .enumerate()
        .map(|(position, feed)| {
            let mut rng = draw::rng(seed, range.name(), run, position as u64);
            let draw = law(element(session, &feed.name)?, range)?;
            let count = feed.shape.iter().product();
            let values = std::iter::repeat_with(|| draw(&mut rng)).flatten().take(count).collect();
            Ok(Fed { name: feed.name.clone(), shape: feed.shape.clone(), values })
        })
        .collect()
}

/// Two numbers at a time.
type Law = fn(&mut draw::ChaCha8Rng) -> [f64; 2];

fn law(element: TensorElementType, range: Range) -> Result<Law, String> {
    use TensorElementType::{
        Bfloat16, Bool, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64,
    };
    fn whole(rng: &mut draw::ChaCha8Rng, below: usize) -> [f64; 2] {
        [draw::below(rng, below) as f64, draw::below(rng, below) as f64]
    }
    Ok(match (element, range) {
        (Float32 | Float64 | Float16 | Bfloat16, Range::Normal) => |rng| {
            let (a, b) = draw::normal_pair(rng);
            [a.into(), b.into()]
        },
        (Float32 | Float64 | Float16 | Bfloat16, Range::Unit) => |rng| [draw::unit(rng).into(), draw::unit(rng).into()],
        (Float32 | Float64 | Float16 | Bfloat16 | Int16 | Int32 | Int64 | Uint16 | Uint32 | Uint64, Range::Bytes) => {
            |rng| whole(rng, 256)
        }
        // A picture of bytes has no other range.
        (Uint8, _) => |rng| whole(rng, 256),
        (Int8, _) => |rng| whole(rng, 256).map(|value| value - 128.0),
        (Bool, _) | (Int16 | Int32 | Int64 | Uint16 | Uint32 | Uint64, Range::Normal) => |rng| whole(rng, 2),
        (Int16 | Int32 | Int64 | Uint16 | Uint32 | Uint64, Range::Unit) => |rng| whole(rng, 10),
        (other, _) => return Err(format!("an input holds {other}, which cannot be drawn")),
    })
}

/// The inputs with some floats moved up or down by about as much as rounding does.
pub(super) fn moved(session: &Session, feds: &[Fed], precision: Precision, seed: u64) -> Vec<Fed> {
    let mut rng = draw::rng(seed, "twin noise", 0, 0);
    let unit = precision.unit();
    let is_float = |fed: &Fed| {
        use TensorElementType::{Bfloat16, Float16, Float32, Float64};
        element(session, &fed.name).is_ok_and(|it| matches!(it, Float32 | Float64 | Float16 | Bfloat16))
    };
    let mut step = |value: &f64| match draw::below(&mut rng, ONE_OF) {
        0 => value * (1.0 + unit),
        1 => value * (1.0 - unit),
        _ => *value,
    };
    feds.iter()
        .map(|fed| match is_float(fed) {
            true => Fed { values: fed.values.iter().map(&mut step).collect(), ..fed.clone() },
            false => fed.clone(),
        })
        .collect()
}

/// The inputs as a session takes them; those it does not have are left out.
pub(super) fn fed<'a>(session: &Session, feds: &'a [Fed]) -> Result<Vec<(&'a str, SessionInputValue<'a>)>, String> {
    let taken = feds.iter().filter_map(|fed| Some((fed, element(session, &fed.name).ok()?)));
    taken.map(|(fed, element)| Ok((fed.name.as_str(), value(fed, element)?))).collect()
}

fn element(session: &Session, name: &str) -> Result<TensorElementType, String> {
    let input = session.inputs().iter().find(|input| input.name() == name);
    match input.map(|input| input.dtype()) {
        Some(ValueType::Tensor { ty, .. }) => Ok(*ty),
        Some(_) => Err(format!("input `{name}` is no tensor, and only tensors can be drawn")),
        None => Err(format!("there is no input `{name}`")),
    }
}

fn value(fed: &Fed, element: TensorElementType) -> Result<SessionInputValue<'_>, String> {
    macro_rules! of {
        ($convert:expr) => {
            Tensor::from_array((fed.shape.clone(), fed.values.iter().copied().map($convert).collect::<Vec<_>>()))
                .map(SessionInputValue::from)
        };
    }
    let made = match element {
        TensorElementType::Float32 => of!(|value| value as f32),
        TensorElementType::Float64 => of!(|value| value),
        TensorElementType::Float16 => of!(f16::from_f64),
        TensorElementType::Bfloat16 => of!(bf16::from_f64),
        TensorElementType::Bool => of!(|value| value != 0.0),
        TensorElementType::Int8 => of!(|value| value as i8),
        TensorElementType::Int16 => of!(|value| value as i16),
        TensorElementType::Int32 => of!(|value| value as i32),
        TensorElementType::Int64 => of!(|value| value as i64),
        TensorElementType::Uint8 => of!(|value| value as u8),
        TensorElementType::Uint16 => of!(|value| value as u16),
        TensorElementType::Uint32 => of!(|value| value as u32),
        TensorElementType::Uint64 => of!(|value| value as u64),
        other => return Err(format!("input `{}` holds {other}, which cannot be drawn", fed.name)),
    };
    made.map_err(|error| error.to_string())
}
