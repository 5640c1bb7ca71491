//! Windows of convolutions and pools as ONNX describes them, and as the language does.

use std::ops::Range;

use crate::site::{Batch, Flowing, Site, Why};
use crate::sketch::{Argument, Call};

/// A window over the axes of space, every number settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) dilation: Vec<usize>,
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    /// Whether a last window that begins inside may end outside.
    pub(crate) rounds_up: bool,
}

/// The extents of space, which has at most so many axes: all but those of batch and channels.
pub(crate) fn space(flowing: &Flowing, axes: usize, most: usize) -> Result<Vec<usize>, Why> {
    if flowing.extents.len() != axes + 2 {
        return Err(format!(
            "its input has {} axes, and its window {axes}",
            flowing.extents.len()
        ));
    }
    if axes == 0 {
        return Err("its window is empty".to_owned());
    }
    if axes > most {
        return Err(format!(
            "its window has {axes} axes, and no more than {most} can be said"
        ));
    }
    Ok(flowing.extents[2..].to_vec())
}

/// Where the whole tensor is one sample, a window needs its leading axis of one out of the way.
pub(crate) struct Lead {
    is_dropped: bool,
}

/// The value as a layer with a window takes it: without the axis that ONNX has for the batch. Its extents keep that axis.
pub(crate) fn sample(site: &mut Site<'_>, flowing: &Flowing, axes: usize) -> Result<(Flowing, Lead), Why> {
    let drops = site.batch == Batch::None && flowing.extents.len() == axes + 2;
    if !drops {
        return Ok((flowing.clone(), Lead { is_dropped: false }));
    }
    if flowing.extents[0] != 1 {
        return Err("it has a batch, where the whole tensor is one sample".to_owned());
    }
    let inner = site.reshape_flow(flowing, flowing.extents[1..].to_vec())?;
    let flowing = Flowing {
        id: inner.id,
        extents: flowing.extents.clone(),
    };
    Ok((flowing, Lead { is_dropped: true }))
}

impl Lead {
    /// The extents of a call's result: those that ONNX has, without the axis that is out of the way.
    pub(crate) fn inside(&self, mut extents: Vec<usize>) -> Vec<usize> {
        if self.is_dropped {
            extents.remove(0);
        }
        extents
    }

    /// The result with the axis back in its place.
    pub(crate) fn restore(&self, site: &mut Site<'_>, result: Flowing) -> Result<Flowing, Why> {
        if self.is_dropped {
            let extents = [&[1], result.extents.as_slice()].concat();
            return site.reshape_flow(&result, extents);
        }
        Ok(result)
    }
}

impl Window {
    /// Reads the attributes. A convolution's kernel is that of its weights.
    pub(crate) fn read(site: &Site<'_>, weights: Option<&[usize]>, space: &[usize]) -> Result<Self, Why> {
        let axes = space.len();
        let kernel = match (weights, site.integers("kernel_shape")?) {
            (Some(kernel), None) => kernel.to_vec(),
            (Some(kernel), Some(_)) => {
                let said = site.per_axis("kernel_shape", axes, 1, 1)?;
                if said != kernel {
                    return Err(format!("its `kernel_shape` {said:?} is not that of its weights"));
                }
                said
            }
            (None, None) => return Err("it lacks its `kernel_shape`".to_owned()),
            (None, Some(_)) => site.per_axis("kernel_shape", axes, 1, 1)?,
        };
        let mut window = Self::plain(site, &kernel, axes)?;
        window.rounds_up = weights.is_none() && site.flag("ceil_mode")?;
        match site.text("auto_pad", "NOTSET")? {
            "NOTSET" => {}
            "VALID" => {
                window.before = vec![0; axes];
                window.after = vec![0; axes];
            }
            "SAME_UPPER" => window.pad_same(space, false),
            "SAME_LOWER" => window.pad_same(space, true),
            other => return Err(format!("its `auto_pad` {} is unknown", crate::error::quoted(other))),
        }
        Ok(window)
    }

