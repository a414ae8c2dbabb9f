//! Dense constants: an element type, a shape, and little-endian bytes.

use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use half::{bf16, f16};

use crate::proto::{
    entry, map,
    onnx::{DataLocation, TensorProto, text},
};

/// Why a stored tensor could not be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The element type's number is not one of the format's.
    #[error("tensor `{name}` has element type {code}, which ONNX does not define; export it again")]
    UnknownType {
        /// The tensor.
        name: String,
        /// The number in the file.
        code: i32,
    },
    /// Strings have no fixed size.
    #[error("tensor `{name}` holds strings, which cannot be read as numbers")]
    Strings {
        /// The tensor.
        name: String,
    },
    /// A negative extent, or more elements than memory can hold.
    #[error("tensor `{name}` has the impossible shape {dims:?}; export it again")]
    BadShape {
        /// The tensor.
        name: String,
        /// The extents in the file.
        dims: Vec<i64>,
    },
    /// The payload does not have the size the shape asks for.
    #[error("tensor `{name}` should hold {expected} bytes but holds {found}; export it again")]
    WrongSize {
        /// The tensor.
        name: String,
        /// Bytes that shape and type ask for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// External data outside the model's folder is not followed.
    #[error(
        "tensor `{name}` has its data in `{location}`, outside the model's folder, which is not allowed; move it beside the model"
    )]
    Escapes {
        /// The tensor.
        name: String,
        /// The path in the file.
        location: String,
    },
    /// The external file is missing, or its place in it is.
    #[error(
        "tensor `{name}` has its data in `{}`, which cannot be read ({reason}); copy that file beside the model",
        path.display()
    )]
    External {
        /// The tensor.
        name: String,
        /// The file beside the model.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The elements cannot be read in the type asked for.
    #[error("a tensor of {from:?} cannot be read as {to}")]
    Conversion {
        /// The tensor's own type.
        from: DType,
        /// The type asked for.
        to: &'static str,
    },
    /// The elements given do not fill the shape.
    #[error("{found} elements do not fill the shape {shape:?}")]
    Unfilled {
        /// The shape given.
        shape: Vec<usize>,
        /// The number of elements given.
        found: usize,
    },
}

/// No value has more axes than this: neither NumPy nor any runtime takes them.
pub const MOST_AXES: usize = 64;

/// Declares [`DType`] with its format codes and sizes, which would otherwise be three tables.
macro_rules! element_types {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $bits:literal;)*) => {
        /// The element types of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "names say sign, kind and bits")]
        pub enum DType { $($(#[$doc])* $name,)* }

        impl DType {
            /// The format's number for this type.
            pub const fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The type with this number.
            pub const fn from_code(code: i32) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Bits of one element; strings have none.
            pub const fn bits(self) -> usize {
                match self { $(Self::$name => $bits,)* }
            }
        }
    };
}

element_types! {
    F32 = 1, 32;
    U8 = 2, 8;
    I8 = 3, 8;
    U16 = 4, 16;
    I16 = 5, 16;
    I32 = 6, 32;
    I64 = 7, 64;
    String = 8, 0;
    Bool = 9, 8;
    F16 = 10, 16;
    F64 = 11, 64;
    U32 = 12, 32;
    U64 = 13, 64;
    Complex64 = 14, 64;
    Complex128 = 15, 128;
    BF16 = 16, 16;
    F8E4M3FN = 17, 8;
    F8E4M3FNUZ = 18, 8;
    F8E5M2 = 19, 8;
    F8E5M2FNUZ = 20, 8;
    U4 = 21, 4;
    I4 = 22, 4;
    F4E2M1 = 23, 4;
    F8E8M0 = 24, 8;
    U2 = 25, 2;
    I2 = 26, 2;
    F6E2M3 = 27, 6;
    F6E3M2 = 28, 6;
}

impl DType {
    /// Whether this is a real floating-point type weights are trained in.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }

    /// Whether this is an integer of at least one byte.
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::U8 | Self::I8 | Self::U16 | Self::I16 | Self::I32 | Self::I64 | Self::U32 | Self::U64)
    }

    /// Bytes that `count` elements take, the last byte filled up; `None` when that overflows.
    pub fn bytes(self, count: usize) -> Option<usize> {
        Some(count.checked_mul(self.bits())?.div_ceil(8))
    }
}

