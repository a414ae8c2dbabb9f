//! A changed model file made of the old one's bytes: what no edit touches is copied as it lies,
//! unknown fields included; only touched elements are encoded anew.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    marker::PhantomData,
    ops::Range,
};

use bytes::Bytes;

use super::{
    onnx::{
        FunctionProto, NodeProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto, TensorAnnotation,
        TensorProto, ValueInfoProto,
    },
    schema::{self, Message},
    wire::{self, Field, WireError},
};

/// Where a model keeps its graph.
const GRAPH: u32 = 7;

/// Where a tensor keeps its elements as bytes.
const RAW_DATA: u32 = 9;

/// Protobuf readers refuse files of 2 GiB and more.
const LARGEST: u64 = i32::MAX as u64;

/// Why edits could not be spliced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The bytes are not a model.
    #[error("the model's bytes cannot be walked ({0}); export it again")]
    Wire(#[from] WireError),
    /// Two graph fields that a reader merges, or none.
    #[error(
        "the model's graph is stored in {pieces} pieces, which cannot be edited in place; load and save it with `onnx` first"
    )]
    SplitGraph {
        /// How many graph fields the file has.
        pieces: usize,
    },
    /// An edit of an element that is not there.
    #[error("the model has no {element} number {index} to edit")]
    NoSuchElement {
        /// What kind of element.
        element: &'static str,
        /// Its position in the file.
        index: usize,
    },
    /// Encoding the element anew would lose a field.
    #[error(
        "{element} number {index} holds a field ({field}) this program does not know and would lose; allow it with `--lossy`"
    )]
    UnknownField {
        /// What kind of element.
        element: &'static str,
        /// Its position in the file.
        index: usize,
        /// The unknown field's number.
        field: u32,
    },
    /// The result is beyond what readers take.
    #[error("the new model would have {bytes} bytes, and ONNX files end at 2 GiB; keep its weights in external data")]
    TooLarge {
        /// The size it would have.
        bytes: u64,
    },
}

/// A repeated field of the graph or the model, whose elements are `T`.
#[derive(Debug)]
pub struct Repeated<T> {
    number: u32,
    name: &'static str,
    message: Message,
    of_graph: bool,
    element: PhantomData<fn(T)>,
}

impl<T> Clone for Repeated<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Repeated<T> {}

impl<T> Repeated<T> {
    const fn of(of_graph: bool, number: u32, name: &'static str, message: Message) -> Self {
        Self { number, name, message, of_graph, element: PhantomData }
    }
}

/// The graph's nodes.
pub const NODE: Repeated<NodeProto> = Repeated::of(true, 1, "node", Message::Node);
/// The graph's stored tensors.
pub const INITIALIZER: Repeated<TensorProto> = Repeated::of(true, 5, "initializer", Message::Tensor);
/// The graph's inputs.
pub const INPUT: Repeated<ValueInfoProto> = Repeated::of(true, 11, "input", Message::ValueInfo);
/// The graph's outputs.
pub const OUTPUT: Repeated<ValueInfoProto> = Repeated::of(true, 12, "output", Message::ValueInfo);
/// The declared types of values between nodes.
pub const VALUE_INFO: Repeated<ValueInfoProto> = Repeated::of(true, 13, "value_info", Message::ValueInfo);
/// What is said about quantised tensors.
pub const QUANTIZATION_ANNOTATION: Repeated<TensorAnnotation> =
    Repeated::of(true, 14, "quantization_annotation", Message::TensorAnnotation);
/// The graph's sparse stored tensors.
pub const SPARSE_INITIALIZER: Repeated<SparseTensorProto> =
    Repeated::of(true, 15, "sparse_initializer", Message::Sparse);
/// The model's operator sets.
pub const OPSET_IMPORT: Repeated<OperatorSetIdProto> = Repeated::of(false, 8, "opset_import", Message::Opset);
/// The model's notes.
pub const METADATA_PROPS: Repeated<StringStringEntryProto> = Repeated::of(false, 14, "metadata_props", Message::Entry);
/// The model's own operators.
pub const FUNCTIONS: Repeated<FunctionProto> = Repeated::of(false, 25, "functions", Message::Function);

/// Changes to the elements of a model, by their positions in the unchanged file.
#[derive(Default)]
pub struct Edits {
    graph: Level,
    model: Level,
    lossy: bool,
}

/// The changes to one message's repeated fields.
#[derive(Default)]
struct Level {
    /// By field number and position; the message and name are for the check and its sentence.
    elements: BTreeMap<(u32, usize), Change>,
    appended: BTreeMap<u32, Vec<Box<dyn Encode>>>,
}

/// What happens at one element.
struct Change {
    before: Vec<Box<dyn Encode>>,
    fate: Fate,
    name: &'static str,
    message: Message,
}

