//! The elements of a tensor in their own type: nothing is rounded on the way from a runtime to a comparison.

use std::ops::Range;

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// A number type that tensors hold.
pub(crate) trait Number: Copy {
    /// Its value; integers beyond 2⁵³ are rounded.
    fn to_f64(self) -> f64;
    /// Its value where it is an integer type.
    fn to_i128(self) -> Option<i128>;
    /// The nearest value of this type, at most its largest; integers round to the nearest.
    fn nearest(value: f32) -> Self;
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
            fn nearest(value: f32) -> Self {
                $from(value)
            }
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
            fn nearest(value: f32) -> Self {
                value.round() as Self
            }
        })*
    };
}

floats! {
    f16: f64::from, f16::from_f32;
    bf16: f64::from, bf16::from_f32;
    f32: f64::from, std::convert::identity;
    f64: std::convert::identity, f64::from;
}
integers!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Number for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn to_i128(self) -> Option<i128> {
        Some(i128::from(self))
    }
    fn nearest(value: f32) -> Self {
        value != 0.0
    }
}

/// Does the same with the elements of any type: `each!(values, data => ...)`, where `data` is a `Vec` or a slice of
/// them.
macro_rules! each {
    ($values:expr, $data:ident => $body:expr) => {
        match $values {
            Values::F16($data) => $body,
            Values::Bf16($data) => $body,
            Values::F32($data) => $body,
            Values::F64($data) => $body,
            Values::I8($data) => $body,
            Values::I16($data) => $body,
            Values::I32($data) => $body,
            Values::I64($data) => $body,
            Values::U8($data) => $body,
            Values::U16($data) => $body,
            Values::U32($data) => $body,
            Values::U64($data) => $body,
            Values::Bool($data) => $body,
        }
    };
}
pub(crate) use each;

/// Does the same with two lists of elements of any one type, and something else where their types differ.
macro_rules! each_pair {
    ($pair:expr, ($a:ident, $b:ident) => $body:expr, else $other:expr) => {
        match $pair {
            (Values::F16($a), Values::F16($b)) => $body,
            (Values::Bf16($a), Values::Bf16($b)) => $body,
            (Values::F32($a), Values::F32($b)) => $body,
            (Values::F64($a), Values::F64($b)) => $body,
            (Values::I8($a), Values::I8($b)) => $body,
            (Values::I16($a), Values::I16($b)) => $body,
            (Values::I32($a), Values::I32($b)) => $body,
            (Values::I64($a), Values::I64($b)) => $body,
            (Values::U8($a), Values::U8($b)) => $body,
            (Values::U16($a), Values::U16($b)) => $body,
            (Values::U32($a), Values::U32($b)) => $body,
            (Values::U64($a), Values::U64($b)) => $body,
            (Values::Bool($a), Values::Bool($b)) => $body,
            _ => $other,
        }
    };
}
pub(crate) use each_pair;

/// Declares [`Element`] and [`Values`], one case for each type.
macro_rules! element_types {
    ($($name:ident($type:ty), $said:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

            /// Values rounded to the nearest of a type.
            #[must_use]
            pub fn nearest(element: Element, values: &[f32]) -> Self {
                match element {
                    $(Element::$name => Self::$name(values.iter().map(|value| Number::nearest(*value)).collect()),)*
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
    fn inputs_take_the_nearest_value() {
        assert_eq!(Values::nearest(Element::U8, &[-3.0, 1.5, 300.0]), Values::U8(vec![0, 2, 255]));
        assert_eq!(Values::nearest(Element::Bf16, &[1.0]).to_f64(), [1.0]);
    }

    #[test]
    fn only_the_same_type_is_joined() {
        let mut whole = Values::from(vec![1i8, 2]);
        assert!(!whole.append(Values::from(vec![3u8])) && whole.append(Values::from(vec![3i8])));
        assert_eq!(whole.pick([2..3, 0..1]), Values::from(vec![3i8, 1]));
    }
}
