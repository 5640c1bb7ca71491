//! Where weights start.

use serde::{Deserialize, Serialize};

use crate::init::Init;

/// The family of distributions from which weights start; biases start at 0 except under `Fan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialization {
    /// Uniform in `±1/√fan_in`, for weights and biases: PyTorch's default for convolution and dense.
    #[default]
    Fan,
    /// Uniform in `±√(6/(fan_in + fan_out))` (Glorot & Bengio, 2010): for tanh and sigmoid.
    XavierUniform,
    /// Normal with variance `2/(fan_in + fan_out)` (Glorot & Bengio, 2010).
    XavierNormal,
    /// Uniform in `±√(6/fan_in)` (He et al., 2015): for relu.
    KaimingUniform,
    /// Normal with variance `2/fan_in` (He et al., 2015).
    KaimingNormal,
    /// Normal with variance `1/fan_in` (LeCun et al., 1998).
    LecunNormal,
}

impl Initialization {
    /// Every family with the name the language gives it.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("fan", Self::Fan),
        ("xavier_uniform", Self::XavierUniform),
        ("xavier_normal", Self::XavierNormal),
        ("kaiming_uniform", Self::KaimingUniform),
        ("kaiming_normal", Self::KaimingNormal),
        ("lecun_normal", Self::LecunNormal),
    ];

    /// The distribution of a weight whose outputs each read `fan_in` values, and whose inputs each reach `fan_out`.
    #[must_use]
    pub fn weight(self, fan_in: usize, fan_out: usize) -> Init {
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out as f64);
        match self {
            Self::Fan => Init::Uniform {
                bound: (1.0 / fan_in).sqrt() as f32,
            },
            Self::XavierUniform => Init::Uniform {
                bound: (6.0 / (fan_in + fan_out)).sqrt() as f32,
            },
            Self::XavierNormal => Init::Normal {
                std: (2.0 / (fan_in + fan_out)).sqrt() as f32,
            },
            Self::KaimingUniform => Init::Uniform {
                bound: (6.0 / fan_in).sqrt() as f32,
            },
            Self::KaimingNormal => Init::Normal {
                std: (2.0 / fan_in).sqrt() as f32,
            },
            Self::LecunNormal => Init::Normal {
                std: (1.0 / fan_in).sqrt() as f32,
            },
        }
    }

    /// The distribution of the bias beside such a weight.
    #[must_use]
    pub fn bias(self, fan_in: usize) -> Init {
        match self {
            Self::Fan => self.weight(fan_in, 0),
            Self::XavierUniform
            | Self::XavierNormal
            | Self::KaimingUniform
            | Self::KaimingNormal
            | Self::LecunNormal => Init::Constant(0.0),
        }
    }
}