    /// Stride, dilation and padding as given.
    fn plain(site: &Site<'_>, kernel: &[usize], axes: usize) -> Result<Self, Why> {
        if kernel.len() != axes || kernel.contains(&0) {
            return Err("its window is empty".to_owned());
        }
        let pads = site.per_axis("pads", 2 * axes, 0, 0)?;
        let (before, after) = pads.split_at(axes);
        Ok(Self {
            kernel: kernel.to_vec(),
            stride: site.per_axis("strides", axes, 1, 1)?,
            dilation: site.per_axis("dilations", axes, 1, 1)?,
            before: before.to_vec(),
            after: after.to_vec(),
            rounds_up: false,
        })
    }

    /// Pads so that there are as many windows as strides; what does not split evenly goes to the end, or to the start.
    fn pad_same(&mut self, space: &[usize], is_lower: bool) {
        for (axis, &extent) in space.iter().enumerate() {
            let outputs = extent.div_ceil(self.stride[axis]);
            let spanned = (outputs - 1)
                .saturating_mul(self.stride[axis])
                .saturating_add(self.extent(axis));
            let total = spanned.saturating_sub(extent);
            let (less, more) = (total / 2, total - total / 2);
            (self.before[axis], self.after[axis]) = if is_lower { (more, less) } else { (less, more) };
        }
    }

    /// The window over some of its axes.
    pub(crate) fn over(&self, axes: Range<usize>) -> Self {
        Self {
            kernel: self.kernel[axes.clone()].to_vec(),
            stride: self.stride[axes.clone()].to_vec(),
            dilation: self.dilation[axes.clone()].to_vec(),
            before: self.before[axes.clone()].to_vec(),
            after: self.after[axes].to_vec(),
            rounds_up: self.rounds_up,
        }
    }

    /// The window with one more axis, along which it is every single position.
    pub(crate) fn with_still_axis(mut self) -> Self {
        let ones = [&mut self.kernel, &mut self.stride, &mut self.dilation];
        ones.into_iter().for_each(|numbers| numbers.push(1));
        let zeros = [&mut self.before, &mut self.after];
        zeros.into_iter().for_each(|numbers| numbers.push(0));
        self
    }

    /// Whether there is a window for each position, which is all of it.
    pub(crate) fn is_identity(&self) -> bool {
        let ones = self.kernel.iter().chain(&self.stride);
        ones.copied().all(|number| number == 1) && !self.pads()
    }

    /// Positions that one window spans.
    fn extent(&self, axis: usize) -> usize {
        self.dilation[axis]
            .saturating_mul(self.kernel[axis] - 1)
            .saturating_add(1)
    }

    /// How many windows there are along each axis.
    pub(crate) fn outputs(&self, space: &[usize]) -> Result<Vec<usize>, Why> {
        space
            .iter()
            .enumerate()
            .map(|(axis, &extent)| {
                let padded = extent
                    .saturating_add(self.before[axis])
                    .saturating_add(self.after[axis]);
                let room = padded
                    .checked_sub(self.extent(axis))
                    .ok_or_else(|| format!("its window is larger than its input {space:?}"))?;
                let stride = self.stride[axis];
                let down = room / stride + 1;
                // A window that would begin in the padding at the end is none.
                let up = room.div_ceil(stride) + 1;
                let begins_inside = (up - 1).saturating_mul(stride) < extent.saturating_add(self.before[axis]);
                Ok(if self.rounds_up && begins_inside { up } else { down })
            })
            .collect()
    }

    /// Whether rounding up makes a window more.
    pub(crate) fn has_last(&self, space: &[usize]) -> Result<bool, Why> {
        let down = Self {
            rounds_up: false,
            ..self.clone()
        };
        Ok(self.outputs(space)? != down.outputs(space)?)
    }

    /// What is added on each side: a number for each axis, or two where they differ.
    fn padding(&self) -> Argument {
        if self.before == self.after {
            return Argument::per_axis(&self.before);
        }
        let sides = self.before.iter().zip(&self.after);
        Argument::List(
            sides
                .map(|(&before, &after)| Argument::list(&[before, after]))
                .collect(),
        )
    }

