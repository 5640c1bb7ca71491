//! A value known when the network is compiled.

use netc_runtime::{Data, Tensor};
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
            _ => Err(ShapeError::InputCount {
                expected: "no",
                found: inputs.len(),
            }),
        }
    }

    fn evaluate(&self, _: &[&Tensor], _: &Type, _: usize) -> Tensor {
        self.value.clone()
    }

    fn gradient(&self, _: &mut Graph, _: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    /// The value, if it is short.
    fn attributes(&self) -> String {
        match self.value.data() {
            Data::F32(values) if values.len() <= 4 => format!("value={values:?}"),
            Data::I32(values) if values.len() <= 4 => format!("value={values:?}"),
            Data::U8(values) if values.len() <= 4 => format!("value={values:?}"),
            Data::I8(values) if values.len() <= 4 => format!("value={values:?}"),
            _ => String::new(),
        }
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::default()
    }
}
