//! Stored integers: what quantization and its reverse may change places with, and where they cancel.
//!
//! Quantization is monotone, so it passes through maxima bit by bit; it works element by element, so it passes through
//! whatever moves elements. Everything here moves it towards where there are fewer elements or fewer bytes, so that
//! a `quantize` meets the `dequantize` of the same integers. What reads `quantize` and then `dequantize` keeps both: they
//! round, and no rule may forget that.

use netc_graph::Type;
use netc_graph::operators::clip::Clip;
use netc_graph::operators::constant::Constant;
use netc_graph::operators::dequantize::Dequantize;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::quantize::Quantize;
use netc_graph::operators::tanh::Tanh;
use netc_runtime::DType;

use super::prelude::*;
use crate::matching::{Definition, Matcher};
use crate::rule::Class::Quantized;

/// Results of more elements than this stay computations: a constant is stored in the program.
const ELEMENT_LIMIT: usize = 1 << 16;

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = cancellation();
    rules.extend(rectifiers());
    rules.extend(maxima());
    rules.extend(moves());
    rules.extend(concatenations());
    rules
}

/// Also tried on weights, whose integers are made when they are bound.
pub(super) fn folding() -> Vec<Rule> {
    let rule = Rule::anywhere(
        "fold-stored-constants",
        BitExact,
        "Constants are quantized, read back and clipped when the network is compiled: the reference meaning of these operators has the bits of their kernels. Up to 65,536 elements.",
        |operator| {
            matches!(
                operator,
                Operator::Quantize(_) | Operator::Dequantize(_) | Operator::Clip(_)
            )
        },
        |m, node| {
            let facts = m.facts(m.root);
            let Some(value) = m.facts(node.inputs[0]).constant.as_deref() else {
                return;
            };
            if facts.constant.is_none() && facts.ty.shape.element_count() <= ELEMENT_LIMIT {
                m.found(node.left(), constant(node.rule.evaluate(&[value], &facts.ty, 1)));
            }
        },
        |s| {
            let x = s.constant([2, 3]);
            let quantization = s.any_quantization(2);
            let stored = Quantize {
                quantization: quantization.clone(),
            };
            if s.coin() {
                return s.node(stored, &[x]);
            }
            let ty = s.graph.ty(x).clone();
            let value = match &s.graph.node(x).operator {
                Operator::Constant(rule) => Operator::from(stored).evaluate(
                    &[&rule.value],
                    &Type {
                        dtype: quantization.dtype,
                        ..ty
                    },
                    1,
                ),
                _ => unreachable!("the sampler made a constant"),
            };
            let stored = s.node(Constant { value }, &[]);
            s.node(Dequantize { quantization }, &[stored])
        },
    );
    vec![rule.on_weights()]
}

