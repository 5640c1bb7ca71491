//! Pools over windows, and over all of space.

use super::{one, unsaid};
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window::{self, Window};

/// The value as a window takes it, its window, and how many windows there are.
struct Pooling {
    flowing: Flowing,
    lead: window::Lead,
    space: Vec<usize>,
    window: Window,
}

fn pooling(site: &mut Site<'_>) -> Result<Pooling, Why> {
    let flowing = site.flowing(0)?;
    let axes = site
        .integers("kernel_shape")?
        .ok_or("it lacks its `kernel_shape`")?
        .len();
    let (flowing, lead) = window::sample(site, &flowing, axes)?;
    let space = window::space(&flowing, axes)?;
    let window = Window::read(site, None, &space)?;
    Ok(Pooling {
        flowing,
        lead,
        space,
        window,
    })
}

impl Pooling {
    fn finish(self, site: &mut Site<'_>, call: Call) -> Result<Vec<Value>, Why> {
        let mut call = self.window.describe(call, &self.space, &self.window.kernel)?;
        if self.window.has_last(&self.space)? {
            call = call.named("ceil", Argument::Word("true"));
        }
        let extents = [&self.flowing.extents[..2], &self.window.outputs(&self.space)?].concat();
        let result = site.call(call, self.lead.inside(extents))?;
        one(Value::Flows(self.lead.restore(site, result)?))
    }
}

pub(super) fn max_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    site.ignore("storage_order");
    if site.node.output.get(1).is_some_and(|name| !name.is_empty()) {
        return Err(unsaid("where the largest values were"));
    }
    let pooling = pooling(site)?;
    let call = Call::new("max_pool", &[pooling.flowing.id]).with(Argument::per_axis(&pooling.window.kernel));
    pooling.finish(site, call)
}

pub(super) fn average_pool(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let counts = site.flag("count_include_pad")?;
    let pooling = pooling(site)?;
    let mut call = Call::new("avg_pool", &[pooling.flowing.id]).with(Argument::per_axis(&pooling.window.kernel));
    if pooling.window.pads() && !counts {
        call = call.named("count_padding", Argument::Word("false"));
    }
    pooling.finish(site, call)
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
    let axes = flowing.extents.len().saturating_sub(2);
    if !(1..=2).contains(&axes) {
        return Err(format!("space has one or two axes here, and its has {axes}"));
    }
    let (flowing, lead) = window::sample(site, flowing, axes)?;
    let outer = flowing.extents[..2].to_vec();
    let result = site.call(Call::new(word, &[flowing.id]), lead.inside(outer.clone()))?;
    let result = lead.restore(site, result)?;
    if keeps {
        return site.reshape_flow(&result, [outer, vec![1; axes]].concat());
    }
    Ok(result)
}
