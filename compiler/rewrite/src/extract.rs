//! Chooses one e-node for every class that is needed, so that the whole graph costs least.
//!
//! Shared work counts once: the cost of a choice is the sum over the classes reached from the roots, not over a tree.
//! The search starts from the given graph and from the cheapest trees, and improves both by changing one class at a
//! time; whatever it finds is acyclic and costs no more than what it started from.

mod exact;
mod space;

pub(crate) use space::{Choice, Space};

/// What extraction settled on.
pub(crate) struct Extraction {
    pub(crate) choice: Choice,
    /// Whether nothing in the e-graph is cheaper.
    pub(crate) proven: bool,
}

/// The cheapest choice found for the space, given the one that the input graph makes.
pub(crate) fn extract(space: &Space, given: &Choice) -> Extraction {
    let starts = [given.clone(), space.cheapest_trees()];
    let improved = starts.into_iter().map(|choice| improve(space, choice));
    let (best, cost) = improved.min_by_key(|(_, cost)| *cost).expect("two starts");
    match exact::solve(space, &best, cost) {
        exact::Answer::Optimal(choice) => Extraction { choice, proven: true },
        exact::Answer::Unknown => Extraction {
            choice: best,
            proven: false,
        },
    }
}

/// Passes over all classes after which improvement stops even if it still finds something. Two or three are usual.
const PASS_LIMIT: usize = 20;

/// Changes one class's e-node at a time while that makes the whole cheaper.
fn improve(space: &Space, mut choice: Choice) -> (Choice, u64) {
    let mut cost = space.total(&choice).expect("the start is acyclic");
    for _ in 0..PASS_LIMIT {
        let before = cost;
        for class in space.needed(&choice) {
            let kept = choice[class];
            let mut best = kept;
            for candidate in 0..space.candidates(class).len() {
                choice[class] = candidate;
                if let Some(changed) = space.total(&choice).filter(|&changed| changed < cost) {
                    (best, cost) = (candidate, changed);
                }
            }
            choice[class] = best;
        }
        if cost == before {
            break;
        }
    }
    (choice, cost)
}