    /// Whether there is any padding.
    pub(crate) fn pads(&self) -> bool {
        self.before.iter().chain(&self.after).any(|&pad| pad > 0)
    }

    /// Adds stride, padding and dilation to a call; `stride` holds without it.
    pub(crate) fn describe(&self, call: Call, space: &[usize], stride: &[usize]) -> Result<Call, Why> {
        let mut call = call;
        if self.stride != stride {
            call = call.named("stride", Argument::per_axis(&self.stride));
        }
        let mut same = self.clone();
        same.pad_same(space, false);
        if self.before != self.after && *self == same {
            call = call.named("pad", Argument::Word("same"));
        } else if self.pads() {
            call = call.named("pad", self.padding());
        }
        let dilation = Argument::per_axis(&self.dilation);
        Ok(call.unless_default("dilation", dilation, &Argument::Integer(1)))
    }
}

/// A transposed convolution: what is taken away from the whole result, and what is added to its end.
pub(crate) struct Transposed {
    pub(crate) window: Window,
    pub(crate) added: Vec<usize>,
}

impl Transposed {
    /// Reads the attributes; extents of the result may be given in place of padding.
    pub(crate) fn read(site: &Site<'_>, kernel: &[usize], space: &[usize]) -> Result<Self, Why> {
        let axes = space.len();
        // Its own meaning of `auto_pad` is settled below.
        let mut window = Window::plain(site, kernel, axes)?;
        let mut added = site.per_axis("output_padding", axes, 0, 0)?;
        let auto = site.text("auto_pad", "NOTSET")?;
        let is_same = matches!(auto, "SAME_UPPER" | "SAME_LOWER");
        let given = match site.integers("output_shape")? {
            Some(_) => Some(site.per_axis("output_shape", axes, 1, 1)?),
            None if is_same => Some(
                (0..axes)
                    .map(|axis| space[axis].saturating_mul(window.stride[axis]))
                    .collect(),
            ),
            None => None,
        };
        for axis in 0..axes {
            let whole = Self::whole(&window, axis, space[axis]).saturating_add(added[axis]);
            if let Some(wanted) = given.as_ref().map(|given: &Vec<usize>| given[axis]) {
                let total = whole.saturating_sub(wanted);
                added[axis] += wanted.saturating_sub(whole);
                let (less, more) = (total / 2, total - total / 2);
                let is_upper = auto == "SAME_UPPER";
                (window.before[axis], window.after[axis]) = if is_upper { (less, more) } else { (more, less) };
            }
        }
        Ok(Self { window, added })
    }

    fn whole(window: &Window, axis: usize, extent: usize) -> usize {
        (extent - 1)
            .saturating_mul(window.stride[axis])
            .saturating_add(window.extent(axis))
    }

    /// Extents of the result.
    pub(crate) fn outputs(&self, space: &[usize]) -> Result<Vec<usize>, Why> {
        let along = |(axis, &extent): (usize, &usize)| {
            let whole = Self::whole(&self.window, axis, extent).saturating_add(self.added[axis]);
            let left = whole.checked_sub(self.window.before[axis].saturating_add(self.window.after[axis]));
            left.filter(|&extent| extent > 0)
                .ok_or_else(|| "its padding leaves nothing".to_owned())
        };
        space.iter().enumerate().map(along).collect()
    }

    /// Adds the arguments to a call.
    pub(crate) fn describe(&self, call: Call) -> Call {
        let one = Argument::Integer(1);
        let mut call = call.unless_default("stride", Argument::per_axis(&self.window.stride), &one);
        if self.window.pads() {
            call = call.named("pad", self.window.padding());
        }
        call.unless_default("output_pad", Argument::per_axis(&self.added), &Argument::Integer(0))
            .unless_default("dilation", Argument::per_axis(&self.window.dilation), &one)
    }
}
