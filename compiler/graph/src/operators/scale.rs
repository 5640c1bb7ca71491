//! Multiplication by a number known when the network is compiled.

use super::prelude::*;

/// `y = factor · x`.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: the same operator applied to `dy`.
/// - Errors: [`ShapeError::Range`] unless `factor` is finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The factor.
    pub factor: f32,
}

impl Rule for Scale {
    const NAME: &'static str = "scale";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::range("factor", self.factor, |_| true, "a finite number")?;
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| host::product(x[i], self.factor))
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || graph.derive(site.output, self.clone(), &[site.gradient]))]
    }

    fn attributes(&self) -> String {
        format!("factor={}", self.factor)
    }
}
