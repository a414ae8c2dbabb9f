//! Declared shapes follow the cut.

use std::collections::HashMap;

use import::proto::onnx::{ValueInfoProto, tensor_shape_proto::dimension::Value as Size, text, type_proto};

use crate::{
    draft::{Declared, Draft},
    places::Places,
};

/// Rewrites the sizes of cut axes wherever the file declares them.
pub(super) fn follow(draft: &mut Draft<'_>, places: &Places) {
    let sizes = |value| places.of_value(value).map(|(axis, kept)| (axis, kept.len()));
    let cut: HashMap<&str, Vec<(usize, usize)>> = places
        .cut_values()
        .map(|value| {
            let name = draft.model.graph.value(value).name.as_str();
            (name, sizes(value).collect())
        })
        .collect();
    for list in [Declared::Input, Declared::Output, Declared::Value] {
        draft.declare(list, |info| resized(info, cut.get(text(&info.name).as_ref())?));
    }
}

/// The declaration with new sizes; `None` when it states none of those axes.
fn resized(info: &ValueInfoProto, axes: &[(usize, usize)]) -> Option<ValueInfoProto> {
    let mut new = info.clone();
    let Some(type_proto::Value::TensorType(tensor)) = &mut new.r#type.as_mut()?.value else {
        return None;
    };
    let dims = &mut tensor.shape.as_mut()?.dim;
    for &(axis, size) in axes {
        if let Some(dim) = dims.get_mut(axis)
            && matches!(dim.value, Some(Size::DimValue(_)))
        {
            dim.value = Some(Size::DimValue(size as i64));
        }
    }
    (new != *info).then_some(new)
}
