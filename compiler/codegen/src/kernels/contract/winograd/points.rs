//! The matrices of minimal filtering, from the points that polynomials are evaluated at (Toom and Cook; Winograd, 1980).
//!
//! `m` results of `r` taps are a product of polynomials, known from its values at `m + r - 2` numbers and at infinity:
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`.

use super::linear::Map;

/// Numbers that polynomials are evaluated at, in the order in which they are used: small ones, since powers of large
/// ones cancel; in pairs of opposite sign, whose sums have halves in common.
const POINTS: [f64; 7] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// The transforms along one axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transforms {
    /// `Bᵀ`: source positions to points.
    pub(super) source: Map,
    /// `G`: taps to points.
    pub(super) weights: Map,
    /// `Aᵀ`: points to results.
    pub(super) results: Map,
}

impl Transforms {
    /// For `results` neighbors of a filter with so many taps.
    pub(super) fn new(results: usize, taps: usize) -> Self {
        let count = results + taps - 1;
        let points = &POINTS[..count - 1];
        let others = |own: usize| {
            let others = points.iter().enumerate().filter(move |(index, _)| *index != own);
            others.map(|(_, point)| *point).collect::<Vec<f64>>()
        };
        let power = |base: f64, exponent: usize| base.powi(i32::try_from(exponent).expect("few points"));
        let mut source: Vec<Vec<f64>> = (0..points.len()).map(|own| product(&others(own), count)).collect();
        source.push(product(points, count));
        let scaled = |(own, point): (usize, &f64)| {
            let scale: f64 = others(own).iter().map(|other| point - other).product();
            (0..taps).map(|tap| power(*point, tap) / scale).collect()
        };
        let mut weights: Vec<Vec<f64>> = points.iter().enumerate().map(scaled).collect();
        weights.push(unit(taps - 1, taps));
        let at_infinity = |result: usize| if result + 1 == results { 1.0 } else { 0.0 };
        let row = |result: usize| {
            let finite = points.iter().map(|point| power(*point, result));
            finite.chain([at_infinity(result)]).collect()
        };
        Self {
            source: Map::new(source),
            weights: Map::new(weights),
            results: Map::new((0..results).map(row).collect()),
        }
    }
}

/// Coefficients of `Π (x - root)`, lowest first, filled up with zeros.
fn product(roots: &[f64], count: usize) -> Vec<f64> {
    let mut coefficients = unit(0, count);
    for root in roots {
        for power in (0..count).rev() {
            let below = if power > 0 { coefficients[power - 1] } else { 0.0 };
            coefficients[power] = below - root * coefficients[power];
        }
    }
    coefficients
}

fn unit(place: usize, count: usize) -> Vec<f64> {
    (0..count).map(|index| if index == place { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_filter_for_every_size() {
        for count in 1..=8 {
            for taps in 1..=count {
                let results = count + 1 - taps;
                let transforms = Transforms::new(results, taps);
                let source: Vec<f64> = (0..count).map(|index| (index as f64 * 1.7).sin()).collect();
                let filter: Vec<f64> = (0..taps).map(|index| (index as f64 * 0.9).cos()).collect();
                let (u, v) = (transforms.weights.of(&filter), transforms.source.of(&source));
                let products: Vec<f64> = u.iter().zip(&v).map(|(u, v)| u * v).collect();
                for (index, found) in transforms.results.of(&products).into_iter().enumerate() {
                    let expected: f64 = filter.iter().zip(&source[index..]).map(|(w, x)| w * x).sum();
                    assert!(
                        (found - expected).abs() < 1e-12,
                        "F({results},{taps}): {found}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn four_results_of_three_taps_are_the_matrices_of_the_paper() {
        let transforms = Transforms::new(4, 3);
        let row = |index: usize| transforms.source.of(&unit(index, 6));
        // Columns of Bᵀ in Lavin and Gray, but for the signs of rows, which are in G.
        assert_eq!(row(0), [4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(row(2), [-5.0, -4.0, -4.0, -1.0, -1.0, 0.0]);
    }
}
