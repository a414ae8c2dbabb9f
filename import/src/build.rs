//! From messages to the resolved graph: names, order, types, shapes, contents.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use crate::graph::{
    Code, Content, Dim, FOLD_LIMIT, Graph, Instead, Node, NodeId, Origin, Place, Refusal, RowId, Shape, StoredId,
    StoredTensor, Symbols, Value, ValueId,
};
use crate::ops::{self, BatchConstant, Constant, Fact, FoldView, InferView};
use crate::proto::ModelFile;
use crate::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    text, type_proto,
};
use crate::sparse;
use crate::tensor::{DType, MOST_AXES, Tensor, TensorError};

/// The name of a freed batch axis.
pub(crate) const FREE_BATCH: &str = "espalier_batch";

/// So many elements all folded contents of a graph may have together. Shape arithmetic takes a handful for each node.
const FOLD_ROOM: usize = 1 << 22;

/// How declared input sizes are read.
#[derive(Clone, Debug, Default)]
pub struct InputSizes {
    /// Sizes for named dimensions.
    pub named: BTreeMap<String, i64>,
    /// Sizes of whole inputs, by name; the empty name is the only input. A first axis that the file leaves open stays so.
    pub shapes: BTreeMap<String, Vec<i64>>,
    /// Reads a fixed batch axis as a free one.
    pub free_batch: bool,
}

/// Builds the graph and collects what could not be understood.
///
/// # Errors
/// When a stored tensor cannot be read or the nodes form a cycle.
pub(crate) fn build(file: &ModelFile, sizes: &InputSizes) -> Result<Built, BuildError> {
    let empty = GraphProto::default();
    let proto = file.proto.graph.as_ref().unwrap_or(&empty);
    let mut builder = Builder::new(file, proto, sizes);
    builder.stored_tensors()?;
    builder.name_sizes()?;
    builder.inputs()?;
    builder.nodes()?;
    builder.outputs();
    Ok(Built { graph: builder.graph, refusals: builder.refusals, batch_constants: builder.batch_constants })
}

/// A graph with everything that was found on the way.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// The graph.
    pub graph: Graph,
    /// Nodes that could not be understood; they are opaque in the graph.
    pub refusals: Vec<Refusal>,
    /// Constants that hold the batch, when a fixed batch was read as free.
    pub batch_constants: Vec<BatchConstant>,
}

/// Why no graph can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A stored tensor is broken.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Nodes wait for each other.
    #[error("the graph has a cycle through node '{node}'; export the model again")]
    Cycle {
        /// One of them.
        node: String,
    },
    /// A shape for an input that is not there.
    #[error("there is no input '{input}' to give a shape to; the inputs are {there}")]
    NoInput {
        /// The name.
        input: String,
        /// Those there are.
        there: String,
    },
    /// A shape that an input cannot have.
    #[error(
        "the input '{input}' is declared as {declared}, which {given:?} does not fit; give a size for each axis, and other sizes than declared for open ones alone"
    )]
    Shape {
        /// The input's name.
        input: String,
        /// Its shape in the file.
        declared: String,
        /// The shape given.
        given: Vec<i64>,
    },
    /// Two makers of one name.
    #[error("the name '{name}' is given to two values; export the model again")]
    Duplicate {
        /// The name.
        name: String,
    },
}

struct Builder<'a> {
    file: &'a ModelFile,
    proto: &'a GraphProto,
    sizes: &'a InputSizes,
    /// Sizes for named dimensions, those of given shapes among them.
    named: BTreeMap<String, i64>,
    graph: Graph,
    names: HashMap<Bytes, ValueId>,
    declared: HashMap<Bytes, &'a TypeProto>,
    /// Domain and name of the model's own functions, which come before the standard's operators of that name.
    functions: HashSet<(String, String)>,
    /// Positions of the nodes that hold a tensor instead of computing.
    constants: HashSet<usize>,
    refusals: Vec<Refusal>,
    declared_batch: Option<i64>,
    batch_constants: Vec<BatchConstant>,
    fold_room: usize,
}

