//! What the gate feeds a network: sizes that it may take, and how many runs it can afford.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use certify::agreement::twin::{Feed, Range};
use import::graph::{Dim, Graph, Symbol, ValueId};

/// Rows and columns to try where a network leaves its sides open; the first two that it takes are probed, so that what
/// depends on sizes is seen at more than one.
const OPEN_SIDES: [(usize, usize); 8] =
    [(64, 64), (64, 96), (32, 32), (224, 224), (28, 28), (128, 128), (256, 256), (416, 416)];
/// Samples in one run where a network takes any batch, and can be run often.
const OPEN_BATCH: usize = 2;
/// Sides are not halved below this.
const SMALLEST_SIDE: usize = 16;

/// Sides to try where a network leaves one open, the likeliest first.
pub(super) fn sides() -> impl Iterator<Item = usize> {
    OPEN_SIDES.into_iter().filter(|(rows, columns)| rows == columns).map(|(rows, _)| rows)
}

/// Sizes to feed, and how often.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    /// Sizes to try, the likeliest first.
    pub(super) sizes: Vec<Vec<Feed>>,
    /// How many of them are probed.
    pub(super) wanted: usize,
    /// Ranges, and the runs of each.
    pub(super) ranges: Vec<(Range, usize)>,
}

impl Probes {
    /// What to feed where there is plenty of everything.
    ///
    /// # Errors
    /// When an input does not say how many axes it has.
    pub(super) fn many(graph: &Graph) -> Result<Self> {
        Self::of(graph, OPEN_BATCH, 2)
    }

    /// One sample of each range.
    ///
    /// # Errors
    /// As [`Probes::many`].
    pub(super) fn few(graph: &Graph) -> Result<Self> {
        Self::of(graph, 1, 1)
    }

    fn of(graph: &Graph, batch: usize, normal: usize) -> Result<Self> {
        let mut sizes: Vec<Vec<Feed>> = Vec::new();
        for sides in OPEN_SIDES {
            let feeds = feeds(graph, batch, sides)?;
            if !sizes.contains(&feeds) {
                sizes.push(feeds);
            }
        }
        let wanted = sizes.len().min(2);
        Ok(Self { sizes, wanted, ranges: vec![(Range::Normal, normal), (Range::Unit, 1), (Range::Bytes, 1)] })
    }

    /// Runs of each file.
    pub(super) fn runs(&self) -> usize {
        self.ranges.iter().map(|(_, count)| count).sum::<usize>() + (self.wanted - 1) * self.ranges.len()
    }

    /// Samples of one run.
    pub(super) fn samples(&self) -> usize {
        self.sizes.first().and_then(|feeds| feeds.first()?.shape.first()).copied().unwrap_or(1)
    }

    /// The same at half the sides, and the share of elements that is left; `None` where sides are open, or small.
    pub(super) fn halved(&self, sides: Sides) -> Option<(Self, f64)> {
        let [feeds] = self.sizes.as_slice() else { return None };
        let mut feeds = feeds.clone();
        let mut share = 1.0;
        for (position, feed) in feeds.iter_mut().enumerate() {
            let rank = feed.shape.len();
            for size in
                feed.shape.iter_mut().enumerate().filter(|(axis, _)| sides.has(*axis, rank)).map(|(_, size)| size)
            {
                if *size / 2 < SMALLEST_SIDE {
                    return None;
                }
                share *= if position == 0 { (*size / 2) as f64 / *size as f64 } else { 1.0 };
                *size /= 2;
            }
        }
        (share < 1.0).then(|| (Self { sizes: vec![feeds], ..self.clone() }, share))
    }
}

/// Which axes of an input are sides of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// All behind the channels.
    ChannelsFirst,
    /// All before the channels.
    ChannelsLast,
}

impl Sides {
    fn has(self, axis: usize, rank: usize) -> bool {
        match self {
            Self::ChannelsFirst => axis >= 2,
            Self::ChannelsLast => axis >= 1 && axis + 1 < rank,
        }
    }
}

fn feeds(graph: &Graph, batch: usize, sides: (usize, usize)) -> Result<Vec<Feed>> {
    let mut chosen = HashMap::new();
    graph.inputs.iter().map(|&input| feed(graph, input, batch, sides, &mut chosen)).collect()
}

/// One input at its declared sizes, open ones filled in; a symbol has one size wherever it stands.
fn feed(
    graph: &Graph,
    input: ValueId,
    batch: usize,
    (rows, columns): (usize, usize),
    chosen: &mut HashMap<Vec<Symbol>, usize>,
) -> Result<Feed> {
    let value = graph.value(input);
    let shape = value.shape.as_ref().ok_or_else(|| {
        anyhow!("the model does not say how many axes its input `{}` has; export it with a shape", value.name)
    })?;
    let samples = graph.batch_axis(input);
    let last = shape.len().saturating_sub(1);
    let mut size = |(axis, dim): (usize, &Dim)| {
        let usual = match axis {
            _ if samples == Some(axis) => batch,
            _ if axis == last => columns,
            _ => rows,
        };
        dim.extent().unwrap_or_else(|| *chosen.entry(dim.symbols().to_vec()).or_insert(usual))
    };
    Ok(Feed { name: value.name.clone(), shape: shape.iter().enumerate().map(&mut size).collect() })
}
