//! The cheapest choice of all, by dynamic programming over the classes' dependencies.
//!
//! Every class is a yes-or-no variable: is it made? A class that is made costs its cheapest way of which all inputs are
//! made; the roots are made. The sum is minimized by eliminating one variable after the other (nonserial dynamic
//! programming: Bertelè and Brioschi, 1972; "bucket elimination": Dechter, 1999). On a chain of layers that is the
//! textbook recursion from layer to layer; branches make it as wide as the network is at its widest, which is little.
//! Classes that can be made from one another form one factor, in which ways are taken in an order that makes sense, so
//! that nothing is ever made from itself.
//!
//! Where a factor or an intermediate table would grow beyond a limit, nothing is proven and the caller searches on.

use std::collections::{BTreeMap, BTreeSet};

use super::components::components;
use super::eliminate::{Table, WIDTH_LIMIT, eliminate};
use super::space::{Candidate, Choice, Space};

/// Inputs of a way, and ways of a class, beyond which intermediate variables are put between.
const FAN_LIMIT: usize = 3;

/// The optimum; classes that it does not need keep what `incumbent` says. `None` if a limit was exceeded.
pub(crate) fn solve(space: &Space, incumbent: &Choice) -> Option<Choice> {
    let mut problem = Problem::new(space);
    problem.narrow();
    let components = problem.components();
    let factors: Option<Vec<Table>> = components.iter().map(|members| problem.factor(members)).collect();
    let made = eliminate(problem.ways.len(), factors?, &problem.made)?;
    let mut choice = incumbent.clone();
    // What is free is no variable: whoever wants it takes it.
    for (class, way) in choice.iter_mut().enumerate() {
        *way = space
            .candidates(class)
            .iter()
            .position(Candidate::is_free)
            .unwrap_or(*way);
    }
    for members in &components {
        problem.decide(members, &made, &mut choice);
    }
    assert!(
        space.order(&choice).is_some(),
        "what is made in order is not made from itself"
    );
    Some(choice)
}

/// A way to make a class, as far as the optimum is concerned.
#[derive(Clone, Debug)]
struct Way {
    /// The candidate's number; meaningless for intermediate variables.
    number: usize,
    cost: u64,
    /// Classes that are not free, each once.
    inputs: Vec<usize>,
}

/// The space without what can be decided at once, and with intermediate variables where fans are wide.
struct Problem {
    ways: Vec<Vec<Way>>,
    /// Whether every solution makes this class.
    made: Vec<bool>,
    /// Classes of the space; what follows are intermediate variables.
    class_count: usize,
}

impl Problem {
    fn new(space: &Space) -> Self {
        let class_count = space.class_count();
        let is_free = |class: usize| space.candidates(class).iter().any(Candidate::is_free);
        let free: Vec<bool> = (0..class_count).map(is_free).collect();
        let of_class = |class: usize| {
            let ways = space
                .candidates(class)
                .iter()
                .enumerate()
                .map(|(number, candidate)| Way {
                    number,
                    cost: candidate.cost,
                    inputs: candidate.inputs.iter().copied().filter(|&input| !free[input]).collect(),
                });
            undominated(ways.collect())
        };
        let ways: Vec<Vec<Way>> = (0..class_count).map(of_class).collect();
        let made = certain(&ways, &space.roots);
        Self {
            ways,
            made,
            class_count,
        }
    }

    /// Classes that can be made from one another, in groups.
    fn components(&self) -> Vec<Vec<usize>> {
        let inputs = |class: usize| self.ways[class].iter().flat_map(|way| way.inputs.iter().copied());
        components(self.ways.len(), inputs)
    }

    /// Puts intermediate variables between classes and their inputs until no fan is wide. Classes that can be made from
    /// one another stay as they are: their factor has to see what takes what.
    fn narrow(&mut self) {
        for members in self.components() {
            if let [class] = members[..] {
                self.narrow_class(class);
            }
        }
    }

    fn narrow_class(&mut self, class: usize) {
        let mut ways = std::mem::take(&mut self.ways[class]);
        for way in &mut ways {
            while way.inputs.len() > FAN_LIMIT {
                let inputs = way.inputs.split_off(way.inputs.len() - 2);
                let both = self.intermediate(vec![Way {
                    number: 0,
                    cost: 0,
                    inputs,
                }]);
                way.inputs.push(both);
            }
        }
        while ways.len() > FAN_LIMIT {
            let rest = ways.split_off(ways.len() - 2);
            let either = self.intermediate(rest);
            ways.push(Way {
                number: 0,
                cost: 0,
                inputs: vec![either],
            });
        }
        self.ways[class] = ways;
    }

    fn intermediate(&mut self, ways: Vec<Way>) -> usize {
        self.ways.push(ways);
        self.made.push(false);
        self.ways.len() - 1
    }