impl<'a> Builder<'a> {
    fn new(file: &'a ModelFile, proto: &'a GraphProto, sizes: &'a InputSizes) -> Self {
        let declared = proto.value_info.iter().chain(&proto.output).filter_map(declaration).collect();
        let graph = Graph {
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            stored: Vec::new(),
            opsets: opsets(&file.proto),
            symbols: Symbols::default(),
            sizes_given: !sizes.named.is_empty() || !sizes.shapes.is_empty(),
        };
        Self {
            file,
            proto,
            sizes,
            named: sizes.named.clone(),
            graph,
            names: HashMap::new(),
            declared,
            functions: file
                .proto
                .functions
                .iter()
                .map(|f| (domain_of(&f.domain), text(&f.name).into_owned()))
                .collect(),
            constants: HashSet::new(),
            refusals: Vec::new(),
            declared_batch: None,
            batch_constants: Vec::new(),
            fold_room: FOLD_ROOM,
        }
    }

    fn stored_tensors(&mut self) -> Result<(), BuildError> {
        for (index, proto) in self.proto.initializer.iter().enumerate() {
            let name = proto.name.clone().unwrap_or_default();
            if holds_text(proto) {
                self.unread(&name, proto, &proto.dims)?;
                continue;
            }
            let tensor = Tensor::from_proto(proto, self.file.folder())?;
            self.store(name, Place::Initializer(index), tensor)?;
        }
        for (index, sparse) in self.proto.sparse_initializer.iter().enumerate() {
            let Some(values) = &sparse.values else { continue };
            let name = values.name.clone().unwrap_or_default();
            let tensor = if holds_text(values) { None } else { sparse::dense(sparse, self.file.folder())? };
            match tensor {
                Some(tensor) => self.store(name, Place::SparseInitializer(index), tensor)?,
                None => self.unread(&name, values, &sparse.dims)?,
            }
        }
        for (index, node) in self.proto.node.iter().enumerate() {
            let Some(name) = node.output.first() else { continue };
            if let Some(tensor) = self.constant_value(node)? {
                self.constants.insert(index);
                self.store(name.clone(), Place::ConstantNode(index), tensor)?;
            }
        }
        Ok(())
    }

    /// A constant that is known by its type and sizes alone.
    fn unread(&mut self, name: &Bytes, proto: &TensorProto, dims: &[i64]) -> Result<(), BuildError> {
        let value = self.define(name, Origin::Unread)?;
        let sizes = dims.iter().map(|&size| (size >= 0).then_some(Dim::known(size)));
        let entry = &mut self.graph.values[value.0 as usize];
        entry.dtype = proto.data_type.and_then(DType::from_code);
        entry.shape = sizes.collect::<Option<Shape>>().filter(|shape| shape.len() <= MOST_AXES);
        Ok(())
    }

    fn store(&mut self, name: Bytes, place: Place, tensor: Tensor) -> Result<(), BuildError> {
        let stored = StoredId(self.graph.stored.len() as u32);
        let shape = tensor.shape.iter().map(|&n| Dim::known(n as i64)).collect();
        let value = self.define(&name, Origin::Stored(stored))?;
        let entry = &mut self.graph.values[value.0 as usize];
        entry.dtype = Some(tensor.dtype);
        entry.shape = Some(shape);
        entry.content = Some(Content::Tensor(tensor.clone()));
        self.graph.stored.push(StoredTensor { value, place, tensor });
        Ok(())
    }

    /// The inputs that a caller feeds.
    fn fed(&self) -> impl Iterator<Item = &'a ValueInfoProto> + use<'a> {
        let stored: HashSet<Bytes> = self.names.keys().cloned().collect();
        self.proto.input.iter().filter(move |info| !stored.contains(&info.name.clone().unwrap_or_default()))
    }

