//! A network declared at another size than its file says.

use std::collections::BTreeMap;

use import::proto::onnx::{
    TensorShapeProto, ValueInfoProto, tensor_shape_proto::Dimension, tensor_shape_proto::dimension::Value as Size,
    text, type_proto,
};

use crate::draft::{Declared, Draft};

/// Gives the named inputs these sizes, and takes away what the file says of sizes elsewhere.
pub(super) fn declare(draft: &mut Draft<'_>, sizes: &BTreeMap<String, Vec<usize>>) {
    if sizes.is_empty() {
        return;
    }
    let fixed = |sizes: &[usize]| {
        let dim = |&size: &usize| Dimension { value: Some(Size::DimValue(size as i64)), ..Dimension::default() };
        TensorShapeProto { dim: sizes.iter().map(dim).collect() }
    };
    draft.declare(Declared::Input, |info| with_shape(info, Some(fixed(sizes.get(text(&info.name).as_ref())?))));
    draft.declare(Declared::Output, |info| with_shape(info, None));
    draft.declare(Declared::Value, |info| with_shape(info, None));
}

/// The declaration with another shape; `None` when it declares no tensor.
fn with_shape(info: &ValueInfoProto, shape: Option<TensorShapeProto>) -> Option<ValueInfoProto> {
    let mut new = info.clone();
    match &mut new.r#type.as_mut()?.value {
        Some(type_proto::Value::TensorType(tensor)) => tensor.shape = shape,
        _ => return None,
    }
    Some(new)
}
