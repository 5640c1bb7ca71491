//! Shape errors in words: what the layer sees, why, the arithmetic, and a way out.

mod windows;

use netc_diagnostics::{Diagnostic, Span};
use netc_graph::ShapeError;
use netc_runtime::Shape;

use crate::codes;
use crate::site::{Failed, Site};
use crate::trace::{Part, place};
use crate::value::grouped;
use windows::{small_input, wide_dilation, wide_padding};

/// The message for what an operator's shape rule says. Variants that the tables of arguments rule out are our bugs.
pub(crate) fn shape_error(site: &Site<'_>, error: &ShapeError) -> Failed {
    match error {
        ShapeError::Window { axis, padding, .. } => small_input(site, *axis, *padding).into(),
        ShapeError::PaddingTooWide { axis, padding, window } => wide_padding(site, *axis, *padding, *window).into(),
        ShapeError::DilationTooWide { axis, extent, dilation } => wide_dilation(site, *axis, *extent, *dilation).into(),
        ShapeError::Rank { expected, .. } => wrong_rank(site, expected).into(),
        ShapeError::Slice { start, end, extent } => slice(site, *start, *end, *extent).into(),
        ShapeError::ElementCount { from, to } => Failed::from(element_count(site, *from, to)).guess(to.clone()),
        ShapeError::TooLarge { shape, limit } => too_large(site, "a value", shape, *limit).into(),
        ShapeError::Groups {
            which,
            channels,
            groups,
        } => groups_message(site, which, *channels, *groups).into(),
        ShapeError::Mismatch { left, .. } => shapes_differ(site, left, 1.min(site.inputs.len() - 1)).into(),
        ShapeError::Axis { axis, .. } => self::axis(site, "axis", *axis, &site.shape(0)).into(),
        ShapeError::Range { attribute, expected } => {
            let message = format!("`{attribute}` of `{}` must be {expected}", site.layer.name);
            Diagnostic::error(codes::OUT_OF_RANGE, message)
                .at(site.bound.span(attribute), "out of range")
                .into()
        }
        ShapeError::InputCount { .. }
        | ShapeError::DType { .. }
        | ShapeError::Elements { .. }
        | ShapeError::ChannelCount { .. }
        | ShapeError::Batch { .. }
        | ShapeError::AxisCount { .. }
        | ShapeError::Zero { .. }
        | ShapeError::Empty { .. } => {
            panic!(
                "`{}` was expanded to what its operator does not take: {error}",
                site.layer.name
            )
        }
    }
}

/// A value with another number of axes than the layer takes.
pub(crate) fn wrong_rank(site: &Site<'_>, expected: &str) -> Diagnostic {
    let shape = site.shape(0);
    let diagnostic = Diagnostic::error(
        codes::WRONG_RANK,
        format!("`{}` takes {expected}, found {shape}", site.name),
    )
    .at(site.span, format!("sees {shape}"))
    .note(site.why(0, Part::Whole));
    let culprit = site.trace.culprit(site.inputs[0].0.step, Part::Whole);
    let line = place(site.sources, culprit.span, site.span);
    match (shape.rank(), culprit.from) {
        (1, Some(_)) if culprit.text.starts_with("flatten") => {
            diagnostic.hint(format!("move `{}` before the `flatten` {line}", site.layer.name))
        }
        (1, Some(_)) => diagnostic.hint("give it axes again with `|> reshape(channels, height, width)`"),
        (_, None) => diagnostic.hint("declare the input with channels first: `f32[1, 28, 28]` or `f32[1, 360]`"),
        _ => diagnostic.hint("give it other axes with `|> reshape(…)`"),
    }
}

/// A list of numbers, one for each axis, of another length than there are axes.
pub(crate) fn axis_count(name: &str, found: usize, axes: usize, span: Span) -> Diagnostic {
    let (numbers, noun) = (plural(found, "number"), plural(axes, "spatial axis"));
    let diagnostic = Diagnostic::error(codes::AXIS_COUNT, format!("`{name}` has {numbers} for {noun}"))
        .at(span, format!("needs {}", plural(axes, "number")));
    diagnostic.hint(match axes {
        1 => "the input is one-dimensional, [C, L]: write one number".to_owned(),
        _ => "the input is two-dimensional, [C, H, W]: write `[rows, columns]`, or one number for both".to_owned(),
    })
}

