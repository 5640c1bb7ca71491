//! Two tensors of one shape, either of which may exist once for all samples of the other.

use super::batch_sum::BatchSum;
use super::prelude::*;
use super::relu_grad::ReluGrad;
use super::subtract::Subtract;

/// Equal shapes; batched if either is.
pub(crate) fn infer(inputs: &[&Type]) -> Result<Type, ShapeError> {
    let [a, b] = expect::floats(inputs)?;
    expect::same_shape(&a.shape, &b.shape)?;
    Ok(Type {
        batched: a.batched || b.batched,
        ..a.clone()
    })
}

/// `f` of each pair of elements.
pub(crate) fn evaluate(inputs: &[&Tensor], output: &Type, batch: usize, f: impl Fn(f64, f64) -> f64) -> Tensor {
    let (a, b) = (host::floats(inputs[0]), host::floats(inputs[1]));
    // A fixed tensor has as many elements as one sample: its elements come again for the next.
    host::build(output, batch, |i| {
        f(f64::from(a[i % a.len()]), f64::from(b[i % b.len()]))
    })
}

/// The gradients of two inputs of which each element of the result is one: to the first where `ahead` is above zero,
/// elsewhere to the second.
pub(crate) fn gradients_by_margin(graph: &mut Graph, site: &GradientSite<'_>, ahead: NodeId) -> Vec<Option<NodeId>> {
    let to_first = graph.derive(site.output, ReluGrad {}, &[ahead, site.gradient]);
    vec![
        site.when(0, || reduce(graph, site, 0, to_first)),
        site.when(1, || {
            let rest = graph.derive(site.output, Subtract {}, &[site.gradient, to_first]);
            reduce(graph, site, 1, rest)
        }),
    ]
}

/// What the gradient of an input becomes: summed over the batch if the input was used for every sample.
pub(crate) fn reduce(graph: &mut Graph, site: &GradientSite<'_>, input: usize, gradient: NodeId) -> NodeId {
    if graph.ty(gradient).batched && !graph.ty(site.inputs[input]).batched {
        graph.derive(site.output, BatchSum {}, &[gradient])
    } else {
        gradient
    }
}
