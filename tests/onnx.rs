//! ONNX models: the ONNX project's own tests, and what imports look like.

use std::collections::BTreeMap;
use std::path::Path;

#[path = "onnx/runner.rs"]
mod runner;

use runner::Outcome;

/// All tests of the ONNX project that use only what netc claims to read, given their folder: `NETC_ONNX_TESTS`, as
/// `onnx/backend/test/data` of the package `onnx` has it.
#[test]
#[ignore = "needs the data of the package `onnx`, in the folder that NETC_ONNX_TESTS names"]
fn conformance() {
    let folder = std::env::var_os("NETC_ONNX_TESTS").expect("NETC_ONNX_TESTS names the folder");
    let tests = runner::tests_in(Path::new(&folder));
    assert!(!tests.is_empty(), "no tests in {}", folder.display());
    let mut operators: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut passed, mut failed) = (0, Vec::new());
    for test in &tests {
        let outcome = runner::run(test);
        if let Outcome::OutOfScope(why) = outcome {
            *reasons.entry(why).or_default() += 1;
            continue;
        }
        let is_passed = outcome == Outcome::Passed;
        for operator in runner::operators(&runner::model(test)) {
            let counts = operators.entry(operator).or_default();
            if is_passed { counts.0 += 1 } else { counts.1 += 1 }
        }
        match outcome {
            Outcome::Failed(why) => failed.push((test.strip_prefix(&folder).unwrap(), why)),
            Outcome::Passed | Outcome::OutOfScope(_) => passed += 1,
        }
    }
    for (test, why) in &failed {
        eprintln!("failed: {}: {why}", test.display());
    }
    for (operator, (passed, failed)) in operators {
        eprintln!("{operator:<20} {passed:>4} passed {failed:>4} failed");
    }
    for (why, count) in reasons {
        eprintln!("{count:>4} not run: {why}");
    }
    let total = passed + failed.len();
    let share = passed as f64 / total as f64 * 100.0;
    eprintln!("{passed} of {total} passed: {share:.1} %");
    assert!(share >= 97.0, "{share:.1} % of the tests passed");
}
