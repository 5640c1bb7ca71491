//! A value the caller gives at every run.

use netc_runtime::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::graph::{Graph, NodeId};
use crate::operator::{Cost, GradientSite, Rule};
use crate::types::Type;

/// An input of the network: images, labels, or a scalar such as the learning rate. Its key is the node's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What the caller must give.
    pub ty: Type,
}

impl Rule for Input {
    const NAME: &'static str = "input";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        match inputs {
            [] => Ok(self.ty.clone()),
            _ => Err(ShapeError::InputCount {
                expected: "no",
                found: inputs.len(),
            }),
        }
    }

    fn evaluate(&self, _: &[&Tensor], _: &Type, _: usize) -> Tensor {
        unreachable!("the interpreter binds inputs before it evaluates")
    }

    fn gradient(&self, _: &mut Graph, _: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::default()
    }
}
