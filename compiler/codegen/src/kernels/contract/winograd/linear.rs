//! Small linear maps as code: sums of registers with known factors, in few operations.
//!
//! Columns that are equal or opposite in every row enter as one sum and one difference, and rows that agree in some
//! columns and are opposite in the others share both halves. Matrices of points in pairs of opposite sign are full of
//! either.

use crate::builder::Builder;
use crate::ir::Float;

/// A matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    rows: Vec<Vec<f64>>,
}

impl Map {
    pub(super) fn new(rows: Vec<Vec<f64>>) -> Self {
        Self { rows }
    }

    /// Numbers that it gives.
    pub(super) fn outputs(&self) -> usize {
        self.rows.len()
    }

    /// Writes the map of these registers.
    pub(super) fn write(&self, b: &mut Builder, inputs: &[Float]) -> Vec<Float> {
        let (rows, inputs) = self.paired_columns(b, inputs);
        let mut results: Vec<Option<Float>> = vec![None; rows.len()];
        for index in 0..rows.len() {
            if results[index].is_some() {
                continue;
            }
            let partner = (index + 1..rows.len()).find_map(|other| {
                let halves = halves(&rows[index], &rows[other])?;
                results[other].is_none().then_some((other, halves))
            });
            let Some((other, (same, opposite))) = partner else {
                results[index] = Some(sum(b, &rows[index], &inputs));
                continue;
            };
            let (same, opposite) = (sum(b, &same, &inputs), sum(b, &opposite, &inputs));
            results[index] = Some(b.fadd(same, opposite));
            results[other] = Some(b.fsub(same, opposite));
        }
        results
            .into_iter()
            .map(|result| result.expect("every row is written"))
            .collect()
    }

    /// The map over sums and differences of inputs, where columns pair up.
    fn paired_columns(&self, b: &mut Builder, inputs: &[Float]) -> (Vec<Vec<f64>>, Vec<Float>) {
        let mut rows = self.rows.clone();
        let mut inputs = inputs.to_vec();
        for left in 0..inputs.len() {
            let paired = |right: &usize| {
                let of = |row: &Vec<f64>| (row[left], row[*right]);
                let pairs = || rows.iter().map(of).filter(|(a, b)| *a != 0.0 || *b != 0.0);
                // A sum and a difference, each used more than once between them.
                pairs().all(|(a, b)| a == b || a == -b) && pairs().count() > 2
            };
            let Some(right) = (left + 1..inputs.len()).find(paired) else {
                continue;
            };
            let (a, c) = (inputs[left], inputs[right]);
            let difference = rows.iter().any(|row| row[left] != row[right]);
            let together = rows.iter().any(|row| row[left] == row[right] && row[left] != 0.0);
            if together {
                inputs[left] = b.fadd(a, c);
            }
            if difference {
                inputs[right] = b.fsub(a, c);
            }
            for row in &mut rows {
                let unused = if row[left] == row[right] { right } else { left };
                row[right] = row[left];
                row[unused] = 0.0;
            }
        }
        (rows, inputs)
    }
}

/// Two rows as one in common and one that they have with opposite signs, if neither is empty and nothing is left over.
fn halves(first: &[f64], second: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let pairs = || first.iter().zip(second);
    let part =
        |keep: fn(f64, f64) -> bool| -> Vec<f64> { pairs().map(|(&a, &b)| if keep(a, b) { a } else { 0.0 }).collect() };
    let (same, opposite) = (part(|a, b| a == b), part(|a, b| a == -b && a != 0.0));
    let some = |half: &[f64]| half.iter().any(|&factor| factor != 0.0);
    let whole = pairs().all(|(a, b)| a.abs() == b.abs());
    (whole && some(&same) && some(&opposite)).then_some((same, opposite))
}

/// `Σ factor · input`, starting from a factor of one where there is one.
fn sum(b: &mut Builder, factors: &[f64], inputs: &[Float]) -> Float {
    let lanes = b.lanes(inputs[0]);
    let mut terms: Vec<(f64, Float)> = factors.iter().copied().zip(inputs.iter().copied()).collect();
    terms.retain(|(factor, _)| *factor != 0.0);
    // Stable, so that the order of the sum follows from the matrix alone.
    terms.sort_by_key(|(factor, _)| *factor != 1.0);
    let (first, rest) = terms.split_first().expect("no row of a transform is empty");
    let mut total = match first.0 {
        1.0 => first.1,
        factor => {
            let factor = b.constant(factor as f32, lanes);
            b.fmul(factor, first.1)
        }
    };
    for (factor, input) in rest {
        total = match *factor {
            1.0 => b.fadd(total, *input),
            -1.0 => b.fsub(total, *input),
            factor => {
                let factor = b.constant(factor as f32, lanes);
                b.fma(*input, factor, total)
            }
        };
    }
    total
}

/// Writes a map down the columns, then one across the rows, of a tile of registers given row by row.
pub(super) fn write_both(b: &mut Builder, [down, across]: [&Map; 2], tile: &[Float]) -> Vec<Float> {
    write_down(b, down, tile)
        .chunks(tile.len() / down.inputs())
        .flat_map(|row| across.write(b, row))
        .collect()
}

/// Writes a map down the columns of a tile of registers given row by row.
pub(super) fn write_down(b: &mut Builder, down: &Map, tile: &[Float]) -> Vec<Float> {
    let columns = tile.len() / down.inputs();
    let down_each: Vec<Vec<Float>> = (0..columns)
        .map(|column| {
            let inputs: Vec<Float> = tile.iter().skip(column).step_by(columns).copied().collect();
            down.write(b, &inputs)
        })
        .collect();
    (0..down.outputs())
        .flat_map(|row| down_each.iter().map(move |column| column[row]))
        .collect()
}

impl Map {
    /// Numbers that it takes.
    fn inputs(&self) -> usize {
        self.rows[0].len()
    }

    /// The map of these numbers.
    #[cfg(test)]
    pub(super) fn of(&self, inputs: &[f64]) -> Vec<f64> {
        let dot = |row: &Vec<f64>| row.iter().zip(inputs).map(|(factor, input)| factor * input).sum();
        self.rows.iter().map(dot).collect()
    }
}
