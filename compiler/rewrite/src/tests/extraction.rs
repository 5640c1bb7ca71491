//! Extraction against brute force on hundreds of small random spaces.

use netc_runtime::random::Stream;

use crate::extract::{Choice, Space, extract};

/// A space of up to 8 classes. Inputs mostly have larger numbers, but some candidates lead back, so that cycles occur;
/// the last candidate of each class never does.
fn random_space(seed: u64) -> Space {
    let stream = Stream::new(seed, "space");
    let mut drawn = 0;
    let mut below = |count: usize| {
        drawn += 1;
        stream.u32_at(drawn) as usize % count
    };
    let count = 2 + below(7);
    let classes = (0..count)
        .map(|class| {
            let later = count - class - 1;
            let mut candidates: Vec<(u64, Vec<usize>)> = Vec::new();
            for _ in 0..below(3) {
                let inputs = (0..below(4))
                    .map(|_| below(count))
                    .filter(|&input| input != class)
                    .collect();
                candidates.push((below(20) as u64, inputs));
            }
            let inputs = if later == 0 {
                Vec::new()
            } else {
                (0..below(3)).map(|_| class + 1 + below(later)).collect()
            };
            candidates.push((below(20) as u64, inputs));
            candidates
        })
        .collect();
    let roots = if below(3) == 0 { vec![0, count - 1] } else { vec![0] };
    Space::of_costs(roots, classes)
}

fn brute_force(space: &Space) -> u64 {
    let mut choice: Choice = vec![0; space.class_count()];
    let mut best = u64::MAX;
    loop {
        best = best.min(space.total(&choice).unwrap_or(u64::MAX));
        let mut class = 0;
        loop {
            if class == choice.len() {
                return best;
            }
            choice[class] += 1;
            if choice[class] < space.candidates(class).len() {
                break;
            }
            choice[class] = 0;
            class += 1;
        }
    }
}

#[test]
fn extraction_is_optimal_on_small_spaces() {
    for seed in 0..3000 {
        let space = random_space(seed);
        let given: Choice = (0..space.class_count())
            .map(|class| space.candidates(class).len() - 1)
            .collect();
        let extraction = extract(&space, &given);
        let (found, best) = (space.total(&extraction.choice), brute_force(&space));
        assert!(extraction.proven, "seed {seed}");
        assert_eq!(found, Some(best), "seed {seed}");
    }
}

/// Two dozen classes that can all be made from one another are beyond what is proven; what is found is still sound, and
/// no dearer than what was given.
#[test]
fn a_tangle_beyond_the_limits_is_searched() {
    let count = 24;
    let around = |class: usize| (class + 1) % count;
    let classes = (0..count)
        .map(|class| {
            vec![
                (1, vec![around(class)]),
                (3, vec![around(around(class)), around(around(around(class)))]),
                (50 + class as u64, Vec::new()),
            ]
        })
        .collect();
    let space = Space::of_costs(vec![0], classes);
    // Everything by itself: dear, but sound.
    let given: Choice = vec![2; count];
    let extraction = extract(&space, &given);
    assert!(!extraction.proven);
    let found = space.total(&extraction.choice).expect("what is found is acyclic");
    assert!(
        found <= space.total(&given).expect("what is given is acyclic"),
        "{found}"
    );
}
