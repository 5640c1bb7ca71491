//! Chooses one e-node for every class that is needed, so that the whole graph costs least.
//!
//! Shared work counts once: the cost of a choice is the sum over the classes reached from the roots, not over a tree.
//! The optimum is found by dynamic programming ([`exact`]) unless the choices are tangled beyond its limits. Then a search
//! starts from the given graph or from the cheapest trees and improves it by changing one class at a time: what it finds
//! is acyclic and costs no more than what it started from.

mod components;
mod eliminate;
mod exact;
mod space;

pub(crate) use space::{Choice, Make, Space};

/// What extraction settled on.
pub(crate) struct Extraction {
    pub(crate) choice: Choice,
    /// Whether nothing in the e-graph is cheaper.
    pub(crate) proven: bool,
}

/// The cheapest choice found for the space, given the one that the input graph makes.
pub(crate) fn extract(space: &Space, given: &Choice) -> Extraction {
    let cost = |choice: &Choice| space.total(choice).expect("a start is acyclic");
    let trees = space.cheapest_trees();
    let start = if cost(&trees) < cost(given) {
        trees
    } else {
        given.clone()
    };
    match exact::solve(space, &start) {
        Some(choice) => Extraction { choice, proven: true },
        None => Extraction {
            choice: improve(space, start),
            proven: false,
        },
    }
}

/// Classes visited after which improvement stops even if it still finds something.
const VISIT_LIMIT: usize = 50_000_000;

/// Changes one class's e-node at a time while that makes the whole cheaper.
fn improve(space: &Space, mut choice: Choice) -> Choice {
    let mut cost = space.total(&choice).expect("the start is acyclic");
    let mut visits = 0;
    loop {
        let before = cost;
        let needed = space.needed(&choice);
        for &class in &needed {
            let mut best = choice[class];
            for candidate in 0..space.candidates(class).len() {
                visits += needed.len();
                if visits > VISIT_LIMIT {
                    return choice;
                }
                let kept = std::mem::replace(&mut choice[class], candidate);
                match space.total(&choice).filter(|&changed| changed < cost) {
                    Some(changed) => (best, cost) = (candidate, changed),
                    None => choice[class] = kept,
                }
            }
            choice[class] = best;
        }
        if cost == before {
            return choice;
        }
    }
}
