//! Poolings and enlargements among themselves and with what works element by element.

use super::prelude::*;
use super::{is_pointwise, is_undilated, is_unpadded};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = nested();
    rules.extend(globals());
    rules.extend(rectified());
    rules.extend(enlarged());
    rules
}

fn nested() -> Vec<Rule> {
    vec![
        Rule::new::<MaxPool>(
            "max-pool-of-max-pool",
            BitExact,
            "Two maxima over windows are one over a larger window: without padding or dilation, and if the inner windows leave no gap.",
            |m, outer| {
                for inner in m.definitions::<MaxPool>(outer.inputs[0]) {
                    let (first, second) = (&inner.rule.window, &outer.rule.window);
                    let gapless = (0..first.axes()).all(|axis| first.stride[axis] <= first.kernel[axis]);
                    if gapless && is_plain(first) && is_plain(second) {
                        let window = composed(first, second);
                        m.found(
                            outer.over(0, &inner),
                            term(MaxPool { window }, [inner.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([2, 9, 11]);
                let inner = s.node(
                    MaxPool {
                        window: Window::new([3, 2]).with_stride([2, 2]),
                    },
                    &[x],
                );
                let window = Window::new([2, 3]).with_stride([s.between(1, 2), s.between(1, 3)]);
                s.node(MaxPool { window }, &[inner])
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-average-pool",
            RealExact,
            "Means of means over windows that neither overlap nor leave gaps are means over larger windows: without padding or dilation.",
            |m, outer| {
                for inner in m.definitions::<AveragePool>(outer.inputs[0]) {
                    let (first, second) = (&inner.rule.window, &outer.rule.window);
                    if first.stride == first.kernel && is_plain(first) && is_plain(second) {
                        let wider = AveragePool {
                            window: composed(first, second),
                            count_padding: true,
                        };
                        m.found(outer.over(0, &inner), term(wider, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 9, 11]);
                let inner = Window::new([3, 2]).with_stride([3, 2]);
                let inner = s.node(
                    AveragePool {
                        window: inner,
                        count_padding: true,
                    },
                    &[x],
                );
                let window = Window::new([2, 3]).with_stride([1, s.between(1, 2)]);
                s.node(
                    AveragePool {
                        window,
                        count_padding: false,
                    },
                    &[inner],
                )
            },
        ),
        Rule::new::<GlobalMaxPool>(
            "global-max-of-max-pool",
            BitExact,
            "The maximum of all maxima is the maximum of all elements, if the inner windows leave out none.",
            |m, global| {
                for inner in m.definitions::<MaxPool>(global.inputs[0]) {
                    let window = &inner.rule.window;
                    let spatial = &m.shape(inner.inputs[0]).extents()[1..];
                    let gapless = (0..window.axes()).all(|axis| window.stride[axis] <= window.kernel[axis]);
                    if gapless && is_undilated(window) && reaches_end(window, spatial) {
                        m.found(global.over(0, &inner), term(GlobalMaxPool {}, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 6, 8]);
                let pool = s.node(
                    MaxPool {
                        window: Window::new([2, 2]).with_stride([2, 2]),
                    },
                    &[x],
                );
                s.node(GlobalMaxPool {}, &[pool])
            },
        ),
        Rule::new::<GlobalAveragePool>(
            "global-average-of-average-pool",
            RealExact,
            "The mean of means over windows that tile the input is the mean of all elements.",
            |m, global| {
                for inner in m.definitions::<AveragePool>(global.inputs[0]) {
                    let window = &inner.rule.window;
                    let spatial = &m.shape(inner.inputs[0]).extents()[1..];
                    let tiles = spatial
                        .iter()
                        .zip(&window.kernel)
                        .all(|(extent, kernel)| extent % kernel == 0);
                    if tiles && window.stride == window.kernel && is_plain(window) {
                        m.found(
                            global.over(0, &inner),
                            term(GlobalAveragePool {}, [inner.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([2, 6, 8]);
                let window = Window::new([2, 4]).with_stride([2, 4]);
                let pool = s.node(
                    AveragePool {
                        window,
                        count_padding: true,
                    },
                    &[x],
                );
                s.node(GlobalAveragePool {}, &[pool])
            },
        ),
    ]
}

/// Neither padded nor dilated.
fn is_plain(window: &Window) -> bool {
    is_unpadded(window) && is_undilated(window)
}

/// The window that sees what `second` sees of `first`.
fn composed(first: &Window, second: &Window) -> Window {
    let axes = 0..first.axes();
    let kernel: Vec<usize> = axes
        .clone()
        .map(|axis| first.kernel[axis] + (second.kernel[axis] - 1) * first.stride[axis])
        .collect();
    let stride: Vec<usize> = axes.map(|axis| first.stride[axis] * second.stride[axis]).collect();
    Window::new(kernel).with_stride(stride)
}

/// Whether the last window along each axis reaches the last element.
fn reaches_end(window: &Window, spatial: &[usize]) -> bool {
    spatial.iter().enumerate().all(|(axis, &extent)| {
        let last = (window.output_extent(axis, extent) - 1) * window.stride[axis] + window.extent(axis);
        last >= extent + window.pad_before[axis]
    })
}

fn globals() -> Vec<Rule> {
    vec![
        Rule::new::<MaxPool>(
            "max-pool-of-everything",
            BitExact,
            "One window over the whole input is a global maximum.",
            |m, pool| {
                if is_everything(&pool.rule.window, m.shape(pool.inputs[0])) {
                    let global = term(GlobalMaxPool {}, [pool.inputs[0].into()]);
                    m.found(
                        pool.left(),
                        term(
                            Reshape {
                                shape: m.shape(m.root).clone(),
                            },
                            [global],
                        ),
                    );
                }
            },
            |s| {
                let x = s.image(2);
                let window = Window::new(s.spatial_of(x));
                s.node(MaxPool { window }, &[x])
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-everything",
            RealExact,
            "One window over the whole input is a global mean.",
            |m, pool| {
                if is_everything(&pool.rule.window, m.shape(pool.inputs[0])) {
                    let global = term(GlobalAveragePool {}, [pool.inputs[0].into()]);
                    m.found(
                        pool.left(),
                        term(
                            Reshape {
                                shape: m.shape(m.root).clone(),
                            },
                            [global],
                        ),
                    );
                }
            },
            |s| {
                let x = s.image(2);
                let window = Window::new(s.spatial_of(x));
                let count_padding = s.coin();
                s.node(AveragePool { window, count_padding }, &[x])
            },
        ),
        Rule::new::<GlobalMaxPool>(
            "global-max-of-single-elements",
            BitExact,
            "The maximum over one position per channel only drops the spatial axes.",
            |m, global| {
                if m.shape(global.inputs[0]).extents()[1..]
                    .iter()
                    .all(|&extent| extent == 1)
                {
                    let shape = m.shape(m.root).clone();
                    m.found(global.left(), term(Reshape { shape }, [global.inputs[0].into()]));
                }
            },
            |s| {
                let channels = s.between(1, 4);
                let x = s.input([channels, 1, 1]);
                s.node(GlobalMaxPool {}, &[x])
            },
        ),
        Rule::new::<GlobalAveragePool>(
            "global-average-of-single-elements",
            BitExact,
            "The mean over one position per channel only drops the spatial axes.",
            |m, global| {
                if m.shape(global.inputs[0]).extents()[1..]
                    .iter()
                    .all(|&extent| extent == 1)
                {
                    let shape = m.shape(m.root).clone();
                    m.found(global.left(), term(Reshape { shape }, [global.inputs[0].into()]));
                }
            },
            |s| {
                let channels = s.between(1, 4);
                let x = s.input([channels, 1]);
                s.node(GlobalAveragePool {}, &[x])
            },
        ),
    ]
}

fn is_everything(window: &Window, input: &Shape) -> bool {
    is_plain(window) && window.kernel == input.extents()[1..]
}

fn rectified() -> Vec<Rule> {
    vec![
        Rule::new::<MaxPool>(
            "max-pool-of-relu",
            BitExact,
            "Rectifying the maxima is rectifying fewer elements. Padding never wins, so it need not be zero.",
            |m, pool| {
                for relu in m.definitions::<Relu>(pool.inputs[0]) {
                    let pooled = term(pool.rule.clone(), [relu.inputs[0].into()]);
                    m.found(pool.over(0, &relu), term(Relu {}, [pooled]));
                }
            },
            |s| {
                let x = s.image(2);
                let relu = s.node(Relu {}, &[x]);
                let window = s.spatial_window(x);
                s.node(MaxPool { window }, &[relu])
            },
        ),
        Rule::new::<Relu>(
            "relu-of-max-pool",
            BitExact,
            "A relu before the pooling can end the layer before, whose result is then stored once.",
            |m, relu| {
                for pool in m.definitions::<MaxPool>(relu.inputs[0]) {
                    let rectified = term(Relu {}, [pool.inputs[0].into()]);
                    m.found(relu.over(0, &pool), term(pool.rule.clone(), [rectified]));
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let pool = s.node(MaxPool { window }, &[x]);
                s.node(Relu {}, &[pool])
            },
        ),
        Rule::new::<GlobalMaxPool>(
            "global-max-of-relu",
            BitExact,
            "Rectifying one maximum per channel instead of every element.",
            |m, pool| {
                for relu in m.definitions::<Relu>(pool.inputs[0]) {
                    let pooled = term(GlobalMaxPool {}, [relu.inputs[0].into()]);
                    m.found(pool.over(0, &relu), term(Relu {}, [pooled]));
                }
            },
            |s| {
                let x = s.image(2);
                let relu = s.node(Relu {}, &[x]);
                s.node(GlobalMaxPool {}, &[relu])
            },
        ),
    ]
}

fn enlarged() -> Vec<Rule> {
    vec![
        Rule::new::<Upsample>(
            "upsample-of-upsample",
            BitExact,
            "Copying to the nearest twice is copying once by the product of the factors.",
            |m, outer| {
                for inner in m.definitions::<Upsample>(outer.inputs[0]) {
                    if inner.rule.mode == UpsampleMode::Nearest && outer.rule.mode == UpsampleMode::Nearest {
                        let pairs = inner.rule.factor.iter().zip(&outer.rule.factor);
                        let factor = pairs.map(|(inner, outer)| inner.saturating_mul(*outer)).collect();
                        let product = Upsample {
                            factor,
                            mode: UpsampleMode::Nearest,
                        };
                        m.found(outer.over(0, &inner), term(product, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let (first, second) = ([s.between(1, 3), 2], [2, s.between(1, 3)]);
                let inner = s.node(nearest(&first), &[x]);
                s.node(nearest(&second), &[inner])
            },
        ),
        Rule::anywhere(
            "pointwise-of-upsample",
            BitExact,
            "Element by element before the copies are made.",
            is_pointwise,
            |m, outer| {
                for upsample in m.definitions::<Upsample>(outer.inputs[0]) {
                    if upsample.rule.mode == UpsampleMode::Nearest {
                        let inner = term(outer.rule.clone(), [upsample.inputs[0].into()]);
                        m.found(outer.over(0, &upsample), term(upsample.rule.clone(), [inner]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let y = s.node(nearest(&[2, 3]), &[x]);
                s.pointwise(y)
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-upsample",
            BitExact,
            "Taking the maximum of the copies of one element gives it back, if the windows are the copies.",
            |m, pool| {
                for upsample in m.definitions::<Upsample>(pool.inputs[0]) {
                    if undoes(&pool.rule.window, upsample.rule) {
                        m.found(pool.over(0, &upsample), upsample.inputs[0]);
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let factor = [s.between(1, 3), s.between(1, 3)];
                let y = s.node(nearest(&factor), &[x]);
                s.node(
                    MaxPool {
                        window: Window::new(factor).with_stride(factor),
                    },
                    &[y],
                )
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-upsample",
            RealExact,
            "Taking the mean of the copies of one element gives it back, if the windows are the copies.",
            |m, pool| {
                for upsample in m.definitions::<Upsample>(pool.inputs[0]) {
                    if undoes(&pool.rule.window, upsample.rule) {
                        m.found(pool.over(0, &upsample), upsample.inputs[0]);
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let factor = [s.between(1, 3), s.between(1, 3)];
                let y = s.node(nearest(&factor), &[x]);
                let window = Window::new(factor).with_stride(factor);
                s.node(
                    AveragePool {
                        window,
                        count_padding: true,
                    },
                    &[y],
                )
            },
        ),
        Rule::new::<GlobalMaxPool>(
            "global-max-of-upsample",
            BitExact,
            "Copies do not change the maximum.",
            |m, global| {
                for upsample in m.definitions::<Upsample>(global.inputs[0]) {
                    if upsample.rule.mode == UpsampleMode::Nearest {
                        m.found(
                            global.over(0, &upsample),
                            term(GlobalMaxPool {}, [upsample.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let y = s.node(nearest(&[2, 3]), &[x]);
                s.node(GlobalMaxPool {}, &[y])
            },
        ),
        Rule::new::<GlobalAveragePool>(
            "global-average-of-upsample",
            RealExact,
            "Every element is copied equally often, which does not change the mean.",
            |m, global| {
                for upsample in m.definitions::<Upsample>(global.inputs[0]) {
                    if upsample.rule.mode == UpsampleMode::Nearest {
                        m.found(
                            global.over(0, &upsample),
                            term(GlobalAveragePool {}, [upsample.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let y = s.node(nearest(&[2, 3]), &[x]);
                s.node(GlobalAveragePool {}, &[y])
            },
        ),
    ]
}

fn nearest(factor: &[usize]) -> Upsample {
    Upsample {
        factor: factor.to_vec(),
        mode: UpsampleMode::Nearest,
    }
}

/// Whether each window is the copies of one element.
fn undoes(window: &Window, upsample: &Upsample) -> bool {
    upsample.mode == UpsampleMode::Nearest
        && window.kernel == upsample.factor
        && window.stride == upsample.factor
        && is_plain(window)
}
