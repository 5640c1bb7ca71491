//! Where a shape comes from: the steps that a value took, and the sentence that tells it.
//!
//! "`3x3` is what `avg_pool(2)` on line 6 leaves of `6x6`" turns a shape error from a riddle into a place to look at.

use netc_diagnostics::{Sources, Span, shorten};
use netc_graph::operators::window::Window;
use netc_runtime::Shape;

use crate::value::grouped;

/// One input or layer, with what it did to the shape.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// As written, shortened: `avg_pool(2)`, `input image`.
    pub(crate) text: String,
    /// Name of the layer or input.
    pub(crate) name: String,
    pub(crate) span: Span,
    /// The step of the first value it took; none for an input.
    pub(crate) from: Option<usize>,
    /// Shape of the first value it took; empty for an input.
    pub(crate) before: Shape,
    pub(crate) after: Shape,
    /// The window that slid, if one did.
    pub(crate) window: Option<Window>,
}

/// Which part of a shape is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// All but the channels.
    Space,
    /// The channels.
    Channels,
}

impl Part {
    /// That part of a shape.
    pub(crate) fn of(self, shape: &Shape) -> Shape {
        let extents = shape.extents();
        let part = match self {
            Self::Whole => extents,
            Self::Space => extents.get(1..).unwrap_or_default(),
            Self::Channels => extents.get(..1).unwrap_or_default(),
        };
        Shape::from(part)
    }

    fn show(self, shape: &Shape) -> String {
        match (self, self.of(shape).extents()) {
            (Self::Channels, [1]) => "1 channel".to_owned(),
            (Self::Channels, [channels]) => format!("{} channels", grouped(*channels as i64)),
            (Self::Space, [length]) => format!("a length of {}", grouped(*length as i64)),
            (_, extents) => Shape::from(extents).to_string(),
        }
    }
}

/// All steps so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    steps: Vec<Step>,
}

impl Trace {
    /// Adds a step and tells its index.
    pub(crate) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// The last step, from this one back, that changed that part of the shape.
    pub(crate) fn culprit(&self, mut index: usize, part: Part) -> &Step {
        loop {
            let step = &self.steps[index];
            match step.from {
                Some(from) if part.of(&step.before) == part.of(&step.after) => index = from,
                _ => return step,
            }
        }
    }

    /// ``3x3 is what `avg_pool(2)` on line 6 leaves of 6x6: (6 − 2)/2 + 1 = 3``.
    pub(crate) fn why(&self, index: usize, part: Part, sources: &Sources, near: Span) -> String {
        let step = self.culprit(index, part);
        let verb = if part == Part::Channels && part.of(&step.after) != Shape::from([1]) {
            "are"
        } else {
            "is"
        };
        let what = format!("{} {verb} what", part.show(&step.after));
        let mut place = place(sources, step.span, near);
        // In a block, or in an earlier round of a `repeat`, the line alone does not say which layer it was.
        if step.name.contains('.') || step.span == near {
            place = format!("{place} (`{}`)", step.name);
        }
        if step.from.is_none() {
            return format!("{what} `{}` {place} declares", step.text);
        }
        let before = part.show(&step.before);
        match (&step.window, part) {
            (Some(window), Part::Space) => {
                let arithmetic = window_arithmetic(window, &step.before, &step.after);
                format!("{what} `{}` {place} leaves of {before}: {arithmetic}", step.text)
            }
            (_, Part::Channels) => format!("{what} `{}` {place} makes", step.text),
            _ => format!("{what} `{}` {place} makes of {before}", step.text),
        }
    }
}

/// `on line 6`, or `on line 6 of blocks.net` if that is another file than `near`'s.
pub(crate) fn place(sources: &Sources, span: Span, near: Span) -> String {
    let line = sources.line_of(span).unwrap_or(0);
    match sources.name(span.file) {
        Some(name) if span.file != near.file => format!("on line {line} of {name}"),
        _ => format!("on line {line}"),
    }
}

/// The source under a span on one line, shortened: how a message names a call.
pub(crate) fn quote(sources: &Sources, span: Span) -> String {
    const LONGEST: usize = 48;
    let text = sources.slice(span).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    shorten(&words.join(" "), LONGEST)
}

/// `(224 + 2·2 − 11)/4 + 1 = 55`, for each spatial axis whose numbers differ from those before.
fn window_arithmetic(window: &Window, before: &Shape, after: &Shape) -> String {
    let mut lines: Vec<String> = Vec::new();
    let (before, after) = (Part::Space.of(before), Part::Space.of(after));
    for (axis, (&input, &output)) in before.extents().iter().zip(after.extents()).enumerate() {
        let line = extent_arithmetic(window, axis, input, output);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join(", ")
}

fn extent_arithmetic(window: &Window, axis: usize, input: usize, output: usize) -> String {
    let stride = window.stride[axis];
    let inner = format!("{input}{} − {}", padding_text(window, axis), window_text(window, axis));
    let padded = input + window.pad_before[axis] + window.pad_after[axis];
    let is_exact = (padded.saturating_sub(window.extent(axis))).is_multiple_of(stride);
    match (stride, is_exact) {
        (1, _) => format!("{inner} + 1 = {output}"),
        (_, true) => format!("({inner})/{stride} + 1 = {output}"),
        (_, false) => format!("⌊({inner})/{stride}⌋ + 1 = {output}"),
    }
}

/// ` + 2·3`, ` + 1 + 2` or nothing.
pub(crate) fn padding_text(window: &Window, axis: usize) -> String {
    match (window.pad_before[axis], window.pad_after[axis]) {
        (0, 0) => String::new(),
        (before, after) if before == after => format!(" + 2·{before}"),
        (before, after) => format!(" + {before} + {after}"),
    }
}

/// `5`, or `(4·(5 − 1) + 1)` where taps are apart.
fn window_text(window: &Window, axis: usize) -> String {
    match (window.kernel[axis], window.dilation[axis]) {
        (kernel, 1) | (kernel @ 1, _) => kernel.to_string(),
        (kernel, dilation) => format!("({dilation}·({kernel} − 1) + 1)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_reads_like_the_papers() {
        let window = Window::new([11, 11]).with_stride([4, 4]).with_padding([2, 2]);
        let text = |window: &Window, before: [usize; 3], after: [usize; 3]| {
            window_arithmetic(window, &Shape::from(before), &Shape::from(after))
        };
        assert_eq!(
            text(&window, [3, 224, 224], [64, 55, 55]),
            "⌊(224 + 2·2 − 11)/4⌋ + 1 = 55"
        );
        assert_eq!(
            text(&window, [3, 223, 227], [64, 55, 56]),
            "(223 + 2·2 − 11)/4 + 1 = 55, (227 + 2·2 − 11)/4 + 1 = 56"
        );
        let dilated = Window::new([3, 3]).with_dilation([4, 4]).with_paddings([0, 0], [1, 1]);
        assert_eq!(
            text(&dilated, [1, 28, 28], [1, 21, 21]),
            "28 + 0 + 1 − (4·(3 − 1) + 1) + 1 = 21"
        );
    }
}
