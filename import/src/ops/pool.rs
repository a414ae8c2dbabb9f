//! Windows that slide over space: geometry shared with convolution, and the pooling operators.

use super::row::{Fact, Family, InferView, OpRow};
use super::says;
use crate::graph::{Dim, Node, Refusal, Shape};
use crate::labels::LaneView;
use crate::tensor::DType;

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("MaxPool", &[1, 8, 10, 11, 12, 22], pool_infer, per_channel_lanes)
        .says("channels pass; where places are given, all stays")
        .notes("places are counted over the whole value"),
    OpRow::new("AveragePool", &[1, 7, 10, 11, 19, 22], pool_infer, per_channel_lanes)
        .says(says::CHANNELS)
        .family(Family::Average),
    OpRow::new("GlobalAveragePool", &[1, 22], global_infer, per_channel_lanes)
        .says(says::CHANNELS)
        .family(Family::Average),
    OpRow::new("LpPool", &[2, 11, 18, 22], pool_infer, per_channel_lanes).says(says::CHANNELS),
    OpRow::new("GlobalLpPool", &[2, 22], global_infer, per_channel_lanes).says(says::CHANNELS),
    OpRow::new("MaxUnpool", &[9, 11, 22], unpool_infer, LaneView::opaque)
        .says(says::STAY)
        .notes("not with a stated size"),
    OpRow::new("GlobalMaxPool", &[1, 22], global_infer, per_channel_lanes).says(says::CHANNELS),
];

/// Where padding goes when sizes decide it (`auto_pad`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As the `pads` attribute says.
    Explicit,
    /// Output size is input size divided by stride, rounded up; an odd rest goes after.
    SameUpper,
    /// The same, an odd rest goes before.
    SameLower,
    /// None.
    Valid,
}

/// A sliding window over the spatial axes.
#[derive(Clone, Debug)]
pub struct Window {
    /// Extents of the window.
    pub kernel: Vec<i64>,
    /// Steps.
    pub strides: Vec<i64>,
    /// Distances between taps.
    pub dilations: Vec<i64>,
    /// Padding before, for each axis, then after, for each axis.
    pub pads: Vec<i64>,
    /// Who decides the padding.
    pub padding: Padding,
    /// Whether output sizes are rounded up.
    pub ceil: bool,
}

impl Window {
    /// Reads a node's window; `rank` is the number of spatial axes, `kernel` the weight's extents where a weight has them.
    pub fn of(node: &Node, rank: usize, kernel: Option<Vec<i64>>) -> Option<Self> {
        let list = |name: &str, default: i64, n: usize| match node.ints(name) {
            Some(list) if !list.is_empty() => (list.len() == n).then(|| list.to_vec()),
            _ => Some(vec![default; n]),
        };
        let kernel = match node.ints("kernel_shape") {
            Some(kernel) if !kernel.is_empty() => kernel.to_vec(),
            _ => kernel?,
        };
        let padding = match node.text_or("auto_pad", "NOTSET").as_ref() {
            "NOTSET" | "" => Padding::Explicit,
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            "VALID" => Padding::Valid,
            _ => return None,
        };
        let window = Self {
            strides: list("strides", 1, rank)?,
            dilations: list("dilations", 1, rank)?,
            pads: if padding == Padding::Explicit { list("pads", 0, 2 * rank)? } else { vec![0; 2 * rank] },
            ceil: node.int_or("ceil_mode", 0) != 0,
            padding,
            kernel,
        };
        let positive = |list: &[i64]| list.iter().all(|&n| n > 0);
        let fits = window.kernel.len() == rank
            && positive(&window.kernel)
            && positive(&window.strides)
            && positive(&window.dilations);
        fits.then_some(window)
    }

    /// The window's extent with its gaps.
    fn reach(&self, axis: usize) -> Option<i64> {
        (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)
    }

    /// Padding before and after an axis of this size.
    pub fn pads_for(&self, axis: usize, size: i64) -> Option<(i64, i64)> {
        if matches!(self.padding, Padding::Explicit | Padding::Valid) {
            return Some((self.pads[axis], self.pads[axis + self.kernel.len()]));
        }
        let stride = self.strides[axis];
        let steps = size.checked_add(stride - 1)? / stride;
        let total = ((steps - 1).checked_mul(stride)?.checked_add(self.reach(axis)?)? - size).max(0);
        let less = total / 2;
        Some(match self.padding {
            Padding::SameLower => (total - less, less),
            _ => (less, total - less),
        })
    }

    /// The output size of an axis; `None` when the window does not fit.
    pub fn output_size(&self, axis: usize, size: i64) -> Option<i64> {
        let (before, after) = self.pads_for(axis, size)?;
        let room = size.checked_add(before)?.checked_add(after)?.checked_sub(self.reach(axis)?)?;
        if room < 0 {
            return None;
        }
        let stride = self.strides[axis];
        let steps = room / stride + i64::from(self.ceil && room % stride != 0);
        // A last window that would start in the padding after the input is dropped.
        let starts_outside = self.ceil && steps.checked_mul(stride)? >= size.checked_add(before)?;
        steps.checked_add(1 - i64::from(starts_outside))
    }