    /// What it costs to make any set of these classes, given what else is made. They may need one another: a set costs
    /// what its last member costs, given the others.
    fn factor(&self, members: &[usize]) -> Option<Table> {
        let outside: BTreeSet<usize> = members
            .iter()
            .flat_map(|&member| &self.ways[member])
            .flat_map(|way| way.inputs.iter().copied())
            .filter(|input| !members.contains(input) && !self.made[*input])
            .collect();
        let scope: Vec<usize> = members.iter().copied().chain(outside).collect();
        if scope.len() > WIDTH_LIMIT {
            return None;
        }
        let bits: BTreeMap<usize, usize> = scope
            .iter()
            .enumerate()
            .map(|(bit, &class)| (class, 1 << bit))
            .collect();
        let needs = |way: &Way| way.inputs.iter().filter_map(|input| bits.get(input)).sum::<usize>();
        let ways: Vec<Vec<(usize, u64)>> = members
            .iter()
            .map(|&member| self.ways[member].iter().map(|way| (needs(way), way.cost)).collect())
            .collect();
        let own = (1 << members.len()) - 1;
        let mut values = vec![u64::MAX; 1 << scope.len()];
        for index in 0..values.len() {
            if index & own == 0 {
                values[index] = 0;
                continue;
            }
            // Smaller sets have smaller numbers, so they are known.
            let last = (0..members.len())
                .filter(|member| index >> member & 1 == 1)
                .map(|member| {
                    let before = index & !(1 << member);
                    let ways = ways[member].iter().filter(|(needs, _)| needs & !before == 0);
                    let cheapest = ways.map(|(_, cost)| *cost).min();
                    cheapest.map_or(u64::MAX, |cost| values[before].saturating_add(cost))
                });
            values[index] = last.min().expect("the set is not empty");
        }
        Some(Table { scope, values })
    }

    /// Chooses ways for those of these classes that are made.
    fn decide(&self, members: &[usize], made: &[bool], choice: &mut Choice) {
        let wanted: Vec<usize> = members.iter().copied().filter(|&member| made[member]).collect();
        for (class, way) in self.order(&wanted, made) {
            if class < self.class_count {
                choice[class] = self.original(class, way, made);
            }
        }
    }

    /// An order in which these classes are made most cheaply, each with its way; every one may use those before it.
    fn order(&self, wanted: &[usize], made: &[bool]) -> Vec<(usize, usize)> {
        let sets = 1_usize << wanted.len();
        let mut best: Vec<Option<(u64, usize, usize)>> = vec![None; sets];
        best[0] = Some((0, 0, 0));
        for set in 1..sets {
            for (bit, &class) in wanted.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1) {
                let before = set & !(1 << bit);
                let Some((known, ..)) = best[before] else { continue };
                let available = |input: &usize| match wanted.iter().position(|each| each == input) {
                    Some(place) => before >> place & 1 == 1,
                    None => made[*input],
                };
                for (number, way) in self.ways[class].iter().enumerate() {
                    let total = known.saturating_add(way.cost);
                    let better = best[set].is_none_or(|(cost, ..)| total < cost);
                    if better && way.inputs.iter().all(available) {
                        best[set] = Some((total, bit, number));
                    }
                }
            }
        }
        let (mut order, mut set) = (Vec::new(), sets - 1);
        while set != 0 {
            let (_, bit, way) = best[set].expect("the factor found a way to make them");
            order.push((wanted[bit], way));
            set &= !(1 << bit);
        }
        order
    }

    /// The candidate behind a way: an intermediate variable stands for the cheapest of its own ways that can be taken.
    fn original(&self, class: usize, way: usize, made: &[bool]) -> usize {
        let mut way = &self.ways[class][way];
        while let [input] = way.inputs[..] {
            // Only a choice between ways is free and has several; a class or a conjunction of inputs is where it ends.
            if input < self.class_count || self.ways[input].len() == 1 {
                break;
            }
            let takeable = |way: &&Way| way.inputs.iter().all(|&input| made[input]);
            let Some(taken) = self.ways[input].iter().filter(takeable).min_by_key(|way| way.cost) else {
                break;
            };
            way = taken;
        }
        way.number
    }
}

/// Ways that no other one makes pointless: at least as cheap, and taking nothing that this one does not take.
fn undominated(ways: Vec<Way>) -> Vec<Way> {
    let beats = |a: usize, b: usize| {
        let (first, second) = (&ways[a], &ways[b]);
        let within = first.inputs.iter().all(|input| second.inputs.contains(input));
        let same = first.cost == second.cost && first.inputs.len() == second.inputs.len();
        within && first.cost <= second.cost && (!same || a < b)
    };
    let kept: Vec<Way> = (0..ways.len())
        .filter(|&way| !(0..ways.len()).any(|other| beats(other, way)))
        .map(|way| ways[way].clone())
        .collect();
    kept
}

/// Classes that every solution makes: the roots, and what every way to make such a class takes.
fn certain(ways: &[Vec<Way>], roots: &[usize]) -> Vec<bool> {
    let mut made = vec![false; ways.len()];
    let mut pending: Vec<usize> = roots.to_vec();
    while let Some(class) = pending.pop() {
        if std::mem::replace(&mut made[class], true) {
            continue;
        }
        if let Some((first, others)) = ways[class].split_first() {
            let shared = |input: &&usize| others.iter().all(|way| way.inputs.contains(input));
            pending.extend(first.inputs.iter().filter(shared));
        }
    }
    made
}