/// A dense constant. The bytes are little-endian, row-major, and as many as the shape asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The type of one element.
    pub dtype: DType,
    /// The extents; none means one element.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Bytes,
}

impl Tensor {
    /// Reads a stored tensor; payloads in the file or in a file beside it are not copied.
    ///
    /// # Errors
    /// When the tensor holds strings, its size does not match its shape, or its external data
    /// is missing or outside `folder`.
    pub fn from_proto(proto: &TensorProto, folder: &Path) -> Result<Self, TensorError> {
        let name = || text(&proto.name).into_owned();
        let code = proto.data_type.unwrap_or_default();
        let dtype = DType::from_code(code).ok_or_else(|| TensorError::UnknownType { name: name(), code })?;
        if dtype == DType::String {
            return Err(TensorError::Strings { name: name() });
        }
        let bad_shape = || TensorError::BadShape { name: name(), dims: proto.dims.clone() };
        let shape = extents(&proto.dims).filter(|shape| shape.len() <= MOST_AXES).ok_or_else(bad_shape)?;
        let expected = count(&shape).and_then(|count| dtype.bytes(count)).ok_or_else(bad_shape)?;
        let data = if proto.data_location == Some(DataLocation::External as i32) {
            external(proto, folder, expected)?
        } else if let Some(raw) = &proto.raw_data {
            raw.clone()
        } else {
            typed(proto, dtype)
        };
        if data.len() != expected {
            return Err(TensorError::WrongSize { name: name(), expected, found: data.len() });
        }
        Ok(Self { dtype, shape, data })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        count(&self.shape).unwrap_or(0)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of a floating-point tensor, rounded to single precision.
    ///
    /// # Errors
    /// When the elements are not F32, F16, BF16 or F64.
    pub fn to_f32(&self) -> Result<Vec<f32>, TensorError> {
        match self.dtype {
            DType::F32 => Ok(self.elements(f32::from_le_bytes)),
            DType::F16 => Ok(self.elements(|bytes| f16::from_le_bytes(bytes).to_f32())),
            DType::BF16 => Ok(self.elements(|bytes| bf16::from_le_bytes(bytes).to_f32())),
            DType::F64 => Ok(self.elements(|bytes| f64::from_le_bytes(bytes) as f32)),
            from => Err(TensorError::Conversion { from, to: "floats" }),
        }
    }

    /// The elements of a floating-point tensor in double precision, without loss.
    ///
    /// # Errors
    /// When the elements are not F32, F16, BF16 or F64.
    pub fn to_f64(&self) -> Result<Vec<f64>, TensorError> {
        match self.dtype {
            DType::F64 => Ok(self.elements(f64::from_le_bytes)),
            _ => Ok(self.to_f32()?.into_iter().map(f64::from).collect()),
        }
    }

    /// The elements of an integer or boolean tensor.
    ///
    /// # Errors
    /// When the elements are not integers of at least a byte, or one is beyond 2⁶³−1.
    pub fn to_i64(&self) -> Result<Vec<i64>, TensorError> {
        let refused = TensorError::Conversion { from: self.dtype, to: "integers" };
        match self.dtype {
            DType::I64 => Ok(self.elements(i64::from_le_bytes)),
            DType::I32 => Ok(self.elements(|bytes| i32::from_le_bytes(bytes).into())),
            DType::I16 => Ok(self.elements(|bytes| i16::from_le_bytes(bytes).into())),
            DType::I8 => Ok(self.elements(|bytes| i8::from_le_bytes(bytes).into())),
            DType::U32 => Ok(self.elements(|bytes| u32::from_le_bytes(bytes).into())),
            DType::U16 => Ok(self.elements(|bytes| u16::from_le_bytes(bytes).into())),
            DType::U8 | DType::Bool => Ok(self.elements(|bytes| u8::from_le_bytes(bytes).into())),
            DType::U64 => self
                .elements(u64::from_le_bytes)
                .into_iter()
                .map(|value| i64::try_from(value).map_err(|_| refused.clone()))
                .collect(),
            _ => Err(refused),
        }
    }

    /// Single-precision elements, row-major.
    ///
    /// # Errors
    /// When the elements do not fill the shape.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Result<Self, TensorError> {
        Self::from_elements(DType::F32, shape, values, |value| value.to_le_bytes())
    }