fn plural(count: usize, noun: &str) -> String {
    match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (count, "spatial axis") => format!("{count} spatial axes"),
        (count, noun) => format!("{count} {noun}s"),
    }
}

/// An axis that the value does not have.
pub(crate) fn axis(site: &Site<'_>, argument: &str, axis: usize, shape: &Shape) -> Diagnostic {
    let rank = shape.rank();
    Diagnostic::error(codes::AXIS, format!("`{}` has no axis {axis}", site.name))
        .at(
            site.bound.span(argument),
            format!(
                "{shape} has {}",
                if rank == 1 {
                    "one axis".to_owned()
                } else {
                    format!("{rank} axes")
                }
            ),
        )
        .note(site.why(0, Part::Whole))
        .hint(match rank {
            1 => "the only axis is 0".to_owned(),
            _ => format!("axes count from 0, channels first: {} is the last", rank - 1),
        })
}

fn slice(site: &Site<'_>, start: usize, end: usize, extent: usize) -> Diagnostic {
    let (what, span) = match (start < end, end <= extent) {
        (false, _) => (
            format!("`{}` takes nothing: {start} is not before {end}", site.name),
            site.bound.span("end"),
        ),
        (true, _) => (
            format!("`{}` reaches past the end: {end} of {extent}", site.name),
            site.bound.span("end"),
        ),
    };
    let axis = site.bound.integer("axis");
    let part = if axis == 0 { Part::Channels } else { Part::Whole };
    Diagnostic::error(codes::SLICE, what)
        .at(
            span,
            format!("axis {axis} has {extent} positions, 0 to {}", extent.saturating_sub(1)),
        )
        .note(site.why(0, part))
        .hint(format!(
            "`slice(start, end)` takes start, start + 1, … end − 1; write an end of at most {extent} above the start"
        ))
}

fn element_count(site: &Site<'_>, from: usize, to: &Shape) -> Diagnostic {
    let shape = site.shape(0);
    let product = |shape: &Shape| {
        shape
            .extents()
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join("·")
    };
    let count = |shape: &Shape| match shape.rank() {
        1 => grouped(shape.element_count() as i128),
        _ => format!("{} = {}", product(shape), grouped(shape.element_count() as i128)),
    };
    let diagnostic = Diagnostic::error(
        codes::ELEMENT_COUNT,
        format!(
            "`{}` cannot make {to} of {shape}: {} elements for {}",
            site.name,
            grouped(from as i128),
            grouped(to.element_count() as i128)
        ),
    )
    .at(site.span, format!("{} elements needed", count(to)))
    .note(format!("{}, {} elements", site.why(0, Part::Whole), count(&shape)));
    // Most often one number is off: say which would fit.
    let extents = to.extents();
    let rest: usize = extents
        .iter()
        .skip(1)
        .fold(1, |product, &extent| product.saturating_mul(extent));
    if rest > 0 && from.is_multiple_of(rest) && extents.len() > 1 {
        let mut fitting = extents.to_vec();
        fitting[0] = from / rest;
        let numbers: Vec<String> = fitting.iter().map(usize::to_string).collect();
        return diagnostic.hint(format!("`reshape({})` would fit", numbers.join(", ")));
    }
    diagnostic.hint("the numbers of `reshape` must multiply to the number of elements there are")
}

/// `what` is `a value` or `the weight`.
pub(crate) fn too_large(site: &Site<'_>, what: &str, shape: &Shape, limit: usize) -> Diagnostic {
    let count = match shape.element_count() {
        usize::MAX => "more than 2⁶⁴".to_owned(),
        count => grouped(count as i128),
    };
    let diagnostic = Diagnostic::error(
        codes::TOO_MANY_ELEMENTS,
        format!("{what} of `{}` would have {count} elements", site.name),
    )
    .at(site.span, format!("{shape} is too large"))
    .note(format!(
        "one value, and one weight, has at most {} elements",
        grouped(limit as i128)
    ));
    // A `parameter` takes no value that its shape could come from.
    if site.inputs.is_empty() {
        return diagnostic.hint("lower its extents; where an extent is 1 or missing, the value is repeated");
    }
    diagnostic
        .note(site.why(0, Part::Whole))
        .hint("lower the number of channels or units, or shrink the input first with a stride or a pooling")
}

