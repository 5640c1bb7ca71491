//! A value that outlives a run: weights, running statistics, optimizer states.

use netc_runtime::{DType, Init, Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::graph::{Graph, NodeId};
use crate::operator::{Cost, GradientSite, Rule};
use crate::types::Type;

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Learned by gradient descent, and decayed by weight decay.
    Weight,
    /// Learned by gradient descent, not decayed: biases, scales, shifts.
    Bias,
    /// Gathered from the data while training, part of the model: running means and variances. Not counted as a parameter.
    Statistic,
    /// Belongs to the optimizer, not to the model: momenta.
    State,
}

/// A parameter: always f32, never batched. Its key (`conv1.weight`) is the node's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Extents, in PyTorch's order: `[out, in/groups, kh, kw]`, `[out, in]`, `[channels]`.
    pub shape: Shape,
    /// What it is for.
    pub role: Role,
    /// How it gets its first value.
    pub init: Init,
}

impl Parameter {
    /// Whether gradient descent changes it.
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        matches!(self.role, Role::Weight | Role::Bias)
    }
}

impl Rule for Parameter {
    const NAME: &'static str = "parameter";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        match inputs {
            [] => Ok(Type::fixed(DType::F32, self.shape.clone())),
            _ => Err(ShapeError::InputCount {
                expected: "no",
                found: inputs.len(),
            }),
        }
    }

    fn evaluate(&self, _: &[&Tensor], _: &Type, _: usize) -> Tensor {
        unreachable!("the interpreter binds parameters before it evaluates")
    }

    fn gradient(&self, _: &mut Graph, _: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::default()
    }

    fn attributes(&self) -> String {
        let role = match self.role {
            Role::Weight => "weight",
            Role::Bias => "bias",
            Role::Statistic => "statistic",
            Role::State => "state",
        };
        format!("role={role}")
    }
}