    /// Integer elements, row-major.
    ///
    /// # Errors
    /// When the elements do not fill the shape.
    pub fn from_i64(shape: &[usize], values: &[i64]) -> Result<Self, TensorError> {
        Self::from_elements(DType::I64, shape, values, |value| value.to_le_bytes())
    }

    /// Integer elements, row-major, in one of the two types that lists of sizes have.
    ///
    /// # Errors
    /// When `dtype` is not I64 or I32, an element does not fit it, or the elements do not fill the shape.
    pub fn from_ints(dtype: DType, shape: &[usize], values: &[i64]) -> Result<Self, TensorError> {
        let unfit = TensorError::Conversion { from: dtype, to: "integers" };
        match dtype {
            DType::I64 => Self::from_i64(shape, values),
            DType::I32 => {
                let short: Result<Vec<i32>, _> = values.iter().map(|&value| i32::try_from(value)).collect();
                Self::from_elements(dtype, shape, &short.map_err(|_| unfit)?, |value| value.to_le_bytes())
            }
            _ => Err(unfit),
        }
    }

    /// Floating-point elements, row-major, rounded to `dtype`.
    ///
    /// # Errors
    /// When `dtype` is not F32, F16, BF16 or F64, or the elements do not fill the shape.
    pub fn from_floats(dtype: DType, shape: &[usize], values: &[f64]) -> Result<Self, TensorError> {
        match dtype {
            DType::F64 => Self::from_elements(dtype, shape, values, |value| value.to_le_bytes()),
            DType::F32 => Self::from_elements(dtype, shape, values, |value| (value as f32).to_le_bytes()),
            DType::F16 => Self::from_elements(dtype, shape, values, |value| f16::from_f64(value).to_le_bytes()),
            DType::BF16 => Self::from_elements(dtype, shape, values, |value| bf16::from_f64(value).to_le_bytes()),
            from => Err(TensorError::Conversion { from, to: "floats" }),
        }
    }

    /// The stored form, with its bytes inline.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        TensorProto {
            dims: self.shape.iter().map(|&extent| extent as i64).collect(),
            data_type: Some(self.dtype.code()),
            name: Some(Bytes::copy_from_slice(name.as_bytes())),
            raw_data: Some(self.data.clone()),
            ..TensorProto::default()
        }
    }

    /// The tensor as one of floating-point numbers; `None` when it holds others.
    pub fn floats(&self) -> Option<Floats<'_>> {
        self.dtype.is_float().then_some(Floats(self))
    }

    fn elements<const N: usize, T>(&self, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (chunks, _) = self.data.as_chunks::<N>();
        chunks.iter().map(|&chunk| read(chunk)).collect()
    }

    fn from_elements<const N: usize, T: Copy>(
        dtype: DType,
        shape: &[usize],
        values: &[T],
        write: impl Fn(T) -> [u8; N],
    ) -> Result<Self, TensorError> {
        if count(shape) != Some(values.len()) {
            return Err(TensorError::Unfilled { shape: shape.to_vec(), found: values.len() });
        }
        let mut data = Vec::with_capacity(values.len() * N);
        values.iter().for_each(|&value| data.extend_from_slice(&write(value)));
        Ok(Self { dtype, shape: shape.to_vec(), data: data.into() })
    }
}

/// A tensor of F32, F16, BF16 or F64.
#[derive(Clone, Copy, Debug)]
pub struct Floats<'a>(&'a Tensor);

impl Floats<'_> {
    /// Another number for every element, in order, rounded to the tensor's own type.
    pub fn map(self, mut change: impl FnMut(f64) -> f64) -> Tensor {
        let data = match self.0.dtype {
            DType::F32 => self.changed(|bytes| (change(f32::from_le_bytes(bytes).into()) as f32).to_le_bytes()),
            DType::F64 => self.changed(|bytes| change(f64::from_le_bytes(bytes)).to_le_bytes()),
            DType::F16 => {
                self.changed(|bytes| f16::from_f64(change(f16::from_le_bytes(bytes).to_f32().into())).to_le_bytes())
            }
            DType::BF16 => {
                self.changed(|bytes| bf16::from_f64(change(bf16::from_le_bytes(bytes).to_f32().into())).to_le_bytes())
            }
            other => unreachable!("{other:?} is no type of floats"),
        };
        Tensor { dtype: self.0.dtype, shape: self.0.shape.clone(), data }
    }

    /// Goes over all elements in order.
    pub fn for_each(self, mut see: impl FnMut(f64)) {
        match self.0.dtype {
            DType::F32 => self.seen(|bytes| see(f32::from_le_bytes(bytes).into())),
            DType::F64 => self.seen(|bytes| see(f64::from_le_bytes(bytes))),
            DType::F16 => self.seen(|bytes| see(f16::from_le_bytes(bytes).to_f32().into())),
            DType::BF16 => self.seen(|bytes| see(bf16::from_le_bytes(bytes).to_f32().into())),
            other => unreachable!("{other:?} is no type of floats"),
        }
    }

    fn changed<const N: usize>(self, mut change: impl FnMut([u8; N]) -> [u8; N]) -> Bytes {
        let mut data = Vec::with_capacity(self.0.data.len());
        let (chunks, _) = self.0.data.as_chunks::<N>();
        chunks.iter().for_each(|&chunk| data.extend_from_slice(&change(chunk)));
        data.into()
    }

    fn seen<const N: usize>(self, mut see: impl FnMut([u8; N])) {
        let (chunks, _) = self.0.data.as_chunks::<N>();
        chunks.iter().for_each(|&chunk| see(chunk));
    }
}