enum Fate {
    Keep,
    Remove,
    Replace(Box<dyn Encode>),
}

impl Edits {
    /// No edits; those to come may not lose unknown fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets touched elements lose fields this program does not know.
    pub fn lossy(mut self, lossy: bool) -> Self {
        self.lossy = lossy;
        self
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.graph.is_empty() && self.model.is_empty()
    }

    /// Puts `element` where the one at `index` was.
    pub fn replace<T: prost::Message + 'static>(&mut self, field: Repeated<T>, index: usize, element: T) {
        self.change(field, index).fate = Fate::Replace(Box::new(element));
    }

    /// Puts a stored tensor where the one at `index` was; its elements are made when they are written.
    pub fn replace_later(&mut self, index: usize, tensor: Later) {
        self.change(INITIALIZER, index).fate = Fate::Replace(Box::new(tensor));
    }

    /// Leaves out the element at `index`.
    pub fn remove<T>(&mut self, field: Repeated<T>, index: usize) {
        self.change(field, index).fate = Fate::Remove;
    }

    /// Puts `element` before the one at `index`, after others put there earlier.
    pub fn insert<T: prost::Message + 'static>(&mut self, field: Repeated<T>, index: usize, element: T) {
        self.change(field, index).before.push(Box::new(element));
    }

    /// Puts `element` after the last one of its field.
    pub fn append<T: prost::Message + 'static>(&mut self, field: Repeated<T>, element: T) {
        let appended = &mut self.level(field.of_graph).appended;
        appended.entry(field.number).or_default().push(Box::new(element));
    }

    fn level(&mut self, of_graph: bool) -> &mut Level {
        if of_graph { &mut self.graph } else { &mut self.model }
    }

    fn change<T>(&mut self, field: Repeated<T>, index: usize) -> &mut Change {
        self.level(field.of_graph).elements.entry((field.number, index)).or_insert_with(|| Change {
            before: Vec::new(),
            fate: Fate::Keep,
            name: field.name,
            message: field.message,
        })
    }

    /// Lays the new file out; the weights of touched elements are encoded when it is written.
    ///
    /// # Errors
    /// When an edit has no element, would lose an unknown field, or the graph is stored in
    /// several pieces.
    pub fn splice(self, source: &Bytes) -> Result<Spliced, SpliceError> {
        let mut spliced = Spliced { source: source.clone(), pieces: Vec::new() };
        let fields = wire::fields(source, 0..source.len())?;
        let mut graph = None;
        if !self.graph.is_empty() {
            let payload = graph_payload(&fields)?;
            let inside = wire::fields(source, payload)?;
            graph = Some(self.graph.lay_out(source, &inside, self.lossy, None)?);
        }
        spliced.pieces = self.model.lay_out(source, &fields, self.lossy, graph)?;
        match spliced.len() {
            bytes if bytes > LARGEST => Err(SpliceError::TooLarge { bytes }),
            _ => Ok(spliced),
        }
    }
}

/// The bytes of the one graph.
fn graph_payload(fields: &[Field]) -> Result<Range<usize>, SpliceError> {
    let mut graphs = fields.iter().filter(|field| field.number == GRAPH).filter_map(|field| field.payload.clone());
    match (graphs.next(), graphs.count()) {
        (Some(payload), 0) => Ok(payload),
        (None, _) => Err(SpliceError::SplitGraph { pieces: 0 }),
        (Some(_), others) => Err(SpliceError::SplitGraph { pieces: others + 1 }),
    }
}

impl Level {
    fn is_empty(&self) -> bool {
        self.elements.is_empty() && self.appended.is_empty()
    }

    /// The message's new bytes as pieces; `graph` takes the place of the graph field.
    fn lay_out(
        mut self,
        source: &Bytes,
        fields: &[Field],
        lossy: bool,
        mut graph: Option<Vec<Piece>>,
    ) -> Result<Vec<Piece>, SpliceError> {
        let mut last: BTreeMap<u32, usize> = BTreeMap::new();
        for (position, field) in fields.iter().enumerate() {
            last.insert(field.number, position);
        }
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        let mut pieces = Pieces::default();
        for (position, field) in fields.iter().enumerate() {
            let index = seen.entry(field.number).or_default();
            match self.elements.remove(&(field.number, *index)) {
                Some(change) => pieces.change(source, field, *index, change, lossy)?,
                None => match graph.take_if(|_| field.number == GRAPH) {
                    Some(graph) => pieces.message(GRAPH, graph),
                    None => pieces.copy(field.range.clone()),
                },
            }
            *index += 1;
            if last.get(&field.number) == Some(&position) {
                pieces.encode_all(field.number, self.appended.remove(&field.number));
            }
        }
        for (number, elements) in self.appended {
            pieces.encode_all(number, Some(elements));
        }
        match self.elements.pop_first() {
            Some(((_, index), change)) => Err(SpliceError::NoSuchElement { element: change.name, index }),
            None => Ok(pieces.0),
        }
    }
}