/// Channels that cannot be split evenly.
pub(crate) fn groups_message(site: &Site<'_>, which: &str, channels: usize, groups: usize) -> Diagnostic {
    let divisors = divisors_near(channels, groups);
    let list: Vec<String> = divisors.iter().map(usize::to_string).collect();
    let diagnostic = Diagnostic::error(
        codes::GROUPS,
        format!(
            "`{}` cannot split {channels} {which} {} into {groups} groups",
            site.name,
            if channels == 1 { "channel" } else { "channels" }
        ),
    )
    .at(
        site.bound.span("groups"),
        format!("{channels} = {}·{groups} + {}", channels / groups, channels % groups),
    );
    let diagnostic = if which == "input" {
        diagnostic.note(site.why(0, Part::Channels))
    } else {
        diagnostic
    };
    let next = channels.div_ceil(groups).saturating_mul(groups);
    diagnostic.hint(match which {
        _ if channels == 1 => "one channel cannot be split: leave `groups` out".to_owned(),
        "output" => format!(
            "{channels} channels split into {} groups; or make it {next} channels",
            or_list(&list)
        ),
        _ => format!("{channels} channels split into {} groups", or_list(&list)),
    })
}

fn or_list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Divisors of `number` around `near`: at most two below and two above, in order.
fn divisors_near(number: usize, near: usize) -> Vec<usize> {
    // Numbers are at most 2³¹, so the square root is below 46 341.
    let mut divisors: Vec<usize> = (1..=number.isqrt()).filter(|&d| number.is_multiple_of(d)).collect();
    let larger: Vec<usize> = divisors.iter().rev().map(|d| number / d).collect();
    divisors.extend(larger);
    divisors.dedup();
    let split = divisors.partition_point(|&d| d < near);
    divisors[split.saturating_sub(2)..(split + 2).min(divisors.len())].to_vec()
}

/// A list of sides of another length than the value has axes.
pub(crate) fn side_count(site: &Site<'_>, found: usize, shape: &Shape) -> Diagnostic {
    Diagnostic::error(
        codes::AXIS_COUNT,
        format!(
            "`sides` has {} for {}",
            plural(found, "pair"),
            plural_axes(shape.rank())
        ),
    )
    .at(
        site.bound.span("sides"),
        format!("{shape} has {}", plural_axes(shape.rank())),
    )
    .note(site.why(0, Part::Whole))
    .hint("write one `[before, after]` for each axis, channels first: `[[0, 0], [1, 1], [1, 1]]` for an image")
}

/// An axis of which everything is cut off.
pub(crate) fn nothing_left(site: &Site<'_>, axis: usize, extent: usize) -> Diagnostic {
    Diagnostic::error(codes::SLICE, format!("`{}` leaves nothing of axis {axis}", site.name))
        .at(site.bound.span("sides"), format!("it has {extent} positions"))
        .note(site.why(0, Part::Whole))
        .hint("negative sides cut positions off: leave at least one")
}

/// A number that must not be 0.
pub(crate) fn zero(site: &Site<'_>, argument: &str) -> Diagnostic {
    Diagnostic::error(
        codes::OUT_OF_RANGE,
        format!("`{argument}` of `{}` must not be 0", site.layer.name),
    )
    .at(site.bound.span(argument), "out of range")
    .hint("leave it out, or write 1, to take every position")
}

/// A transposed convolution whose padding takes everything away.
pub(crate) fn all_padding(site: &Site<'_>) -> Diagnostic {
    Diagnostic::error(
        codes::WIDE_PADDING,
        format!("`{}` takes all it makes away again", site.name),
    )
    .at(site.bound.span("pad"), "as wide as the result")
    .note(site.why(0, Part::Space))
    .hint("take less padding: it shortens the result of a transposed convolution")
}

