//! The elements of a tensor in their own type: nothing is rounded on the way from a file or a runtime.

use std::borrow::Cow;
use std::ops::Range;

use half::{bf16, f16};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number type that tensors hold.
pub trait Number: Copy {
    /// Its value; integers beyond 2⁵³ are rounded.
    fn to_f64(self) -> f64;
    /// Its value where it is an integer type.
    fn to_i128(self) -> Option<i128>;
    /// The nearest value of this type, at most its largest; integers round to the nearest.
    fn nearest(value: f64) -> Self;
    /// The nearest value of this type to a whole number, at most its largest.
    fn nearest_whole(value: i128) -> Self;
    /// Its bytes, little-endian.
    fn put(self, bytes: &mut Vec<u8>);
    /// The elements that bytes hold, little-endian; what is left over at the end is none.
    fn all_of(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! bytes {
    () => {
        fn put(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }
        fn all_of(bytes: &[u8]) -> Vec<Self> {
            bytes.as_chunks().0.iter().map(|chunk| Self::from_le_bytes(*chunk)).collect()
        }
    };
}

macro_rules! floats {
    ($($type:ty: $to:expr, $from:expr;)*) => {
        $(impl Number for $type {
            fn to_f64(self) -> f64 {
                $to(self)
            }
            fn to_i128(self) -> Option<i128> {
                None
            }
            fn nearest(value: f64) -> Self {
                $from(value)
            }
            fn nearest_whole(value: i128) -> Self {
                $from(value as f64)
            }
            bytes!();
        })*
    };
}

macro_rules! integers {
    ($($type:ty)*) => {
        $(impl Number for $type {
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn to_i128(self) -> Option<i128> {
                Some(i128::from(self))
            }
            fn nearest(value: f64) -> Self {
                value.round() as Self
            }
            fn nearest_whole(value: i128) -> Self {
                value.clamp(Self::MIN.into(), Self::MAX.into()) as Self
            }
            bytes!();
        })*
    };
}

floats! {
    f16: f64::from, f16::from_f64;
    bf16: f64::from, bf16::from_f64;
    f32: f64::from, (|value: f64| value as f32);
    f64: std::convert::identity, std::convert::identity;
}
integers!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Number for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn to_i128(self) -> Option<i128> {
        Some(i128::from(self))
    }
    fn nearest(value: f64) -> Self {
        value != 0.0
    }
    fn nearest_whole(value: i128) -> Self {
        value != 0
    }
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
    fn all_of(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|byte| *byte != 0).collect()
    }
}

/// Does the same with the elements of any type: `each!(values, data => ...)`, where `data` is a `Vec` or a slice of
/// them.
#[macro_export]
macro_rules! each {
    ($values:expr, $data:ident => $body:expr) => {
        match $values {
            $crate::values::Values::F16($data) => $body,
            $crate::values::Values::Bf16($data) => $body,
            $crate::values::Values::F32($data) => $body,
            $crate::values::Values::F64($data) => $body,
            $crate::values::Values::I8($data) => $body,
            $crate::values::Values::I16($data) => $body,
            $crate::values::Values::I32($data) => $body,
            $crate::values::Values::I64($data) => $body,
            $crate::values::Values::U8($data) => $body,
            $crate::values::Values::U16($data) => $body,
            $crate::values::Values::U32($data) => $body,
            $crate::values::Values::U64($data) => $body,
            $crate::values::Values::Bool($data) => $body,
        }
    };
}

/// Does the same with two lists of elements of any one type, and something else where their types differ.
#[macro_export]
macro_rules! each_pair {
    ($pair:expr, ($a:ident, $b:ident) => $body:expr, else $other:expr) => {
        match $pair {
            ($crate::values::Values::F16($a), $crate::values::Values::F16($b)) => $body,
            ($crate::values::Values::Bf16($a), $crate::values::Values::Bf16($b)) => $body,
            ($crate::values::Values::F32($a), $crate::values::Values::F32($b)) => $body,
            ($crate::values::Values::F64($a), $crate::values::Values::F64($b)) => $body,
            ($crate::values::Values::I8($a), $crate::values::Values::I8($b)) => $body,
            ($crate::values::Values::I16($a), $crate::values::Values::I16($b)) => $body,
            ($crate::values::Values::I32($a), $crate::values::Values::I32($b)) => $body,
            ($crate::values::Values::I64($a), $crate::values::Values::I64($b)) => $body,
            ($crate::values::Values::U8($a), $crate::values::Values::U8($b)) => $body,
            ($crate::values::Values::U16($a), $crate::values::Values::U16($b)) => $body,
            ($crate::values::Values::U32($a), $crate::values::Values::U32($b)) => $body,
            ($crate::values::Values::U64($a), $crate::values::Values::U64($b)) => $body,
            ($crate::values::Values::Bool($a), $crate::values::Values::Bool($b)) => $body,
            _ => $other,
        }
    };
}

