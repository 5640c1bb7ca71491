//! A value known when the network is compiled.

use netc_runtime::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::graph::{Graph, NodeId};
use crate::operator::{Cost, GradientSite, Rule};
use crate::types::Type;

/// A tensor written into the network by the compiler. Never batched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// The value.
    pub value: Tensor,
}

impl Rule for Constant {
    const NAME: &'static str = "constant";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        match inputs {
            [] => Ok(Type::fixed(self.value.dtype(), self.value.shape().clone())),
            _ => Err(ShapeError::InputCount { expected: "no", found: inputs.len() }),
        }
    }

    fn evaluate(&self, _: &[&Tensor], _: &Type, _: usize) -> Tensor {
        self.value.clone()
    }

    fn gradient(&self, _: &mut Graph, _: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::default()
    }
}