/// A new size that is not given.
pub(crate) fn no_size(site: &Site<'_>) -> Diagnostic {
    Diagnostic::error(
        codes::MISSING_ARGUMENT,
        format!("`{}` needs `size` or `scale`", site.layer.name),
    )
    .at(site.span, "neither is here")
    .hint("write `resize(size = [64, 64])` or `resize(scale = 2)`")
}

/// Something that cannot be cut into blocks.
pub(crate) fn blocks(site: &Site<'_>, found: usize, parts: usize, what: &str) -> Diagnostic {
    Diagnostic::error(
        codes::GROUPS,
        format!("`{}` cannot cut {found} {what} into groups of {parts}", site.name),
    )
    .at(site.span, format!("needs a multiple of {parts}"))
    .note(site.why(0, Part::Whole))
    .hint("choose another `block`, or other extents before it")
}

fn plural_axes(count: usize) -> String {
    match count {
        1 => "1 axis".to_owned(),
        count => format!("{count} axes"),
    }
}

/// A list of axes that are not those of the value, each once.
pub(crate) fn axes(site: &Site<'_>, shape: &Shape) -> Diagnostic {
    let order: Vec<String> = (0..shape.rank()).rev().map(|axis| axis.to_string()).collect();
    Diagnostic::error(codes::AXIS, format!("`{}` needs every axis of {shape} once", site.name))
        .at(site.bound.span("axes"), "not these")
        .note(site.why(0, Part::Whole))
        .hint(format!(
            "axes count from 0, without the batch: `{}({})` turns them all around",
            site.layer.name,
            order.join(", ")
        ))
}

/// Values of shapes that cannot be brought together: what the first ones make, and the one of this number.
pub(crate) fn shapes_differ(site: &Site<'_>, first: &Shape, other: usize) -> Diagnostic {
    let second = site.shape(other);
    let verb = match site.layer.name {
        "add" => "adds",
        "subtract" => "subtracts",
        "multiply" => "multiplies",
        "divide" => "divides",
        _ => "compares",
    };
    let diagnostic = Diagnostic::error(
        codes::SHAPES_DIFFER,
        format!("`{}` {verb} {first} and {second}", site.name),
    )
    .at(site.span, "extents must be equal, or 1")
    .note(site.why(0, part_that_differs(first, &second)))
    .note(site.why(other, part_that_differs(first, &second)));
    diagnostic.hint(match (first.extents(), second.extents()) {
        ([a, space_a @ ..], [b, space_b @ ..]) if space_a == space_b && a != b => {
            format!("bring both to {a} channels: `|> conv({a}, 1)` on the one with {b}")
        }
        ([_, a @ ..], [_, b @ ..]) if a.len() == b.len() => {
            let (large, small) = if a.iter().product::<usize>() >= b.iter().product::<usize>() {
                (a, b)
            } else {
                (b, a)
            };
            let ratios: Vec<usize> = large.iter().zip(small).map(|(l, s)| l.div_ceil(*s)).collect();
            let is_strided = large.iter().zip(small).all(|(l, s)| l.div_ceil(ratios[0]) == *s);
            if is_strided && ratios[0] > 1 {
                format!(
                    "give the larger one the same stride: `|> conv({}, 1, stride = {})`",
                    second[0].min(first[0]),
                    ratios[0]
                )
            } else {
                "use `pad = same` in both branches, so that neither shrinks".to_owned()
            }
        }
        ([a, space @ ..], [b]) | ([b], [a, space @ ..]) if a == b && !space.is_empty() => {
            let ones = vec!["1"; space.len()].join(", ");
            format!("give the one number of each channel its axes back: `|> reshape({a}, {ones})`")
        }
        _ => "bring both to one shape with `reshape` or `flatten`".to_owned(),
    })
}

fn part_that_differs(first: &Shape, second: &Shape) -> Part {
    if first.rank() != second.rank() || first.rank() < 2 {
        Part::Whole
    } else if Part::Space.of(first) != Part::Space.of(second) {
        Part::Space
    } else {
        Part::Channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_around() {
        assert_eq!(divisors_near(96, 5), [3, 4, 6, 8]);
        assert_eq!(divisors_near(7, 2), [1, 7]);
        assert_eq!(divisors_near(6, 100), [3, 6]);
        assert_eq!(divisors_near(36, 6), [3, 4, 6, 9]);
    }
}
