//! Convolution by Winograd's minimal filtering: the same function as `conv`, in fewer multiplications.

use super::conv::Conv;
use super::prelude::*;
use super::window::Window;

/// Source positions that a tile may have along an axis: one for each point that transforms are made from.
const LARGEST_TILE: usize = 8;

/// A convolution of stride 1 that is computed tile by tile: what it means is what [`Conv`] means, and only rounding shows
/// how it is computed. The rewriter puts it in place of `conv` and, turned, of `conv_grad_input`; no network is written
/// with it.
///
/// - Shapes: those of [`Conv`]. Turned, `w: f32[C, O/groups, *kernel]` is read with inputs and outputs exchanged and its
///   taps reversed, as the gradient of a convolution with respect to its input reads it.
/// - Gradient: none. It replaces convolutions after gradients were made.
/// - Cost: the multiply-accumulates of the convolution; the kernel does a fraction of them.
/// - Numerics: larger tiles lose more to cancellation; `netc_codegen`'s tests hold the measured bounds.
/// - Errors: those of [`Conv`]; [`ShapeError::Range`] for a stride other than 1 or a tile of more than 8 source positions; [`ShapeError::AxisCount`] or
///   [`ShapeError::Zero`] if `tile` has not one number of at least 1 for each axis.
/// - Source: Winograd, *Arithmetic Complexity of Computations* (1980); Lavin and Gray, "Fast Algorithms for Convolutional
///   Neural Networks" (2015).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinogradConv {
    /// The sliding window, of stride 1.
    pub window: Window,
    /// Equal groups that the channels are split into.
    pub groups: usize,
    /// Results that one tile has along each axis; 1 along an axis with one tap.
    pub tile: Vec<usize>,
    /// Whether weights are read as the gradient with respect to the input reads them.
    pub turned: bool,
}

impl WinogradConv {
    /// The convolution that this is, of weights as [`Self::turn`] gives them.
    fn plain(&self) -> Conv {
        Conv {
            window: self.window.clone(),
            groups: self.groups,
        }
    }

    /// Shape of the weights of [`Self::plain`], if these can be weights at all.
    fn plain_weights(&self, w: &Shape) -> Option<Shape> {
        if !self.turned {
            return Some(w.clone());
        }
        let [inputs, outputs, kernel @ ..] = w.extents() else {
            return None;
        };
        let groups = self.groups.max(1);
        let extents = [&[outputs.checked_mul(groups)?, inputs / groups], kernel].concat();
        inputs.is_multiple_of(groups).then(|| Shape::new(extents))
    }

    /// For each element of the plain weights, where it is in `w`.
    fn turn(&self, w: &Shape) -> Vec<usize> {
        let count = w.element_count();
        if !self.turned {
            return (0..count).collect();
        }
        let (inputs, outputs) = (w[0] / self.groups, w[1]);
        let taps = w.extents()[2..].iter().product::<usize>();
        let from = |index: usize| {
            let (tap, rest) = (index % taps, index / taps);
            let (input, output) = (rest % inputs, rest / inputs);
            let (group, within) = (output / outputs, output % outputs);
            ((group * inputs + input) * outputs + within) * taps + (taps - 1 - tap)
        };
        (0..count).map(from).collect()
    }
}

impl Rule for WinogradConv {
    const NAME: &'static str = "winograd_conv";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let axes = self.window.axes();
        if self.tile.len() != axes {
            return Err(ShapeError::AxisCount {
                attribute: "tile",
                expected: axes,
                found: self.tile.len(),
            });
        }
        if self.tile.contains(&0) {
            return Err(ShapeError::Zero { attribute: "tile" });
        }
        if self
            .tile
            .iter()
            .zip(&self.window.kernel)
            .any(|(tile, taps)| tile.saturating_add(*taps) > LARGEST_TILE + 1)
        {
            return Err(ShapeError::Range {
                attribute: "tile",
                expected: "at most 9 together with the kernel",
            });
        }
        if self.window.stride.iter().any(|&stride| stride != 1) {
            return Err(ShapeError::Range {
                attribute: "stride",
                expected: "1",
            });
        }
        let [x, w, bias @ ..] = inputs else {
            return self.plain().infer(inputs);
        };
        let Some(shape) = self.plain_weights(&w.shape) else {
            return self.plain().infer(inputs);
        };
        let weights = w.with_shape(shape);
        self.plain().infer(&[&[*x, &weights], bias].concat())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (w, shape) = (host::floats(inputs[1]), inputs[1].shape());
        let values = self.turn(shape).into_iter().map(|index| w[index]).collect();
        let plain = self.plain_weights(shape).expect("checked by the shape rule");
        let weights = Tensor::from_f32(plain, values).expect("as many as there were");
        let mut all = inputs.to_vec();
        all[1] = &weights;
        self.plain().evaluate(&all, output, batch)
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        let weights = self.plain_weights(&inputs[1].shape).expect("checked by the shape rule");
        Cost::of_macs(self.plain().macs(&output.shape, &weights))
    }

    fn attributes(&self) -> String {
        let tile: Vec<String> = self.tile.iter().map(ToString::to_string).collect();
        let turned = if self.turned { " turned" } else { "" };
        format!(
            "tile={} {}{turned}",
            tile.join("x"),
            Conv::text(&self.window, self.groups)
        )
    }
}
