//! More or fewer positions at the ends of axes.

use netc_graph::NodeId;
use netc_graph::operators::concat::Concat;
use netc_graph::operators::constant::Constant;
use netc_graph::operators::expand::Expand;
use netc_graph::operators::pad::Pad;
use netc_graph::operators::slice::Slice;
use netc_runtime::{Shape, Tensor};

use super::taken::take;
use super::{Layer, Takes};
use crate::explain;
use crate::signature::{ANY, Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const PAD: Layer = Layer {
    name: "pad",
    doc: "Positions added at the ends of axes; negative numbers cut positions off.",
    shapes: "`[C, H, W] → [C, H', W']` and so on for any axes",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "sides",
            kind: Kind::Sides,
            default: Default::Required,
            doc: "how many before and after, for each axis, channels first",
        },
        Argument {
            name: "mode",
            kind: Kind::Word(&["constant", "edge", "reflect", "wrap"]),
            default: Default::Word("constant"),
            doc: "what they hold: a number, the last position over and over, the positions mirrored at it, or those of the other end",
        },
        Argument {
            name: "value",
            kind: Kind::Real(ANY),
            default: Default::Real(0.0),
            doc: "the number of `constant`",
        },
    ],
    example: "pad([[0, 0], [1, 2], [3, -1]])",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let sides = site.bound.sides("sides");
    let shape = site.shape(0);
    if sides.len() != shape.rank() {
        return Err(explain::side_count(site, sides.len(), &shape).into());
    }
    let mut value = site.node(0);
    for (axis, &(before, after)) in sides.iter().enumerate() {
        value = cut(site, value, axis, (before, after))?;
        let added = [before, after].map(|count| usize::try_from(count).unwrap_or(0));
        if added != [0, 0] {
            value = match site.bound.word("mode") {
                "constant" => constant(site, value, axis, added)?,
                mode => {
                    let place = match mode {
                        "edge" => edge,
                        "reflect" => reflected,
                        _ => wrapped,
                    };
                    let extent = site.graph.ty(value).shape[axis];
                    let last = extent.saturating_add(added[1]) as i64;
                    let places = -(added[0] as i64)..last;
                    take(site, value, axis, places.map(|position| place(position, extent as i64)))?
                }
            };
        }
    }
    Ok(value)
}

/// What is left between negative sides.
fn cut(site: &mut Site<'_>, value: NodeId, axis: usize, (before, after): (i64, i64)) -> Result<NodeId, Failed> {
    let [first, last] = [before, after].map(|count| usize::try_from(-count).unwrap_or(0));
    if first + last == 0 {
        return Ok(value);
    }
    let extent = site.graph.ty(value).shape[axis];
    if first + last >= extent {
        return Err(explain::nothing_left(site, axis, extent).into());
    }
    let rule = Slice {
        axis,
        start: first,
        end: extent - last,
    };
    site.apply(rule, &[value])
}

/// Zeros are an operator of their own; another number is laid beside the value.
fn constant(site: &mut Site<'_>, value: NodeId, axis: usize, [before, after]: [usize; 2]) -> Result<NodeId, Failed> {
    let number = site.bound.real("value");
    if number == 0.0 {
        return site.apply(Pad { axis, before, after }, &[value]);
    }
    let ty = site.graph.ty(value).clone();
    let one = Tensor::from_f32([1], vec![number]).expect("one number");
    let one = site.apply(Constant { value: one }, &[])?;
    let mut filled = |count: usize| {
        let mut extents = ty.shape.extents().to_vec();
        extents[axis] = count;
        let shape = Shape::new(extents);
        site.apply(Expand { shape }, &[one])
    };
    let mut parts = vec![value];
    if before > 0 {
        parts.insert(0, filled(before)?);
    }
    if after > 0 {
        parts.push(filled(after)?);
    }
    site.apply(Concat { axis }, &parts)
}

/// Zeros around the axes of space.
pub(crate) fn zeros(site: &mut Site<'_>, mut value: NodeId, sides: &[(usize, usize)]) -> Result<NodeId, Failed> {
    for (axis, &(before, after)) in sides.iter().enumerate() {
        if before + after > 0 {
            let rule = Pad {
                axis: axis + 1,
                before,
                after,
            };
            value = site.apply(rule, &[value])?;
        }
    }
    Ok(value)
}

fn edge(position: i64, extent: i64) -> usize {
    position.clamp(0, extent - 1) as usize
}

fn wrapped(position: i64, extent: i64) -> usize {
    position.rem_euclid(extent) as usize
}

/// As between two mirrors that stand in the middle of the first and the last position.
fn reflected(position: i64, extent: i64) -> usize {
    if extent == 1 {
        return 0;
    }
    let period = 2 * (extent - 1);
    let inside = position.rem_euclid(period);
    inside.min(period - inside) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_beyond_the_ends() {
        let all = |place: fn(i64, i64) -> usize| (-3..6).map(|position| place(position, 3)).collect::<Vec<_>>();
        assert_eq!(all(edge), [0, 0, 0, 0, 1, 2, 2, 2, 2]);
        assert_eq!(all(wrapped), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(all(reflected), [1, 2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(reflected(-7, 1), 0);
    }
}