/// A stretch of the new file.
enum Piece {
    Copy(Range<usize>),
    Header(Vec<u8>),
    Encode(Box<dyn Encode>),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Copy(range) => range.len() as u64,
            Self::Header(bytes) => bytes.len() as u64,
            Self::Encode(element) => element.length() as u64,
        }
    }
}

/// The new file's stretches in the making.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    /// Copies a range; ranges that touch become one.
    fn copy(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(Piece::Copy(last)) if last.end == range.start => last.end = range.end,
            _ => self.0.push(Piece::Copy(range)),
        }
    }

    fn encode(&mut self, number: u32, element: Box<dyn Encode>) {
        let header = wire::header(number, element.length() as u64);
        self.0.push(Piece::Header(header));
        self.0.push(Piece::Encode(element));
    }

    fn encode_all(&mut self, number: u32, elements: Option<Vec<Box<dyn Encode>>>) {
        for element in elements.into_iter().flatten() {
            self.encode(number, element);
        }
    }

    fn message(&mut self, number: u32, inside: Vec<Piece>) {
        let length = inside.iter().map(Piece::len).sum();
        self.0.push(Piece::Header(wire::header(number, length)));
        self.0.extend(inside);
    }

    fn change(
        &mut self,
        source: &Bytes,
        field: &Field,
        index: usize,
        change: Change,
        lossy: bool,
    ) -> Result<(), SpliceError> {
        self.encode_all(field.number, Some(change.before));
        match change.fate {
            Fate::Keep => self.copy(field.range.clone()),
            Fate::Remove => {}
            Fate::Replace(element) => {
                let unknown = match &field.payload {
                    Some(payload) if !lossy => schema::unknown_field(source, payload.clone(), change.message)?,
                    _ => None,
                };
                if let Some(unknown) = unknown {
                    return Err(SpliceError::UnknownField { element: change.name, index, field: unknown });
                }
                self.encode(field.number, element);
            }
        }
        Ok(())
    }
}

/// A new file, as ranges of the old one and new elements.
pub struct Spliced {
    source: Bytes,
    pieces: Vec<Piece>,
}

impl Spliced {
    /// The new file's size in bytes.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// Whether the new file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the new file, encoding one element at a time.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Copy(range) => writer.write_all(&self.source[range.clone()])?,
                Piece::Header(bytes) => writer.write_all(bytes)?,
                Piece::Encode(element) => element.write(writer)?,
            }
        }
        Ok(())
    }

    /// The new file in memory; without edits this is the old one, not copied.
    pub fn to_bytes(&self) -> Bytes {
        if let [Piece::Copy(range)] = self.pieces.as_slice() {
            return self.source.slice(range.clone());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.len()).unwrap_or_default());
        match self.write_to(&mut bytes) {
            Ok(()) => bytes.into(),
            Err(error) => unreachable!("memory takes whatever is written to it: {error}"),
        }
    }
}

/// A message whose type has been forgotten.
trait Encode: Send + Sync {
    fn length(&self) -> usize;
    fn write(&self, writer: &mut dyn Write) -> io::Result<()>;
}

impl<T: prost::Message> Encode for T {
    fn length(&self) -> usize {
        self.encoded_len()
    }

    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&self.encode_to_vec())
    }
}

/// A stored tensor whose elements are made when they are written, so that many of them are never in memory together.
pub struct Later {
    head: TensorProto,
    length: usize,
    make: Box<dyn Fn() -> Bytes + Send + Sync>,
}

impl Later {
    /// A tensor that is `head` with the `length` bytes that `make` gives as its elements.
    pub fn new(head: TensorProto, length: usize, make: impl Fn() -> Bytes + Send + Sync + 'static) -> Self {
        Self { head: TensorProto { raw_data: None, ..head }, length, make: Box::new(make) }
    }

    /// The tensor with its elements.
    pub fn now(&self) -> TensorProto {
        TensorProto { raw_data: Some((self.make)()), ..self.head.clone() }
    }

    /// The tensor's name.
    pub fn name(&self) -> &[u8] {
        self.head.name()
    }
}

impl Encode for Later {
    fn length(&self) -> usize {
        let header = wire::header(RAW_DATA, self.length as u64).len();
        prost::Message::encoded_len(&self.head) + header + self.length
    }

    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        let elements = (self.make)();
        if elements.len() != self.length {
            return Err(io::Error::other("a tensor has not as many bytes as were announced"));
        }
        writer.write_all(&prost::Message::encode_to_vec(&self.head))?;
        writer.write_all(&wire::header(RAW_DATA, self.length as u64))?;
        writer.write_all(&elements)
    }
}
