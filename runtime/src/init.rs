//! How a parameter gets its first values.

use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::tensor::{DType, Shape, Tensor};

/// A distribution for the initial values of one parameter, with its constants worked out from the layer's fan.
///
/// Values are drawn by [`crate::random`] from the run's seed and the parameter's name, so that they do not depend on
/// the order in which parameters are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// Every value the same: biases, scales, running statistics.
    Constant(f32),
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width of the interval.
        bound: f32,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
}

impl Init {
    /// The initial values of one parameter: a pure function of the seed and the parameter's name.
    #[must_use]
    pub fn materialize(&self, seed: u64, parameter_name: &str, shape: &Shape) -> Tensor {
        let mut tensor = Tensor::zeros(DType::F32, shape.clone());
        let stream = Stream::new(seed, &format!("init/{parameter_name}"));
        let values = tensor.as_f32_mut().expect("made as f32");
        match *self {
            Self::Constant(value) => values.fill(value),
            Self::Uniform { bound } => stream.fill_uniform(-bound, bound, values),
            Self::Normal { std } => stream.fill_normal(std, values),
        }
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let init = Init::Uniform { bound: 0.5 };
        let first = init.materialize(1, "conv1.weight", &[6, 1, 5, 5].into());
        assert_eq!(first, init.materialize(1, "conv1.weight", &[6, 1, 5, 5].into()));
        assert_ne!(first, init.materialize(2, "conv1.weight", &[6, 1, 5, 5].into()));
        assert_ne!(first, init.materialize(1, "conv2.weight", &[6, 1, 5, 5].into()));
        assert!(first.as_f32().unwrap().iter().all(|value| value.abs() <= 0.5));
        assert_eq!(
            Init::Constant(1.0)
                .materialize(1, "scale", &[2].into())
                .as_f32()
                .unwrap(),
            [1.0, 1.0]
        );
        let normal = Init::Normal { std: 0.1 }.materialize(1, "dense1.weight", &[64, 64].into());
        let square: f32 = normal.as_f32().unwrap().iter().map(|value| value * value).sum();
        // 4096 values: the standard error of the variance is 0.01·√(2/4096), five of them are 1.1e-3.
        assert!((square / 4096.0 - 0.01).abs() < 1.1e-3, "{square}");
    }
}
