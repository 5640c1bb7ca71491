//! Pools over windows, and over all of space.
//!
//! Windows of the language have one or two axes; a pool over three is two pools, one after the other.

use super::shaping::product;
use super::{one, unsaid};
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window::{self, Window};

/// A pool without its window.
#[derive(Clone, Copy, Debug)]
struct Pool {
    word: &'static str,
    /// Whether a mean is that of what is no padding. Padding is never the largest, so a maximum does not say it.
    leaves_out_padding: bool,
}

pub(super) fn max_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    site.ignore("storage_order");
    if site.node.output.get(1).is_some_and(|name| !name.is_empty()) {
        return Err(unsaid("where the largest values were"));
    }
    let pool = Pool {
        word: "max_pool",
        leaves_out_padding: false,
    };
    one(Value::Flows(pool.apply(site)?))
}

pub(super) fn average_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let pool = Pool {
        word: "avg_pool",
        leaves_out_padding: !site.flag("count_include_pad")?,
    };
    one(Value::Flows(pool.apply(site)?))
}

impl Pool {
    fn apply(self, site: &mut Site<'_>) -> Result<Flowing, Why> {
        let flowing = site.flowing(0)?;
        let kernel = site.integers("kernel_shape")?.ok_or("it lacks its `kernel_shape`")?;
        let space = window::space(&flowing, kernel.len(), 3)?;
        let window = Window::read(site, None, &space)?;
        match *flowing.extents.as_slice() {
            [batch, channels, depth, height, width] => {
                self.over_volume(site, &flowing, &window, [batch, channels, depth, height, width])
            }
            _ => self.over_plane(site, &flowing, &window),
        }
    }

    /// Over one or two axes: one layer.
    fn over_plane(self, site: &mut Site<'_>, flowing: &Flowing, window: &Window) -> Result<Flowing, Why> {
        let space = window::space(flowing, window.kernel.len(), 2)?;
        let (flowing, lead) = window::sample(site, flowing, space.len())?;
        let mut call = Call::new(self.word, &[flowing.id]).with(Argument::per_axis(&window.kernel));
        if window.pads() && self.leaves_out_padding {
            call = call.named("count_padding", Argument::Word("false"));
        }
        call = window.describe(call, &space, &window.kernel)?;
        if window.has_last(&space)? {
            call = call.named("ceil", Argument::Word("true"));
        }
        let extents = [&flowing.extents[..2], &window.outputs(&space)?].concat();
        let result = site.call(call, lead.inside(extents))?;
        lead.restore(site, result)
    }

    /// Over three axes: over the last two of every slice, then over depth.
    ///
    /// What counts in a window (all of it, what is no padding, what is not beyond the padding) is settled for each axis
    /// by itself. So the count that a mean divides by is a product, and a mean of means is the mean.
    fn over_volume(
        self,
        site: &mut Site<'_>,
        flowing: &Flowing,
        window: &Window,
        [batch, channels, depth, height, width]: [usize; 5],
    ) -> Result<Flowing, Why> {
        let outputs = window.outputs(&[depth, height, width])?;
        let (along_depth, in_slice) = (window.over(0..1), window.over(1..3));
        let mut result = flowing.clone();
        if !in_slice.is_identity() {
            let slices = product(&[channels, depth])?;
            let flat = site.reshape_flow(&result, vec![batch, slices, height, width])?;
            result = self.over_plane(site, &flat, &in_slice)?;
        }
        if !along_depth.is_identity() {
            let positions = product(&outputs[1..])?;
            let flat = site.reshape_flow(&result, vec![batch, channels, depth, positions])?;
            result = self.over_plane(site, &flat, &along_depth.with_still_axis())?;
        }
        site.reshape_flow(&result, [&[batch, channels], outputs.as_slice()].concat())
    }
}

pub(super) fn global_average_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    one(Value::Flows(over_space(site, &flowing, "global_avg_pool", true)?))
}

pub(super) fn global_max_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    one(Value::Flows(over_space(site, &flowing, "global_max_pool", true)?))
}

/// One number for each channel. `keeps` axes of one in the place of space.
pub(super) fn over_space(
    site: &mut Site<'_>,
    flowing: &Flowing,
    word: &'static str,
    keeps: bool,
) -> Result<Flowing, Why> {
    let Some((outer, space)) = flowing
        .extents
        .split_first_chunk::<2>()
        .filter(|(_, space)| !space.is_empty())
    else {
        return Err("its input has no axes of space".to_owned());
    };
    let outer = outer.to_vec();
    let ones = vec![1; space.len()];
    // Where everything is one window, three axes and more are as good as one.
    let flat = match space.len() {
        1 | 2 => flowing.clone(),
        _ => site.reshape_flow(flowing, [outer.as_slice(), &[product(space)?]].concat())?,
    };
    let (flat, lead) = window::sample(site, &flat, flat.extents.len() - 2)?;
    let result = site.call(Call::new(word, &[flat.id]), lead.inside(outer.clone()))?;
    let result = lead.restore(site, result)?;
    if keeps {
        return site.reshape_flow(&result, [outer, ones].concat());
    }
    Ok(result)
}
