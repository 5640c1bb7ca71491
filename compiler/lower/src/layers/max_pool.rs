//! Maximum of a sliding window.

use netc_graph::NodeId;
use netc_graph::operators::max_pool::MaxPool;
use netc_graph::operators::window::Window;

use super::{CEIL, DILATION, KERNEL, Layer, PAD, Takes};
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

/// Poolings do not overlap unless told to.
pub(super) const STRIDE: Argument = Argument {
    name: "stride",
    kind: Kind::PerAxis(1),
    default: Default::As("kernel"),
    doc: "distance between neighboring windows",
};

pub(crate) const MAX_POOL: Layer = Layer {
    name: "max_pool",
    doc: "The largest value of each window, channel by channel; padding never wins.",
    shapes: "`[C, H, W] → [C, H', W']`, `[C, L] → [C, L']`",
    takes: Takes::One,
    arguments: &[KERNEL, STRIDE, PAD, DILATION, CEIL],
    example: "max_pool(3, stride = 2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let mut window = site.window(&space)?;
    if site.bound.is_true("ceil") {
        window = rounded_up(&window, &space);
        site.window = Some(window.clone());
    }
    site.unary(MaxPool { window })
}

/// The window with so much padding at the end that windows which start before the end are whole, too.
pub(super) fn rounded_up(window: &Window, space: &[usize]) -> Window {
    let after = |axis: usize| {
        let (extent, stride, reach) = (space[axis], window.stride[axis], window.extent(axis));
        let (before, after) = (window.pad_before[axis], window.pad_after[axis]);
        let padded = extent.saturating_add(before).saturating_add(after);
        let Some(room) = padded.checked_sub(reach) else {
            return after;
        };
        let mut last = room.div_ceil(stride).saturating_mul(stride);
        if last >= extent.saturating_add(before) {
            last = last.saturating_sub(stride);
        }
        last.saturating_add(reach)
            .saturating_sub(extent.saturating_add(before))
            .max(after)
    };
    let after: Vec<usize> = (0..space.len()).map(after).collect();
    window.clone().with_paddings(window.pad_before.clone(), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_rounded_up() {
        for (extent, kernel, stride, pad, expected) in [
            (4, 3, 2, 0, 2),
            (5, 2, 2, 0, 3),
            // A third window would start behind the end.
            (2, 1, 2, 0, 1),
            (4, 2, 3, 1, 2),
            (7, 3, 2, 1, 4),
            (13, 3, 2, 0, 6),
            (112, 3, 2, 0, 56),
        ] {
            let window = Window::new([kernel]).with_stride([stride]).with_padding([pad]);
            let window = rounded_up(&window, &[extent]);
            assert_eq!(
                window.output_extents(&[extent]),
                Ok(vec![expected]),
                "{extent} {kernel} {stride} {pad}"
            );
        }
    }
}