    /// A size that is given for a named dimension holds wherever the name stands.
    fn name_sizes(&mut self) -> Result<(), BuildError> {
        let name = |info: &ValueInfoProto| text(&info.name).into_owned();
        for given in self.sizes.shapes.keys() {
            let mut fed = self.fed().map(name);
            let known = match given.is_empty() {
                true => fed.by_ref().count() == 1,
                false => fed.any(|name| name == *given),
            };
            if !known {
                let there: Vec<String> = self.fed().map(name).collect();
                return Err(BuildError::NoInput { input: given.clone(), there: there.join(", ") });
            }
        }
        for info in self.fed() {
            let Some(given) = self.given_shape(&info.name.clone().unwrap_or_default()) else { continue };
            let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|it| it.value.as_ref())
            else {
                continue;
            };
            let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
            for (axis, (dim, size)) in dims.zip(given).enumerate() {
                if let (Some(dimension::Value::DimParam(name)), false) = (&dim.value, is_left_open(axis, given.len())) {
                    self.named.entry(String::from_utf8_lossy(name).into_owned()).or_insert(*size);
                }
            }
        }
        Ok(())
    }

    fn given_shape(&self, input: &Bytes) -> Option<&'a Vec<i64>> {
        self.sizes.shapes.get(String::from_utf8_lossy(input).as_ref()).or_else(|| self.sizes.shapes.get(""))
    }

    /// A declared shape with the sizes that are given for it.
    fn with_given_sizes(&mut self, input: &Bytes, declared: Option<Shape>) -> Result<Option<Shape>, BuildError> {
        let Some(given) = self.given_shape(input) else { return Ok(declared) };
        let open = || given.iter().map(|_| None).collect::<Vec<Option<Dim>>>();
        let dims = declared.as_ref().map_or_else(open, |shape| shape.iter().cloned().map(Some).collect());
        let size = |(axis, (dim, size)): (usize, (Option<Dim>, &i64))| match dim {
            Some(dim) if dim.value().is_some() => dim.is(*size).then_some(dim),
            Some(dim) if is_left_open(axis, given.len()) => Some(dim),
            None if is_left_open(axis, given.len()) => Some(self.graph.symbols.fresh()),
            _ => Some(Dim::known(*size)),
        };
        let fits = dims.len() == given.len() && given.iter().all(|size| *size > 0);
        let shape: Option<Shape> = dims.into_iter().zip(given).enumerate().map(size).collect();
        match shape.filter(|_| fits) {
            Some(shape) => Ok(Some(shape)),
            None => Err(BuildError::Shape {
                input: String::from_utf8_lossy(input).into_owned(),
                declared: self.declared_text(input),
                given: given.clone(),
            }),
        }
    }

    /// An input's shape as the file has it.
    fn declared_text(&self, input: &Bytes) -> String {
        let info = self.proto.input.iter().find(|info| info.name.as_ref() == Some(input));
        let declared = info.and_then(|info| info.r#type.as_ref()?.value.as_ref());
        let Some(type_proto::Value::TensorType(tensor)) = declared else { return "of no shape".to_owned() };
        let size = |dim: &Dimension| match &dim.value {
            Some(dimension::Value::DimValue(size)) if *size > 0 => size.to_string(),
            Some(dimension::Value::DimParam(name)) if !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
            _ => "?".to_owned(),
        };
        let sizes = tensor.shape.iter().flat_map(|shape| &shape.dim).map(size);
        format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
    }

    fn inputs(&mut self) -> Result<(), BuildError> {
        for info in &self.proto.input {
            let name = info.name.clone().unwrap_or_default();
            if self.names.contains_key(&name) {
                continue;
            }
            let (dtype, shape) = info.r#type.as_ref().map_or((None, None), |t| self.declared_type(t));
            let shape = self.with_given_sizes(&name, shape)?;
            let shape = self.with_free_batch(shape);
            let value = self.value_of(&name, Origin::Input);
            let entry = &mut self.graph.values[value.0 as usize];
            entry.dtype = dtype;
            entry.shape = shape;
            self.graph.inputs.push(value);
        }
        Ok(())
    }

    /// The first axis of the first input is the batch; inputs that declare the same size there follow it.
    fn with_free_batch(&mut self, shape: Option<Shape>) -> Option<Shape> {
        let mut shape = shape?;
        if !self.sizes.free_batch || shape.len() < 2 {
            return Some(shape);
        }
        let first = shape[0].value();
        if self.graph.inputs.is_empty() {
            self.declared_batch = first;
        }
        if first.is_some() && first == self.declared_batch {
            shape[0] = Dim::symbol(self.graph.symbols.named(FREE_BATCH));
        }
        Some(shape)
    }

    fn nodes(&mut self) -> Result<(), BuildError> {
        for index in order(self.proto)? {
            let proto = &self.proto.node[index];
            let id = NodeId(self.graph.nodes.len() as u32);
            let node = self.resolve(index, proto, id)?;
            self.graph.nodes.push(node);
            if !self.constants.contains(&index) {
                self.infer(id);
            }
        }
        Ok(())
    }

    fn resolve(&mut self, index: usize, proto: &'a NodeProto, id: NodeId) -> Result<Node, BuildError> {
        let domain = domain_of(&proto.domain);
        let op = text(&proto.op_type).into_owned();
        let opset = self.graph.opset(&domain).unwrap_or(1);
        let inputs: Vec<_> = proto.input.iter().map(|name| self.read(name)).collect();
        let captures = captured(proto).iter().filter_map(|name| self.names.get(name).copied()).collect();
        let mut outputs = Vec::new();
        for (position, name) in proto.output.iter().enumerate() {
            outputs.push(match name.is_empty() {
                true => None,
                false if self.constants.contains(&index) => self.names.get(name).copied(),
                false => Some(self.define(name, Origin::Node(id, position))?),
            });
        }
        for (position, value) in inputs.iter().enumerate() {
            if let Some(value) = value {
                self.graph.values[value.0 as usize].readers.push((id, position));
            }
        }
        let mut node = Node {
            index,
            name: text(&proto.name).into_owned(),
            op,
            domain,
            opset,
            inputs,
            outputs,
            captures,
            proto: proto.clone(),
            row: None,
        };
        match self.find_row(&node) {
            Ok(row) => node.row = Some(row),
            Err(refusal) => self.refusals.push(*refusal),
        }
        Ok(node)
    }

    fn find_row(&self, node: &Node) -> Result<RowId, Box<Refusal>> {
        if node.proto.attribute.iter().any(holds_graph) {
            let refusal =
                Refusal::new(Code::ControlFlow, node, "it holds subgraphs", "what it touches is kept as it is");
            return Err(Box::new(refusal));
        }
        let undefined = node.inputs.iter().flatten().find(|&&input| self.graph.value(input).origin == Origin::Missing);
        if let Some(&input) = undefined {
            let reason = format!("its input '{}' is neither fed, nor stored, nor made", self.graph.value(input).name);
            let remedy = "export the model again, or give the missing tensor";
            return Err(Box::new(Refusal::new(Code::UndefinedInput, node, reason, remedy)));
        }
        let unknown =
            |reason| Box::new(Refusal::new(Code::UnknownOperator, node, reason, "what it touches is kept as it is"));
        if self.is_function(&node.proto) {
            return Err(unknown(
                "it is a function of the model's own that calls itself, is too large to write out, or is for other \
                 operator sets",
            ));
        }
        let mut rows = ops::rows_named(&node.domain, &node.op).peekable();
        if rows.peek().is_none() {
            return Err(unknown("this operator has no row in the operator table"));
        }
        let mut covered = Vec::new();
        for (id, row) in rows {
            let opsets = row.opsets();
            if opsets.contains(&node.opset) {
                return Ok(id);
            }
            covered.push(format!("{} to {}", opsets.start, opsets.end - 1));
        }
        let reason = format!("operator sets {} are covered, the model imports {}", covered.join(" and "), node.opset);
        let remedy = "convert the model to a covered operator set";
        Err(Box::new(Refusal::new(Code::UnknownRevision, node, reason, remedy)))
    }

    fn is_function(&self, node: &NodeProto) -> bool {
        !self.functions.is_empty()
            && self.functions.contains(&(domain_of(&node.domain), text(&node.op_type).into_owned()))
    }

    /// The tensor that a node holds instead of computing.
    fn constant_value(&self, node: &NodeProto) -> Result<Option<Tensor>, BuildError> {
        let folder = self.file.folder();
        Ok(match ops::constant_value(node).filter(|_| !self.is_function(node)) {
            Some(Constant::Dense(value)) if !holds_text(value) => Some(Tensor::from_proto(value, folder)?),
            Some(Constant::Sparse(value)) if !value.values.as_ref().is_some_and(holds_text) => {
                sparse::dense(value, folder)?
            }
            _ => None,
        })
    }

    fn infer(&mut self, id: NodeId) {
        let facts = self.facts(id);
        let node = self.graph.node(id);
        let outputs = node.outputs.clone();
        for (position, output) in outputs.into_iter().enumerate() {
            let Some(output) = output else { continue };
            let fact = facts.get(position).cloned().unwrap_or_default();
            self.learn(output, fact);
        }
        self.fold(id);
        self.pass_constancy(id);
    }

    fn facts(&mut self, id: NodeId) -> Vec<Fact> {
        let Some(row) = ops::row_of(self.graph.node(id)) else { return Vec::new() };
        let mut symbols = std::mem::take(&mut self.graph.symbols);
        let mut view = InferView {
            id,
            node: self.graph.node(id),
            graph: &self.graph,
            symbols: &mut symbols,
            declared_batch: self.declared_batch,
            batch_constants: &mut self.batch_constants,
        };
        let facts = (row.infer)(&mut view).and_then(|facts| checked(&view, facts));
        self.graph.symbols = symbols;
        facts.unwrap_or_else(|refusal| {
            self.refusals.push(*refusal);
            self.graph.nodes[id.0 as usize].row = None;
            Vec::new()
        })
    }

    /// Inference wins over declarations, which exporters often get wrong; a declaration fills what is unknown.
    fn learn(&mut self, value: ValueId, fact: Fact) {
        let name = Bytes::copy_from_slice(self.graph.value(value).name.as_bytes());
        let (dtype, shape) = match self.declared.get(&name).copied() {
            Some(declared) if fact.dtype.is_none() || fact.shape.is_none() => self.declared_type(declared),
            _ => (None, None),
        };
        let entry = &mut self.graph.values[value.0 as usize];
        entry.dtype = fact.dtype.or(dtype);
        entry.shape = fact.shape.or(shape);
    }

    fn fold(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let (Some(row), Some(output)) = (ops::row_of(node), node.output(0)) else { return };
        let shape = self.graph.value(output).shape.as_deref();
        let view = FoldView { node, graph: &self.graph, shape, instead: &Instead::default() };
        let content = (row.fold)(&view).filter(|content| content.len() <= FOLD_LIMIT);
        let made = content.as_ref().map_or(0, |content| made(content, view.content(0)));
        let room = self.fold_room.checked_sub(made);
        self.fold_room = room.unwrap_or(self.fold_room);
        self.graph.values[output.0 as usize].content = content.filter(|_| room.is_some());
    }

    /// What a known operator makes from constants alone is constant; one without inputs may draw, unless it says what.
    fn pass_constancy(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let mut inputs = node.inputs.iter().flatten().peekable();
        let constant = match inputs.peek() {
            Some(_) => inputs.all(|&input| self.graph.value(input).constant),
            None => node.output(0).is_some_and(|output| self.graph.value(output).content.is_some()),
        };
        if node.row.is_none() || !constant {
            return;
        }
        for output in node.outputs.clone().into_iter().flatten() {
            self.graph.values[output.0 as usize].constant = true;
        }
    }

    fn outputs(&mut self) {
        for info in &self.proto.output {
            let name = info.name.clone().unwrap_or_default();
            let value = self.value_of(&name, Origin::Missing);
            self.graph.outputs.push(value);
        }
    }

    fn declared_type(&mut self, declared: &TypeProto) -> (Option<DType>, Option<Shape>) {
        let Some(type_proto::Value::TensorType(tensor)) = &declared.value else { return (None, None) };
        let dtype = tensor.elem_type.and_then(DType::from_code);
        let shape = tensor.shape.as_ref().filter(|shape| shape.dim.len() <= MOST_AXES);
        let shape = shape.map(|shape| shape.dim.iter().map(|d| self.declared_dim(&d.value)).collect());
        (dtype, shape)
    }

    fn declared_dim(&mut self, dim: &Option<dimension::Value>) -> Dim {
        match dim {
            Some(dimension::Value::DimValue(n)) if *n > 0 => Dim::known(*n),
            Some(dimension::Value::DimParam(name)) if !name.is_empty() => {
                let name = String::from_utf8_lossy(name);
                match self.named.get(name.as_ref()) {
                    Some(&n) => Dim::known(n),
                    None => Dim::symbol(self.graph.symbols.named(&name)),
                }
            }
            _ => self.graph.symbols.fresh(),
        }
    }

    fn read(&mut self, name: &Bytes) -> Option<ValueId> {
        (!name.is_empty()).then(|| self.value_of(name, Origin::Missing))
    }

    fn value_of(&mut self, name: &Bytes, origin: Origin) -> ValueId {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let id = ValueId(self.graph.values.len() as u32);
        self.graph.values.push(Value {
            name: String::from_utf8_lossy(name).into_owned(),
            dtype: None,
            shape: None,
            origin,
            content: None,
            constant: matches!(origin, Origin::Stored(_) | Origin::Unread),
            readers: Vec::new(),
        });
        self.names.insert(name.clone(), id);
        id
    }

    fn define(&mut self, name: &Bytes, origin: Origin) -> Result<ValueId, BuildError> {
        if self.names.contains_key(name) {
            return Err(BuildError::Duplicate { name: String::from_utf8_lossy(name).into_owned() });
        }
        Ok(self.value_of(name, origin))
    }
}