/// Extents as sizes; `None` when one is negative.
fn extents(dims: &[i64]) -> Option<Vec<usize>> {
    dims.iter().map(|&dim| usize::try_from(dim).ok()).collect()
}

/// The number of elements of a shape; `None` when it overflows.
fn count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))
}

/// Elements from the field the format keeps this type in.
fn typed(proto: &TensorProto, dtype: DType) -> Bytes {
    fn bytes<const N: usize, T: Copy>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Bytes {
        let bytes: Vec<u8> = values.iter().flat_map(|&value| write(value)).collect();
        bytes.into()
    }
    match dtype {
        DType::F32 | DType::Complex64 => bytes(&proto.float_data, f32::to_le_bytes),
        DType::F64 | DType::Complex128 => bytes(&proto.double_data, f64::to_le_bytes),
        DType::I64 => bytes(&proto.int64_data, i64::to_le_bytes),
        DType::U64 => bytes(&proto.uint64_data, u64::to_le_bytes),
        DType::U32 => bytes(&proto.uint64_data, |value| (value as u32).to_le_bytes()),
        DType::I32 => bytes(&proto.int32_data, i32::to_le_bytes),
        DType::U16 | DType::I16 | DType::F16 | DType::BF16 => {
            bytes(&proto.int32_data, |value| (value as u16).to_le_bytes())
        }
        // One byte each; narrower types come packed, a byte to an element of the field.
        _ => bytes(&proto.int32_data, |value| [value as u8]),
    }
}

/// Maps the payload of a tensor kept beside the model.
fn external(proto: &TensorProto, folder: &Path, expected: usize) -> Result<Bytes, TensorError> {
    let location = external_location(proto)?;
    let path = folder.join(&location);
    let failed =
        |reason: String| TensorError::External { name: text(&proto.name).into_owned(), path: path.clone(), reason };
    let number = |key: &str| match entry(&proto.external_data, key) {
        Some(value) => {
            value.parse::<u64>().map(Some).map_err(|_| failed(format!("its {key} `{value}` is not a number")))
        }
        None => Ok(None),
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(expected as u64);
    let unreadable = |error: io::Error| failed(error.to_string());
    if !is_inside(&path, folder).map_err(unreadable)? {
        let (name, location) = (text(&proto.name).into_owned(), location.display().to_string());
        return Err(TensorError::Escapes { name, location });
    }
    let file = File::open(&path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(failed(format!("it has {size} bytes, and the tensor wants {length} from byte {offset}")));
    }
    map::map_range(&file, offset, length).map_err(unreadable)
}

/// Whether a file lies in a folder once every symbolic link on the way is followed.
pub(crate) fn is_inside(path: &Path, folder: &Path) -> io::Result<bool> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(path.canonicalize()?.starts_with(folder.canonicalize()?))
}

/// The file that holds a tensor's external data, relative to the model's folder.
///
/// # Errors
/// When no file is named, or one outside the model's folder.
pub fn external_location(proto: &TensorProto) -> Result<PathBuf, TensorError> {
    let location = entry(&proto.external_data, "location").unwrap_or_default();
    let path = PathBuf::from(location.as_ref());
    let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !inside {
        return Err(TensorError::Escapes { name: text(&proto.name).into_owned(), location: location.into_owned() });
    }
    Ok(path)
}
