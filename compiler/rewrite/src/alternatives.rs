//! What was possible and not taken: for every part of the network the other ways to compute it, and what they would
//! have cost.

use crate::convert::Imported;
use crate::emit::{Group, computed, reach};
use crate::extract::{Choice, Space};
use crate::report::{Alternative, Decision};

/// Alternatives reported for one part; the cheapest first.
const SHOWN: usize = 3;

/// Every part of the network that could have been computed otherwise, in its order.
pub(crate) fn decisions(
    imported: &Imported,
    space: &Space,
    choice: &Choice,
    groups: &[Group],
    names: impl Fn(&Group) -> Vec<String>,
) -> Vec<Decision> {
    let total = space.total(choice).expect("an extraction is acyclic");
    let mut groups: Vec<&Group> = groups.iter().collect();
    groups.sort_by_key(|group| group.given[0]);
    let decision = |group: &Group| {
        let run = run_by(imported, space, choice, group.class);
        let lost = lost(imported, space, choice, group.class, total, &run);
        (!lost.is_empty() && !run.is_empty()).then(|| Decision {
            layers: names(group),
            run,
            lost,
        })
    };
    groups.into_iter().filter_map(decision).collect()
}

/// The other candidates of a class, each with everything else as it was chosen.
fn lost(
    imported: &Imported,
    space: &Space,
    choice: &Choice,
    class: usize,
    total: u64,
    taken: &[String],
) -> Vec<Alternative> {
    let mut lost: Vec<Alternative> = Vec::new();
    let mut other = choice.clone();
    for (way, candidate) in space.candidates(class).iter().enumerate() {
        if candidate.node().is_none() {
            continue;
        }
        other[class] = way;
        let Some(cost) = space.total(&other) else { continue };
        let run = run_by(imported, space, &other, class);
        if way != choice[class] && !run.is_empty() && run != taken {
            lost.push(Alternative {
                run,
                more_picoseconds: cost.saturating_sub(total),
            });
        }
    }
    lost.sort_by(|a, b| (a.more_picoseconds, &a.run).cmp(&(b.more_picoseconds, &b.run)));
    lost.dedup_by(|later, earlier| later.run == earlier.run);
    lost.truncate(SHOWN);
    lost
}

/// Operators that run to make a class from what other parts make, in the order in which they run.
fn run_by(imported: &Imported, space: &Space, choice: &Choice, class: usize) -> Vec<String> {
    let (new, _) = reach(imported, space, choice, class);
    let operators = computed(imported, space, choice, &new);
    operators.into_iter().rev().map(|kind| kind.name().to_owned()).collect()
}