fn cancellation() -> Vec<Rule> {
    vec![
        Rule::new::<Quantize>(
            "quantize-of-dequantize",
            BitExact,
            "What is read from integers and stored by the same scales and zero points gives the integers back: each is off by far less than half a step. Not if the scale is so large that f32 cannot hold what they stand for.",
            |m, outer| {
                for inner in m.definitions::<Dequantize>(outer.inputs[0]) {
                    let (stored, read) = (&outer.rule.quantization, &inner.rule.quantization);
                    if stored.canonical() == read.canonical() && holds_its_ends(read) {
                        m.found(outer.over(0, &inner), inner.inputs[0]);
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let quantization = s.any_quantization(shape[0]);
                let q = s.stored(quantization.dtype, shape);
                let dequantize = Dequantize { quantization: quantization.clone() };
                let x = s.node(dequantize, &[q]);
                s.node(Quantize { quantization }, &[x])
            },
        ),
        Rule::new::<Quantize>(
            "quantize-of-finer-stored",
            Quantized,
            "Storing in fine steps first and in coarse steps then is storing in coarse steps at once, within one step of the result: the fine steps move a value by half a fine step at most. If no scale is finer than the one before, and the first range holds the second or every value.",
            |m, outer| {
                for read in m.definitions::<Dequantize>(outer.inputs[0]) {
                    for inner in m.definitions::<Quantize>(read.inputs[0]) {
                        let fine = &inner.rule.quantization;
                        let same = fine.canonical() == read.rule.quantization.canonical();
                        let channels = m.shape(inner.inputs[0]).extents().first().copied().unwrap_or(1);
                        let range = m.facts(inner.inputs[0]).range;
                        if same && is_refinement(fine, &outer.rule.quantization, channels, (range.low, range.high)) {
                            let left = outer.left().with(0, read.over(0, &inner));
                            m.found(left, term(outer.rule.clone(), [inner.inputs[0].into()]));
                        }
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                // In ±1, which all of these hold: i8 in steps of 1/64 to 1/100.
                let x = s.node(Tanh {}, &[x]);
                let steps = s.between(64, 100);
                let fine = Quantization::per_tensor(DType::I8, 1.0 / steps as f32, 0);
                let coarse = 1.0 / s.between(20, steps) as f32;
                let zero_point = s.between(0, 255) as i32;
                let coarse = Quantization::per_tensor(DType::U8, coarse, zero_point);
                let q = s.node(Quantize { quantization: fine.clone() }, &[x]);
                let y = s.node(Dequantize { quantization: fine }, &[q]);
                s.node(Quantize { quantization: coarse }, &[y])
            },
        )
        .within(|_| 1.0),
    ]
}

/// Whether f32 holds what every integer stands for.
fn holds_its_ends(quantization: &Quantization) -> bool {
    let (low, high) = quantization.range();
    low.is_finite() && high.is_finite()
}

/// Whether in every channel the steps of `fine` are no longer than those of `coarse`, and its range holds the other's or
/// that of the values.
fn is_refinement(fine: &Quantization, coarse: &Quantization, channels: usize, values: (f32, f32)) -> bool {
    (0..channels).all(|channel| {
        let ends = |quantization: &Quantization| {
            let (low, high) = quantization.limits();
            (
                quantization.dequantize(low, channel),
                quantization.dequantize(high, channel),
            )
        };
        let (inner, outer) = (ends(coarse), ends(fine));
        let holds = |inner: (f32, f32)| outer.0 <= inner.0 && inner.1 <= outer.1;
        fine.pair(channel).0 <= coarse.pair(channel).0
            && (holds(inner) || holds(values))
            && outer.0.is_finite()
            && outer.1.is_finite()
    })
}

fn rectifiers() -> Vec<Rule> {
    vec![
        Rule::new::<Quantize>(
            "quantize-of-cut-relu",
            BitExact,
            "If zero is the least integer, storing cuts off what is negative: a relu before it changes nothing.",
            |m, outer| {
                let quantization = &outer.rule.quantization;
                let least = quantization.limits().0;
                for relu in m.definitions::<Relu>(outer.inputs[0]) {
                    if quantization.zero_point.iter().all(|&zero| zero == least) {
                        m.found(outer.over(0, &relu), term(outer.rule.clone(), [relu.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let mut quantization = s.any_quantization(shape[0]);
                let least = quantization.limits().0;
                quantization.zero_point.fill(least);
                let x = s.input(shape);
                let y = s.node(Relu {}, &[x]);
                s.node(Quantize { quantization }, &[y])
            },
        ),
        Rule::new::<Quantize>(
            "quantize-of-relu",
            BitExact,
            "A relu before storing is a bound at the zero point after it, of a quarter of the bytes.",
            |m, outer| {
                let Some(zero) = shared_zero(&outer.rule.quantization) else {
                    return;
                };
                for relu in m.definitions::<Relu>(outer.inputs[0]) {
                    let clip = Clip {
                        low: zero,
                        high: outer.rule.quantization.limits().1,
                    };
                    let stored = term(outer.rule.clone(), [relu.inputs[0].into()]);
                    m.found(outer.over(0, &relu), term(clip, [stored]));
                }
            },
            |s| {
                let shape = s.shape();
                let quantization = with_shared_zero(s.any_quantization(shape[0]));
                let x = s.input(shape);
                let y = s.node(Relu {}, &[x]);
                s.node(Quantize { quantization }, &[y])
            },
        ),
        Rule::new::<Clip>(
            "clip-of-quantize",
            BitExact,
            "A bound at the zero point after storing is a relu before it, which the layer in front can take over.",
            |m, clip| {
                for inner in m.definitions::<Quantize>(clip.inputs[0]) {
                    let quantization = &inner.rule.quantization;
                    let whole = clip.rule.high == quantization.limits().1;
                    if whole && shared_zero(quantization) == Some(clip.rule.low) {
                        let relu = term(Relu {}, [inner.inputs[0].into()]);
                        m.found(clip.over(0, &inner), term(inner.rule.clone(), [relu]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let quantization = with_shared_zero(s.any_quantization(shape[0]));
                let (low, high) = (quantization.zero_point[0], quantization.limits().1);
                let x = s.input(shape);
                let q = s.node(Quantize { quantization }, &[x]);
                s.node(Clip { low, high }, &[q])
            },
        ),
        Rule::new::<Dequantize>(
            "dequantize-of-clip",
            BitExact,
            "Integers bounded at the zero point stand for rectified numbers.",
            |m, outer| {
                let quantization = &outer.rule.quantization;
                for clip in m.definitions::<Clip>(outer.inputs[0]) {
                    let whole = clip.rule.high == quantization.limits().1;
                    if whole && shared_zero(quantization) == Some(clip.rule.low) {
                        let read = term(outer.rule.clone(), [clip.inputs[0].into()]);
                        m.found(outer.over(0, &clip), term(Relu {}, [read]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let quantization = with_shared_zero(s.any_quantization(shape[0]));
                let (low, high) = (quantization.zero_point[0], quantization.limits().1);
                let q = s.stored(quantization.dtype, shape);
                let q = s.node(Clip { low, high }, &[q]);
                s.node(Dequantize { quantization }, &[q])
            },
        ),
        Rule::new::<Clip>(
            "clip-of-clip",
            BitExact,
            "Two pairs of bounds are one.",
            |m, outer| {
                for inner in m.definitions::<Clip>(outer.inputs[0]) {
                    let bound = |value: i32| value.clamp(outer.rule.low, outer.rule.high);
                    let both = Clip {
                        low: bound(inner.rule.low),
                        high: bound(inner.rule.high),
                    };
                    m.found(outer.over(0, &inner), term(both, [inner.inputs[0].into()]));
                }
            },
            |s| {
                let shape = s.shape();
                let dtype = s.byte();
                let q = s.stored(dtype, shape);
                let inner = any_clip(s, dtype);
                let q = s.node(inner, &[q]);
                let outer = any_clip(s, dtype);
                s.node(outer, &[q])
            },
        ),
        Rule::new::<Clip>(
            "clip-of-bounded",
            BitExact,
            "Bounds that no element passes change nothing: those of the type, or of a clip before.",
            |m, clip| {
                let facts = m.facts(clip.inputs[0]);
                let (least, greatest) = Quantization::unit(facts.ty.dtype).limits();
                let low = facts.range.low.max(least as f32);
                let high = facts.range.high.min(greatest as f32);
                if clip.rule.low as f32 <= low && high <= clip.rule.high as f32 {
                    m.found(clip.left(), clip.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let quantization = s.any_quantization(2);
                let dtype = quantization.dtype;
                let q = s.node(Quantize { quantization }, &[x]);
                let (low, high) = Quantization::unit(dtype).limits();
                if s.coin() {
                    return s.node(Clip { low, high }, &[q]);
                }
                let inner = any_clip(s, dtype);
                let wider = Clip {
                    low: (inner.low - 1).max(low),
                    high,
                };
                let q = s.node(inner, &[q]);
                let window = s.spatial_window(q);
                let q = s.node(MaxPool { window }, &[q]);
                s.node(wider, &[q])
            },
        ),
    ]
}

/// The zero point of all channels, if they share one.
fn shared_zero(quantization: &Quantization) -> Option<i32> {
    let (first, rest) = quantization.zero_point.split_first()?;
    rest.iter().all(|zero| zero == first).then_some(*first)
}

fn with_shared_zero(mut quantization: Quantization) -> Quantization {
    let zero = quantization.zero_point[0];
    quantization.zero_point.fill(zero);
    quantization
}

fn any_clip(s: &mut crate::sample::Sampler, dtype: DType) -> Clip {
    let least = Quantization::unit(dtype).limits().0;
    let low = s.below(256);
    let high = s.between(low, 255);
    Clip {
        low: least + low as i32,
        high: least + high as i32,
    }
}

fn maxima() -> Vec<Rule> {
    vec![
        Rule::new::<Quantize>(
            "quantize-of-max-pool",
            BitExact,
            "Storing is monotone: the integer of a maximum is the maximum of the integers, and comparing bytes moves a quarter of the memory. Padding never wins on either side.",
            |m, outer| {
                for pool in m.definitions::<MaxPool>(outer.inputs[0]) {
                    let stored = term(outer.rule.clone(), [pool.inputs[0].into()]);
                    m.found(outer.over(0, &pool), term(pool.rule.clone(), [stored]));
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let y = s.node(MaxPool { window }, &[x]);
                let quantization = s.any_quantization(2);
                s.node(Quantize { quantization }, &[y])
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-quantize",
            BitExact,
            "Only the winners are stored.",
            |m, pool| {
                for inner in m.definitions::<Quantize>(pool.inputs[0]) {
                    let pooled = term(pool.rule.clone(), [inner.inputs[0].into()]);
                    m.found(pool.over(0, &inner), term(inner.rule.clone(), [pooled]));
                }
            },
            |s| {
                let x = s.image(2);
                let quantization = s.any_quantization(2);
                let q = s.node(Quantize { quantization }, &[x]);
                let window = s.spatial_window(q);
                s.node(MaxPool { window }, &[q])
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-dequantize",
            BitExact,
            "Only the winners are read: integers have the order of what they stand for.",
            |m, pool| {
                for inner in m.definitions::<Dequantize>(pool.inputs[0]) {
                    if inner.rule.quantization.dtype != DType::I32 {
                        let pooled = term(pool.rule.clone(), [inner.inputs[0].into()]);
                        m.found(pool.over(0, &inner), term(inner.rule.clone(), [pooled]));
                    }
                }
            },
            |s| {
                let quantization = s.any_quantization(2);
                let shape = [vec![2], s.spatial()].concat();
                let q = s.stored(quantization.dtype, shape);
                let x = s.node(Dequantize { quantization }, &[q]);
                let window = s.spatial_window(x);
                s.node(MaxPool { window }, &[x])
            },
        ),
    ]
}

fn moves() -> Vec<Rule> {
    vec![
        Rule::new::<Quantize>(
            "quantize-of-reshape",
            BitExact,
            "The same elements under another shape are stored the same. With scales per channel if channels stay what they are.",
            |m, outer| {
                for reshape in m.definitions::<Reshape>(outer.inputs[0]) {
                    let quantization = outer.rule.quantization.canonical();
                    if keeps_channels(m, &quantization, reshape.inputs[0], outer.inputs[0]) {
                        let stored = term(Quantize { quantization }, [reshape.inputs[0].into()]);
                        m.found(outer.over(0, &reshape), term(reshape.rule.clone(), [stored]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 3, 2]);
                let shape = any_flattening(s);
                let y = s.node(Reshape { shape: shape.clone() }, &[x]);
                let quantization = fitting_quantization(s, &shape);
                s.node(Quantize { quantization }, &[y])
            },
        ),
        Rule::new::<Reshape>(
            "reshape-of-dequantize",
            BitExact,
            "The same integers under another shape are read the same. With scales per channel if channels stay what they are.",
            |m, reshape| {
                for inner in m.definitions::<Dequantize>(reshape.inputs[0]) {
                    let quantization = inner.rule.quantization.canonical();
                    let bytes = quantization.dtype != DType::I32;
                    if bytes && keeps_channels(m, &quantization, reshape.inputs[0], m.root) {
                        let moved = term(reshape.rule.clone(), [inner.inputs[0].into()]);
                        m.found(reshape.over(0, &inner), term(Dequantize { quantization }, [moved]));
                    }
                }
            },
            |s| {
                let shape = any_flattening(s);
                let quantization = fitting_quantization(s, &shape);
                let q = s.stored(quantization.dtype, [2, 3, 2]);
                let x = s.node(Dequantize { quantization }, &[q]);
                s.node(Reshape { shape }, &[x])
            },
        ),
        Rule::new::<Slice>(
            "slice-of-quantize",
            BitExact,
            "Only what is taken is stored.",
            |m, slice| {
                for inner in m.definitions::<Quantize>(slice.inputs[0]) {
                    let quantization = taken(&inner.rule.quantization, slice.rule);
                    let part = term(slice.rule.clone(), [inner.inputs[0].into()]);
                    m.found(slice.over(0, &inner), term(Quantize { quantization }, [part]));
                }
            },
            |s| {
                let x = s.input([4, 5]);
                let quantization = s.any_quantization(4);
                let q = s.node(Quantize { quantization }, &[x]);
                let slice = any_slice(s);
                s.node(slice, &[q])
            },
        ),
        Rule::new::<Slice>(
            "slice-of-dequantize",
            BitExact,
            "Only what is taken is read.",
            |m, slice| {
                for inner in m.definitions::<Dequantize>(slice.inputs[0]) {
                    if inner.rule.quantization.dtype != DType::I32 {
                        let quantization = taken(&inner.rule.quantization, slice.rule);
                        let part = term(slice.rule.clone(), [inner.inputs[0].into()]);
                        m.found(slice.over(0, &inner), term(Dequantize { quantization }, [part]));
                    }
                }
            },
            |s| {
                let quantization = s.any_quantization(4);
                let q = s.stored(quantization.dtype, [4, 5]);
                let x = s.node(Dequantize { quantization }, &[q]);
                let slice = any_slice(s);
                s.node(slice, &[x])
            },
        ),
    ]
}

/// Whether every element belongs to the same channel before and after, or channels do not matter.
fn keeps_channels(m: &Matcher<'_>, quantization: &Quantization, from: egg::Id, to: egg::Id) -> bool {
    let channels = |class: egg::Id| m.shape(class).extents().first().copied();
    quantization.is_per_tensor() || channels(from) == channels(to)
}

/// The quantization of a part.
fn taken(quantization: &Quantization, slice: &Slice) -> Quantization {
    if slice.axis == 0 {
        quantization.slice(slice.start, slice.end)
    } else {
        quantization.clone()
    }
}

fn any_slice(s: &mut crate::sample::Sampler) -> Slice {
    let axis = s.below(2);
    let start = s.below(3);
    let end = s.between(start + 1, 4);
    Slice { axis, start, end }
}

fn any_flattening(s: &mut crate::sample::Sampler) -> Shape {
    match s.below(3) {
        0 => [12].into(),
        1 => [2, 6].into(),
        _ => [4, 3].into(),
    }
}

/// Per channel only where the channels of `[2, 3, 2]` stay.
fn fitting_quantization(s: &mut crate::sample::Sampler, shape: &Shape) -> Quantization {
    let dtype = s.byte();
    let channels = (shape[0] == 2).then_some(2);
    s.quantization(dtype, channels)
}

fn concatenations() -> Vec<Rule> {
    vec![
        Rule::new::<Concat>(
            "concat-of-dequantize",
            BitExact,
            "Integers are put together before they are read: a quarter of the bytes. Parts along channels may have different scales, which become scales per channel; along other axes they share theirs.",
            |m, concat| {
                let Some(parts) = dequantized(m, concat) else { return };
                let channels: Vec<usize> = concat.inputs.iter().map(|&input| m.shape(input)[0]).collect();
                let quantizations: Vec<&Quantization> = parts.iter().map(|part| &part.rule.quantization).collect();
                let Some(quantization) = joined(&quantizations, &channels, concat.rule.axis) else {
                    return;
                };
                let stored = parts.iter().map(|part| Term::from(part.inputs[0]));
                let right = term(Dequantize { quantization }, [term_of(concat.rule.clone(), stored)]);
                let left = parts
                    .iter()
                    .enumerate()
                    .fold(concat.left(), |left, (slot, part)| left.with(slot, part.left()));
                m.found(left, right);
            },
            |s| {
                let dtype = s.byte();
                let axis = s.below(2);
                let shared = s.quantization(dtype, (axis == 1).then_some(2));
                let part = |s: &mut crate::sample::Sampler| {
                    let quantization = if axis == 0 && s.coin() {
                        s.quantization(dtype, Some(2))
                    } else {
                        shared.clone()
                    };
                    let q = s.stored(dtype, [2, 3]);
                    s.node(Dequantize { quantization }, &[q])
                };
                let parts = [part(s), part(s), part(s)];
                let count = s.between(2, 3);
                s.node(Concat { axis }, &parts[..count])
            },
        ),
        Rule::new::<Quantize>(
            "quantize-of-concat",
            BitExact,
            "Parts are stored before they are put together, where they may be stored already.",
            |m, outer| {
                for concat in m.definitions::<Concat>(outer.inputs[0]) {
                    let mut start = 0;
                    let parts = concat.inputs.iter().map(|&input| {
                        let quantization = if concat.rule.axis == 0 {
                            let end = start + m.shape(input)[0];
                            let part = outer.rule.quantization.slice(start, end);
                            start = end;
                            part
                        } else {
                            outer.rule.quantization.clone()
                        };
                        term(Quantize { quantization }, [input.into()])
                    });
                    let parts: Vec<Term> = parts.collect();
                    m.found(outer.over(0, &concat), term_of(concat.rule.clone(), parts));
                }
            },
            |s| {
                let axis = s.below(2);
                let parts = [s.input([2, 3]), s.input([2, 3])];
                let y = s.node(Concat { axis }, &parts);
                let channels = s.shape_of(y)[0];
                let quantization = s.any_quantization(channels);
                s.node(Quantize { quantization }, &[y])
            },
        ),
    ]
}

/// Every part as read from bytes, if each is.
fn dequantized<'a>(m: &Matcher<'a>, concat: &Definition<'a, Concat>) -> Option<Vec<Definition<'a, Dequantize>>> {
    let bytes = |part: &Definition<'_, Dequantize>| part.rule.quantization.dtype != DType::I32;
    let parts = concat.inputs.iter();
    parts
        .map(|&input| m.definitions::<Dequantize>(input).into_iter().find(bytes))
        .collect()
}

/// What the integers of parts with so many channels stand for together, if there is such a thing.
fn joined(parts: &[&Quantization], channels: &[usize], axis: usize) -> Option<Quantization> {
    let first = parts.first()?.canonical();
    if parts.iter().any(|part| part.dtype != first.dtype) {
        return None;
    }
    let alike = parts.iter().all(|part| part.canonical() == first);
    if alike && (axis > 0 || first.is_per_tensor()) {
        return Some(first);
    }
    let pairs = || {
        let parts = parts.iter().zip(channels);
        parts.flat_map(|(part, &count)| (0..count).map(move |channel| part.pair(channel)))
    };
    (axis == 0).then(|| Quantization {
        dtype: first.dtype,
        scale: pairs().map(|(scale, _)| scale).collect(),
        zero_point: pairs().map(|(_, zero)| zero).collect(),
    })
}
