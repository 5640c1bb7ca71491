//! Times as numbers in columns.

use crate::console::grouped;

/// What times are shown in: one unit for a whole explanation, so that columns can be compared.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// `µs`.
    pub(super) name: &'static str,
    picoseconds: f64,
    decimals: usize,
}

impl Unit {
    /// For an explanation with this total.
    pub(super) fn of(total: u64) -> Self {
        let (name, picoseconds, decimals) = match total {
            0..10_000_000 => ("ns", 1e3, 0),
            10_000_000..1_000_000_000_000 => ("µs", 1e6, 1),
            _ => ("ms", 1e9, 1),
        };
        Self {
            name,
            picoseconds,
            decimals,
        }
    }

    /// The number alone; work that is too little to show is not nothing.
    pub(super) fn number(self, picoseconds: u64) -> String {
        let number = picoseconds as f64 / self.picoseconds;
        let least = 0.5 * 0.1f64.powi(i32::try_from(self.decimals).unwrap_or(0));
        // A view costs a picosecond, for bookkeeping.
        if picoseconds <= 10 {
            return "0".to_owned();
        }
        if number < least {
            return format!("<{:.*}", self.decimals, 2.0 * least);
        }
        let text = format!("{number:.*}", self.decimals);
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |parts| parts);
        let whole = grouped(whole.parse().unwrap_or(u64::MAX));
        if fraction.is_empty() {
            whole
        } else {
            format!("{whole}.{fraction}")
        }
    }

    /// `12.3 → 10.1 µs`.
    pub(super) fn change(self, before: u64, after: u64) -> String {
        format!("{} → {} {}", self.number(before), self.number(after), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unit_serves_a_whole_explanation() {
        let numbers = |total: u64, numbers: &[u64]| -> Vec<String> {
            let unit = Unit::of(total);
            numbers
                .iter()
                .map(|&number| format!("{} {}", unit.number(number), unit.name))
                .collect()
        };
        assert_eq!(
            numbers(2_000_000, &[0, 1, 400, 1_600, 2_000_000]),
            ["0 ns", "0 ns", "<1 ns", "2 ns", "2,000 ns"]
        );
        assert_eq!(
            numbers(54_679_700_000, &[1, 49_999, 50_000, 54_679_700_000]),
            ["0 µs", "<0.1 µs", "0.1 µs", "54,679.7 µs"]
        );
        assert_eq!(numbers(u64::MAX, &[u64::MAX]), ["18,446,744,073.7 ms"]);
    }
}