/// Declares [`Element`] and [`Values`], one case for each type.
macro_rules! element_types {
    ($($name:ident($type:ty), $said:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Element { $(#[doc = $said] $name,)* }

        /// Elements, row-major.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Values { $(#[doc = $said] $name(Vec<$type>),)* }

        impl Values {
            /// The elements' type.
            #[must_use]
            pub fn element(&self) -> Element {
                match self { $(Self::$name(_) => Element::$name,)* }
            }

            /// The same numbers, or the nearest, in a type.
            #[must_use]
            pub fn cast(&self, element: Element) -> Cow<'_, Self> {
                if self.element() == element {
                    return Cow::Borrowed(self);
                }
                Cow::Owned(match self.integers_in(0..self.len()) {
                    Some(whole) => match element {
                        $(Element::$name => Self::$name(whole.into_iter().map(Number::nearest_whole).collect()),)*
                    },
                    None => match element {
                        $(Element::$name => Self::$name(self.to_f64().into_iter().map(Number::nearest).collect()),)*
                    },
                })
            }

            /// The elements that bytes hold, little-endian.
            #[must_use]
            pub fn from_le_bytes(element: Element, bytes: &[u8]) -> Self {
                match element {
                    $(Element::$name => Self::$name(Number::all_of(bytes)),)*
                }
            }

            /// Joins more elements on; false, and nothing done, where they are of another type.
            pub fn append(&mut self, more: Self) -> bool {
                match (self, more) {
                    $((Self::$name(whole), Self::$name(more)) => whole.extend(more),)*
                    _ => return false,
                }
                true
            }

            /// The elements of some ranges, in their order. The ranges lie within.
            #[must_use]
            pub fn pick(&self, ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
                match self {
                    $(Self::$name(data) => {
                        Self::$name(ranges.into_iter().flat_map(|range| data[range].iter().copied()).collect())
                    })*
                }
            }
        }

        $(impl From<Vec<$type>> for Values {
            fn from(data: Vec<$type>) -> Self {
                Self::$name(data)
            }
        })*
    };
}

element_types! {
    F16(f16), "IEEE half precision.";
    Bf16(bf16), "The upper half of single precision.";
    F32(f32), "Single precision.";
    F64(f64), "Double precision.";
    I8(i8), "Signed, 8 bits.";
    I16(i16), "Signed, 16 bits.";
    I32(i32), "Signed, 32 bits.";
    I64(i64), "Signed, 64 bits.";
    U8(u8), "Unsigned, 8 bits.";
    U16(u16), "Unsigned, 16 bits.";
    U32(u32), "Unsigned, 32 bits.";
    U64(u64), "Unsigned, 64 bits.";
    Bool(bool), "Truth values, 0 and 1 as numbers.";
}

impl Element {
    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether values are rounded to this type; the others hold whole numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// Whether this is one of the two types of 16 bits that hold rounded values.
    #[must_use]
    pub fn is_half(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16)
    }
}

impl Values {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, data => data.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their bytes, little-endian.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() * self.element().size());
        each!(self, data => data.iter().for_each(|value| value.put(&mut bytes)));
        bytes
    }

    /// Keeps the first so many.
    pub fn truncate(&mut self, len: usize) {
        each!(self, data => data.truncate(len));
    }

    /// All in double precision: floats without loss, integers beyond 2⁵³ rounded.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        self.f64_in(0..self.len())
    }

    /// Some of them in double precision. The range lies within.
    #[must_use]
    pub fn f64_in(&self, range: Range<usize>) -> Vec<f64> {
        each!(self, data => data[range].iter().map(|value| value.to_f64()).collect())
    }

    /// Every float replaced by its neighbour, the larger and the smaller in turn; others as they are.
    #[must_use]
    pub fn next_floats(&self) -> Self {
        macro_rules! moved {
            ($form:ident, $data:ident, $bits:ty) => {
                Self::$form(
                    $data
                        .iter()
                        .enumerate()
                        .map(|(at, value)| {
                            // Neighbours have neighbouring bits; zero has none below it.
                            let up = at % 2 == 0 || value.to_bits() << 1 == 0;
                            let bits = value.to_bits();
                            let next = if up { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
                            if value.is_finite() { <$bits>::from_bits(next) } else { *value }
                        })
                        .collect(),
                )
            };
        }
        match self {
            Self::F16(data) => moved!(F16, data, f16),
            Self::Bf16(data) => moved!(Bf16, data, bf16),
            Self::F32(data) => moved!(F32, data, f32),
            Self::F64(data) => moved!(F64, data, f64),
            other => other.clone(),
        }
    }

    /// Some of them without loss, where they are integers or truth values. The range lies within.
    #[must_use]
    pub fn integers_in(&self, range: Range<usize>) -> Option<Vec<i128>> {
        each!(self, data => data[range].iter().map(|value| value.to_i128()).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_is_rounded() {
        let wide = Values::from(vec![1e300, -0.0]);
        assert_eq!((wide.element(), wide.to_f64()), (Element::F64, vec![1e300, -0.0]));
        let large = Values::from(vec![u64::MAX, u64::MAX - 1]);
        assert_eq!(large.integers_in(0..2).unwrap(), [i128::from(u64::MAX), i128::from(u64::MAX) - 1]);
        assert_eq!(wide.integers_in(0..2), None);
        assert_eq!(Values::from(vec![true, false]).integers_in(0..1), Some(vec![1]));
    }

    #[test]
    fn neighbours_are_one_unit_in_the_last_place_away() {
        let single = Values::from(vec![1.0f32, 1.0, 0.0, 0.0, f32::INFINITY]).next_floats().to_f64();
        let unit = f64::from(f32::EPSILON);
        assert_eq!(single[..2], [1.0 + unit, 1.0 - unit / 2.0]);
        assert!(single[2] > 0.0 && single[3] > 0.0 && single[3] < 1e-40 && single[4].is_infinite());
        let half = Values::from(vec![f16::ONE, f16::NEG_ONE]).next_floats().to_f64();
        assert_eq!(half, [1.0 + 2f64.powi(-10), -1.0 + 2f64.powi(-11)]);
        assert_eq!(Values::from(vec![3i64]).next_floats(), Values::from(vec![3i64]));
    }

    #[test]
    fn a_cast_gives_the_nearest_value() {
        let cast = |values: Values, element| values.cast(element).into_owned();
        assert_eq!(cast(vec![-3.0f32, 1.5, 300.0].into(), Element::U8), Values::U8(vec![0, 2, 255]));
        assert_eq!(cast(vec![1.0f32].into(), Element::Bf16).to_f64(), [1.0]);
        assert_eq!(cast(vec![u64::MAX].into(), Element::I64), Values::I64(vec![i64::MAX]));
        assert_eq!(cast(vec![i64::MAX - 1].into(), Element::U64), Values::U64(vec![i64::MAX as u64 - 1]));
    }

    #[test]
    fn bytes_are_the_elements_bit_for_bit() {
        for values in
            [Values::from(vec![1.5f32, -0.0, f32::INFINITY]), vec![i16::MIN, 7].into(), vec![true, false].into()]
        {
            let bytes = values.to_le_bytes();
            assert_eq!(bytes.len(), values.len() * values.element().size());
            assert_eq!(Values::from_le_bytes(values.element(), &bytes), values);
        }
    }

    #[test]
    fn only_the_same_type_is_joined() {
        let mut whole = Values::from(vec![1i8, 2]);
        assert!(!whole.append(Values::from(vec![3u8])) && whole.append(Values::from(vec![3i8])));
        assert_eq!(whole.pick([2..3, 0..1]), Values::from(vec![3i8, 1]));
    }
}
