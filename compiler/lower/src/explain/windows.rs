//! Windows that do not fit what they slide over.

use netc_diagnostics::Diagnostic;
use netc_graph::operators::window::Window;
use netc_runtime::Shape;

use crate::codes;
use crate::site::Site;
use crate::trace::{Part, padding_text, place};

/// `a length of 3` or `3x3`.
fn space_text(extents: &[usize]) -> String {
    match extents {
        [length] => format!("a length of {length}"),
        extents => Shape::from(extents).to_string(),
    }
}

fn needs_text(extents: &[usize]) -> String {
    match extents {
        [length] => format!("needs a length of at least {length}"),
        extents => format!("needs at least {}", Shape::from(extents)),
    }
}

/// A window larger than what it slides over.
pub(super) fn small_input(site: &Site<'_>, axis: usize, padding: usize) -> Diagnostic {
    let window = site
        .window
        .clone()
        .expect("only windows meet an input that is too small");
    let shape = site.shape(0);
    let space = Part::Space.of(&shape);
    let extents = space.extents();
    let reach: Vec<usize> = (0..extents.len()).map(|axis| window.extent(axis)).collect();
    let kernel = match reach.as_slice() {
        [length] => format!("window of {length}"),
        reach => format!("{} window", Shape::from(reach)),
    };
    let is_dilated = (0..extents.len()).any(|axis| window.extent(axis) != window.kernel[axis]);
    let kernel = if is_dilated {
        kernel
    } else {
        kernel.replace("window", "kernel")
    };
    let padded = if padding > 0 { " even with its padding" } else { "" };
    let message = format!(
        "`{}` sees {}, smaller than its {kernel}{padded}",
        site.name,
        space_text(extents)
    );
    let mut diagnostic = Diagnostic::error(codes::SMALL_INPUT, message)
        .at(site.span, needs_text(&needed(&window, extents)))
        .note(site.why(0, Part::Space));
    let (extent, kernel, dilation) = (extents[axis], window.kernel[axis], window.dilation[axis]);
    if is_dilated {
        diagnostic = diagnostic.note(format!(
            "a kernel of {kernel} with dilation {dilation} spans {dilation}·({kernel} − 1) + 1 = {}",
            reach[axis]
        ));
    }
    if padding > 0 {
        let sum = padding_text(&window, axis);
        diagnostic = diagnostic.note(format!(
            "{extent}{sum} = {} is less than {}",
            extent + padding,
            window.extent(axis)
        ));
    }
    diagnostic.hint(way_out(site, &window, extents))
}

/// The smallest input that the window takes, with its padding.
fn needed(window: &Window, extents: &[usize]) -> Vec<usize> {
    let along = |axis: usize| {
        window
            .extent(axis)
            .saturating_sub(window.pad_before[axis] + window.pad_after[axis])
            .max(1)
    };
    (0..extents.len()).map(along).collect()
}

/// The least padding on each side with which the window fits: half of what is missing, rounded up, so always narrower
/// than the window.
fn pads_needed(window: &Window, extents: &[usize]) -> Vec<usize> {
    let along = |(axis, &extent): (usize, &usize)| {
        window
            .extent(axis)
            .saturating_sub(extent)
            .div_ceil(2)
            .max(window.pad_before[axis])
    };
    extents.iter().enumerate().map(along).collect()
}

/// ``add `pad = 1` here, or drop the pooling on line 6``.
fn way_out(site: &Site<'_>, window: &Window, extents: &[usize]) -> String {
    let pads = pads_needed(window, extents);
    let pad = match pads.as_slice() {
        [first, rest @ ..] if rest.iter().all(|pad| pad == first) => first.to_string(),
        pads => format!("[{}]", pads.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let verb = if site.bound.is_given("pad") {
        "raise it to"
    } else {
        "add"
    };
    let culprit = site.trace.culprit(site.inputs[0].0.step, Part::Space);
    let line = place(site.sources, culprit.span, site.span);
    let kernel = culprit.text.split(['(', ' ']).next().unwrap_or_default();
    let other = match (kernel, culprit.from, &culprit.window) {
        (_, None, _) => format!("or make `{}` {line} larger", culprit.text),
        ("max_pool" | "avg_pool", _, _) => format!("or drop the pooling {line}"),
        (_, _, Some(window)) if window.stride.iter().any(|&stride| stride > 1) => format!("or lower the stride {line}"),
        (_, _, Some(_)) => format!("or pad `{}` {line}", culprit.text),
        _ => "or take a smaller kernel".to_owned(),
    };
    format!("{verb} `pad = {pad}` here, {other}")
}

pub(super) fn wide_padding(site: &Site<'_>, axis: usize, padding: usize, window: usize) -> Diagnostic {
    let span = site.bound.span("pad");
    let largest = window - 1;
    Diagnostic::error(
        codes::WIDE_PADDING,
        format!("`{}` is padded by {padding}, as wide as its window", site.name),
    )
    .at(span, format!("at most {largest} here"))
    .note(format!(
        "a window of {window}{} would see nothing but padding",
        axis_text(site, axis)
    ))
    .hint(if largest == 0 {
        "leave `pad` out: a window of one position needs none".to_owned()
    } else {
        format!("write `pad = {largest}` or less, or `pad = same`")
    })
}

/// ` along axis 1`, where there is more than one.
fn axis_text(site: &Site<'_>, axis: usize) -> String {
    if site.shape(0).rank() > 2 {
        format!(" along {}", ["the height", "the width"][axis.min(1)])
    } else {
        String::new()
    }
}

pub(super) fn wide_dilation(site: &Site<'_>, axis: usize, extent: usize, dilation: usize) -> Diagnostic {
    Diagnostic::error(
        codes::WIDE_DILATION,
        format!("`{}` can step over its whole input", site.name),
    )
    .at(
        site.bound.span("dilation"),
        format!("dilation {dilation} over {extent} positions{}", axis_text(site, axis)),
    )
    .note(site.why(0, Part::Space))
    .hint(format!("take a dilation of at most {extent}, or no padding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// The way out that a message offers is one.
        #[test]
        fn the_padding_offered_is_enough(kernel in 1..40usize, dilation in 1..9usize, stride in 1..9usize, extent in 1..20usize) {
            let window = Window::new([kernel]).with_dilation([dilation]).with_stride([stride]);
            let pads = pads_needed(&window, &[extent]);
            proptest::prop_assert!(window.clone().with_padding(pads.clone()).output_extents(&[extent]).is_ok());
            let least = pads[0] == 0 || window.with_padding([pads[0] - 1]).output_extents(&[extent]).is_err();
            proptest::prop_assert!(least, "less would do");
        }
    }
}