/// Whether an axis stays open whatever size is given: the samples of a run lie along it.
fn is_left_open(axis: usize, rank: usize) -> bool {
    axis == 0 && rank > 1
}

/// Strings have no numbers to cut.
fn holds_text(proto: &TensorProto) -> bool {
    proto.data_type == Some(DType::String.code())
}

/// What was inferred, where values can be like that.
fn checked(view: &InferView, facts: Vec<Fact>) -> Result<Vec<Fact>, Box<Refusal>> {
    for shape in facts.iter().filter_map(|fact| fact.shape.as_ref()) {
        if shape.len() > MOST_AXES {
            return Err(view.contradiction(format!("it makes a value of {} axes", shape.len())));
        }
        if shape.iter().any(|size| size.value().is_some_and(|size| size < 0)) {
            return Err(view.contradiction(format!("there is no size {}", view.show(shape))));
        }
    }
    Ok(facts)
}

/// How many elements a content holds beyond those it shares with what it was made from.
fn made(content: &Content, from: Option<&Content>) -> usize {
    match (content, from) {
        (Content::Tensor(new), Some(Content::Tensor(old))) if new.data.as_ptr() == old.data.as_ptr() => 0,
        _ => content.len(),
    }
}

fn declaration(info: &ValueInfoProto) -> Option<(Bytes, &TypeProto)> {
    Some((info.name.clone()?, info.r#type.as_ref()?))
}

fn opsets(model: &ModelProto) -> Vec<(String, i64)> {
    let imports = model.opset_import.iter();
    imports.map(|import| (domain_of(&import.domain), import.version.unwrap_or(1))).collect()
}

/// A domain by its short name: the default one is the empty string.
fn domain_of(domain: &Option<Bytes>) -> String {
    let domain = text(domain);
    if domain == "ai.onnx" { String::new() } else { domain.into_owned() }
}

fn holds_graph(attribute: &AttributeProto) -> bool {
    attribute.g.is_some() || !attribute.graphs.is_empty()
}

/// Names that subgraphs of a node read, whether they are outer values or their own.
fn captured(node: &NodeProto) -> Vec<Bytes> {
    let mut open: Vec<&GraphProto> = node.subgraphs().collect();
    let mut names = Vec::new();
    while let Some(graph) = open.pop() {
        names.extend(graph.output.iter().filter_map(|o| o.name.clone()));
        for inner in &graph.node {
            names.extend(inner.input.iter().cloned());
            open.extend(inner.subgraphs());
        }
    }
    names
}

/// Positions of nodes such that each comes after those it reads from; the file's order where that holds already.
fn order(graph: &GraphProto) -> Result<Vec<usize>, BuildError> {
    let maker: HashMap<&Bytes, usize> =
        graph.node.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o, i))).collect();
    let mut waiting: Vec<usize> = vec![0; graph.node.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        let captured = captured(node);
        let made = node.input.iter().chain(&captured).filter_map(|name| maker.get(name));
        for &source in made.filter(|&&source| source != index) {
            waiting[index] += 1;
            followers[source].push(index);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..waiting.len()).filter(|&i| waiting[i] == 0).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while let Some(next) = ready.pop_first() {
        sorted.push(next);
        for &follower in &followers[next] {
            waiting[follower] -= 1;
            if waiting[follower] == 0 {
                ready.insert(follower);
            }
        }
    }
    match waiting.iter().position(|&n| n > 0) {
        Some(stuck) => Err(BuildError::Cycle { node: text(&graph.node[stuck].name).into_owned() }),
        None => Ok(sorted),
    }
}
