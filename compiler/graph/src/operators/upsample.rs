//! Enlargement by whole factors.

use super::prelude::*;
use super::upsample_grad::UpsampleGrad;
use super::window::per_axis;

/// How a position between the inputs gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpsampleMode {
    /// The value of the input position it lies in.
    Nearest,
    /// Linear in the distance to the two nearest input centers, along each axis; PyTorch's `align_corners=False`.
    Bilinear,
}

/// `y[c, p] = Σ weight · x[c, q]`, with the one or two input positions `q` per axis that [`UpsampleMode`] says.
///
/// - Shapes: `x: f32[C, *S] → f32[C, *(factor · S)]`.
/// - Gradient: [`UpsampleGrad`].
/// - Errors: [`ShapeError::Rank`]; [`ShapeError::AxisCount`]; [`ShapeError::Zero`]; [`ShapeError::TooLarge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsample {
    /// Output positions for each input position, one number per spatial axis.
    pub factor: Vec<usize>,
    /// How values are made.
    pub mode: UpsampleMode,
}

/// For each output position along one axis, two input positions and their weights; the second weight may be 0.
type Sources = Vec<[(usize, f64); 2]>;

impl Upsample {
    /// `[C, *(factor · S)]`.
    pub(crate) fn shape(&self, x: &Shape) -> Result<Shape, ShapeError> {
        let (channels, spatial) = expect::spatial(x)?;
        if self.factor.len() != spatial.len() {
            let (expected, found) = (spatial.len(), self.factor.len());
            return Err(ShapeError::AxisCount {
                attribute: "factor",
                expected,
                found,
            });
        }
        if self.factor.contains(&0) {
            return Err(ShapeError::Zero { attribute: "factor" });
        }
        let extents = spatial
            .iter()
            .zip(&self.factor)
            .map(|(extent, factor)| extent.saturating_mul(*factor));
        Ok(Shape::new(std::iter::once(channels).chain(extents).collect::<Vec<_>>()))
    }

    fn sources(&self, axis: usize, extent: usize) -> Sources {
        let factor = self.factor[axis];
        let outputs = 0..extent * factor;
        match self.mode {
            UpsampleMode::Nearest => outputs
                .map(|output| [(output / factor, 1.0), (output / factor, 0.0)])
                .collect(),
            UpsampleMode::Bilinear => outputs
                .map(|output| {
                    let center = ((output as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
                    let (first, weight) = (center as usize, center.fract());
                    [(first, 1.0 - weight), ((first + 1).min(extent - 1), weight)]
                })
                .collect(),
        }
    }

    /// Visits every contribution within one plane of these spatial extents: output position, input position, weight.
    pub(crate) fn for_each_source(&self, spatial: &[usize], mut visit: impl FnMut(usize, usize, f64)) {
        let (rows, columns, width) = match *spatial {
            [length] => (vec![[(0, 1.0), (0, 0.0)]], self.sources(0, length), length),
            [height, width] => (self.sources(0, height), self.sources(1, width), width),
            _ => unreachable!("the shape rule admits one or two spatial axes"),
        };
        for (row, from_rows) in rows.iter().enumerate() {
            for (column, from_columns) in columns.iter().enumerate() {
                for (input_row, row_weight) in from_rows {
                    for (input_column, weight) in from_columns {
                        let output = row * columns.len() + column;
                        visit(output, input_row * width + input_column, row_weight * weight);
                    }
                }
            }
        }
    }
}

impl Rule for Upsample {
    const NAME: &'static str = "upsample";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.with_shape(self.shape(&x.shape)?))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let shape = host::sample_shape(inputs[0], output.shape.rank());
        let spatial = &shape.extents()[1..];
        let mut sums = host::zeros(output, batch);
        let planes = host::floats(inputs[0]).chunks_exact(spatial.iter().product());
        for (x, sums) in planes.zip(sums.chunks_exact_mut(output.shape.extents()[1..].iter().product())) {
            self.for_each_source(spatial, |to, from, weight| sums[to] += weight * f64::from(x[from]));
        }
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let input = graph.ty(site.inputs[0]).shape.clone();
        let rule = UpsampleGrad {
            factor: self.factor.clone(),
            mode: self.mode,
            input,
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        let terms = match self.mode {
            UpsampleMode::Nearest => 1,
            UpsampleMode::Bilinear => 1 << (inputs[0].shape.rank() - 1),
        };
        Cost::of_operations(terms * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        let mode = match self.mode {
            UpsampleMode::Nearest => "nearest",
            UpsampleMode::Bilinear => "bilinear",
        };
        format!("factor={} mode={mode}", per_axis(&self.factor))
    }
}