    /// The least size of an axis over which the window slides so many times.
    pub fn unpooled_size(&self, axis: usize, times: i64) -> Option<i64> {
        let steps = times.checked_sub(1)?.checked_mul(self.strides[axis])?;
        let whole = steps.checked_add(self.kernel[axis])?;
        whole.checked_sub(self.pads[axis])?.checked_sub(self.pads[axis + self.kernel.len()]).filter(|&size| size > 0)
    }

    /// Sizes of the spatial axes after sliding; unknown sizes stay themselves where the window keeps them.
    pub fn slide(&self, view: &mut InferView, sizes: &[Dim]) -> Result<Shape, Box<Refusal>> {
        let mut slid = Vec::with_capacity(sizes.len());
        for (axis, size) in sizes.iter().enumerate() {
            slid.push(match size.value() {
                Some(n) => Dim::known(self.output_size(axis, n).filter(|&n| n > 0).ok_or_else(|| {
                    view.contradiction(format!("a window of {} does not fit an axis of {n}", self.kernel[axis]))
                })?),
                None if self.keeps_size(axis) => size.clone(),
                None => view.fresh(),
            });
        }
        Ok(slid)
    }

    fn keeps_size(&self, axis: usize) -> bool {
        let padding = match self.padding {
            Padding::SameUpper | Padding::SameLower => return self.strides[axis] == 1,
            Padding::Explicit | Padding::Valid => self.pads[axis].checked_add(self.pads[axis + self.kernel.len()]),
        };
        self.strides[axis] == 1 && padding.zip(self.reach(axis)).is_some_and(|(padding, reach)| padding == reach - 1)
    }
}

fn pool_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    if shape.len() < 3 {
        return Err(view.contradiction(format!("pooling over a value with {} axes", shape.len())));
    }
    let window = Window::of(view.node, shape.len() - 2, None)
        .ok_or_else(|| view.contradiction("the window attributes do not fit the input's rank"))?;
    let slid = window.slide(view, &shape[2..])?;
    let pooled = Some([&shape[..2], slid.as_slice()].concat());
    let places = Fact { dtype: Some(DType::I64), shape: pooled.clone() };
    Ok(vec![Fact { dtype: view.dtype(0), shape: pooled }, places])
}

/// Sizes that a pooling of this window would have been given; other ones may be stated.
fn unpool_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    if view.node.input(2).is_some() {
        let stated = view.dims(2).filter(|sizes| sizes.len() == shape.len() && sizes.iter().all(Dim::is_size));
        let sizes = stated.unwrap_or_else(|| shape.iter().map(|_| view.fresh()).collect());
        return view.like_first(Some(sizes));
    }
    let window = shape.len().checked_sub(2).and_then(|axes| Window::of(view.node, axes, None));
    let window = window.ok_or_else(|| view.contradiction("the window attributes do not fit the input's rank"))?;
    let mut sizes = shape.clone();
    for (axis, size) in sizes[2..].iter_mut().enumerate() {
        *size = match size.value() {
            Some(n) => Dim::known(
                window
                    .unpooled_size(axis, n)
                    .ok_or_else(|| view.contradiction(format!("its padding leaves nothing of an axis of {n}")))?,
            ),
            None => view.fresh(),
        };
    }
    view.like_first(Some(sizes))
}

fn global_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = view.shape(0).map(|shape| {
        let mut shape = shape.to_vec();
        shape.iter_mut().skip(2).for_each(|size| *size = Dim::known(1));
        shape
    });
    view.like_first(shape)
}

/// Channels pass; space is slid over or reduced. The places of maxima are counted over all channels.
fn per_channel_lanes(view: &mut LaneView) {
    if view.node().output(1).is_some() {
        return LaneView::opaque(view);
    }
    let (Some(input), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    view.fix_from(&input, 2);
    for (to, from) in output.iter_mut().zip(input).take(2) {
        *to = from;
    }
    view.set(0, output);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: i64, stride: i64, pads: (i64, i64), ceil: bool) -> Window {
        Window {
            kernel: vec![kernel],
            strides: vec![stride],
            dilations: vec![1],
            pads: vec![pads.0, pads.1],
            padding: Padding::Explicit,
            ceil,
        }
    }

    #[test]
    fn sizes_follow_the_standard() {
        assert_eq!(window(3, 1, (1, 1), false).output_size(0, 32), Some(32));
        assert_eq!(window(3, 2, (1, 1), false).output_size(0, 32), Some(16));
        assert_eq!(window(3, 2, (0, 0), true).output_size(0, 112), Some(56));
        assert_eq!(window(3, 2, (0, 0), false).output_size(0, 112), Some(55));
        assert_eq!(window(5, 1, (0, 0), false).output_size(0, 4), None);
    }

    #[test]
    fn a_window_that_starts_in_the_padding_is_dropped() {
        assert_eq!(window(2, 2, (1, 1), true).output_size(0, 3), Some(2));
    }

    #[test]
    fn same_padding_puts_the_odd_rest_as_named() {
        let mut same = window(3, 2, (0, 0), false);
        same.padding = Padding::SameUpper;
        assert_eq!(same.pads_for(0, 32), Some((0, 1)));
        assert_eq!(same.output_size(0, 32), Some(16));
        same.padding = Padding::SameLower;
        assert_eq!(same.pads_for(0, 32), Some((1, 0)));
    }
}
