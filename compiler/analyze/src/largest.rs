//! The largest number that still fits.

/// The largest number of which `fits` holds, found by doubling and halving; `None` if it does not hold of 1. Whatever is
/// smaller than a number that fits has to fit, and something must not.
pub(crate) fn largest(fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, 1);
    while fits(high) {
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    (low > 0).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_last_that_fits_is_found() {
        assert_eq!(largest(|_| false), None);
        for last in 1..40 {
            assert_eq!(largest(|number| number <= last), Some(last));
        }
    }
}
