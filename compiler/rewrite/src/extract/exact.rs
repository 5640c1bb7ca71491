//! The cheapest choice of all, proven.
//!
//! Some classes are in every solution: what all candidates of such a class need is needed as well. Cut there, a network
//! falls into small independent problems, a chain into single layers, which is what dynamic programming would use. Each
//! problem is solved by branch and bound; one that exceeds its budget leaves the answer open.

use super::space::{Candidate, Choice, Space};

/// Steps of branch and bound for one problem. Regions of real networks take a few dozen.
const STEP_LIMIT: usize = 20_000;

/// Classes beyond which nothing is proven: the sets of certain classes grow with the square of their number.
const CLASS_LIMIT: usize = 8192;

/// The optimum, given some acyclic choice to start from; `None` if a budget was exceeded before it was proven.
pub(crate) fn solve(space: &Space, incumbent: &Choice) -> Option<Choice> {
    if space.class_count() > CLASS_LIMIT {
        return None;
    }
    let certain = Certain::of(space);
    let mut choice = incumbent.clone();
    for (class, way) in choice.iter_mut().enumerate() {
        if let Some(found) = space.candidates(class).iter().position(Candidate::is_free) {
            *way = found;
        }
    }
    for region in regions(space, &certain) {
        let mut search = Search::new(space, &certain, &region, &choice);
        search.descend();
        if search.steps >= STEP_LIMIT {
            return None;
        }
        choice = search.best;
    }
    // Regions were solved apart from one another; only together could they close a cycle.
    space.order(&choice).is_some().then_some(choice)
}

/// Which classes every solution contains, or might as well.
struct Certain {
    /// For each class what every acyclic way to make it needs, itself included, as a set of bits.
    needs: Vec<Vec<u64>>,
    member: Vec<bool>,
    /// The members as a set of bits.
    members: Vec<u64>,
    /// Least cost of a candidate of each class.
    least: Vec<u64>,
    /// For each class the candidates worth trying, cheapest first.
    ways: Vec<Vec<usize>>,
}

/// Candidates that no other one makes pointless: at least as cheap, and taking nothing that this one does not take.
fn ways(candidates: &[Candidate]) -> Vec<usize> {
    let beats = |a: usize, b: usize| {
        let (first, second) = (&candidates[a], &candidates[b]);
        let within = first.inputs.iter().all(|input| second.inputs.contains(input));
        let same = first.cost == second.cost && first.inputs.len() == second.inputs.len();
        within && first.cost <= second.cost && (!same || a < b)
    };
    let all = 0..candidates.len();
    let mut ways: Vec<usize> = all
        .clone()
        .filter(|&way| !all.clone().any(|other| beats(other, way)))
        .collect();
    ways.sort_by_key(|&way| candidates[way].cost);
    ways
}

impl Certain {
    fn of(space: &Space) -> Self {
        let count = space.class_count();
        let words = count.div_ceil(64);
        // From "everything" downwards to the greatest fixed point.
        let mut needs = vec![vec![u64::MAX; words]; count];
        loop {
            let mut changed = false;
            for class in (0..count).rev() {
                let mut common = vec![u64::MAX; words];
                for candidate in space.candidates(class) {
                    let mut union = vec![0; words];
                    for &input in &candidate.inputs {
                        union
                            .iter_mut()
                            .zip(&needs[input])
                            .for_each(|(word, more)| *word |= more);
                    }
                    common.iter_mut().zip(&union).for_each(|(word, each)| *word &= each);
                }
                common[class / 64] |= 1 << (class % 64);
                if common != needs[class] {
                    (needs[class], changed) = (common, true);
                }
            }
            if !changed {
                break;
            }
        }
        let candidates = || (0..count).map(|class| space.candidates(class));
        let mut certain = Self {
            needs,
            member: vec![false; count],
            members: vec![0; words],
            least: candidates()
                .map(|all| all.iter().map(|candidate| candidate.cost).min().unwrap_or(u64::MAX))
                .collect(),
            ways: candidates().map(ways).collect(),
        };
        let needed = |class: usize| space.roots.iter().any(|&root| certain.needs_class(root, class));
        // What is free ties nothing together: a constant that all layers might share must not join them to one region.
        let free = |class: usize| space.candidates(class).iter().any(Candidate::is_free);
        certain.member = (0..count).map(|class| needed(class) || free(class)).collect();
        for class in (0..count).filter(|&class| certain.member[class]) {
            certain.members[class / 64] |= 1 << (class % 64);
        }
        certain
    }

    /// Whether every way to make `class` needs `other`.
    fn needs_class(&self, class: usize, other: usize) -> bool {
        self.needs[class][other / 64] >> (other % 64) & 1 == 1
    }
}

/// Groups of certain classes whose choices share classes that are not certain; each with the classes it may use.
fn regions(space: &Space, certain: &Certain) -> Vec<Vec<usize>> {
    let count = space.class_count();
    let mut leader: Vec<usize> = (0..count).collect();
    fn find(leader: &mut [usize], mut class: usize) -> usize {
        while leader[class] != class {
            leader[class] = leader[leader[class]];
            class = leader[class];
        }
        class
    }
    for class in 0..count {
        for &way in &certain.ways[class] {
            let candidate = &space.candidates(class)[way];
            for &input in candidate.inputs.iter().filter(|&&input| !certain.member[input]) {
                let (a, b) = (find(&mut leader, class), find(&mut leader, input));
                leader[a.max(b)] = a.min(b);
            }
        }
    }
    let mut regions: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    for class in (0..count).filter(|&class| certain.member[class]) {
        regions.entry(find(&mut leader, class)).or_default().push(class);
    }
    regions
        .into_values()
        .filter(|region| region.iter().any(|&class| space.candidates(class).len() > 1))
        .collect()
}

/// Branch and bound over one region.
struct Search<'a> {
    space: &'a Space,
    certain: &'a Certain,
    best: Choice,
    best_cost: u64,
    current: Choice,
    cost: u64,
    open: Vec<usize>,
    /// How each class stands: not needed so far, needed, or decided.
    needed: Vec<bool>,
    decided: Vec<bool>,
    steps: usize,
}

impl<'a> Search<'a> {
    fn new(space: &'a Space, certain: &'a Certain, region: &[usize], incumbent: &Choice) -> Self {
        let count = space.class_count();
        let mut needed = vec![false; count];
        for &class in region {
            needed[class] = true;
        }
        let mut search = Self {
            space,
            certain,
            best: incumbent.clone(),
            best_cost: 0,
            current: incumbent.clone(),
            cost: 0,
            open: region.to_vec(),
            needed,
            decided: vec![false; count],
            steps: 0,
        };
        search.best_cost = search.region_cost(region, incumbent);
        search
    }

    /// What a choice costs in this region: from its certain classes down to other certain ones.
    fn region_cost(&self, region: &[usize], choice: &Choice) -> u64 {
        let mut seen = vec![false; self.space.class_count()];
        let mut pending = region.to_vec();
        pending.iter().for_each(|&class| seen[class] = true);
        let mut cost = 0_u64;
        while let Some(class) = pending.pop() {
            let candidate = self.space.chosen(choice, class);
            cost = cost.saturating_add(candidate.cost);
            for &input in &candidate.inputs {
                if !self.certain.member[input] && !std::mem::replace(&mut seen[input], true) {
                    pending.push(input);
                }
            }
        }
        cost
    }

    /// What any way to finish costs at least: what is decided, the cheapest candidate of every open class, and of every
    /// class that each way to make an open one needs.
    fn bound(&self) -> u64 {
        let mut implied = vec![0; self.certain.members.len()];
        for &class in &self.open {
            implied
                .iter_mut()
                .zip(&self.certain.needs[class])
                .for_each(|(word, needs)| *word |= needs);
        }
        implied
            .iter_mut()
            .zip(&self.certain.members)
            .for_each(|(word, members)| *word &= !members);
        let open = self.open.iter().map(|&class| self.certain.least[class]);
        let mut bound = open.fold(self.cost, u64::saturating_add);
        for (index, mut word) in implied.into_iter().enumerate() {
            while word != 0 {
                let class = index * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                // Open and decided classes are counted already; bits beyond the last class mean nothing.
                if class < self.needed.len() && !self.needed[class] {
                    bound = bound.saturating_add(self.certain.least[class]);
                }
            }
        }
        bound
    }

    /// Decides one open class in every way that may still beat the best.
    fn descend(&mut self) {
        self.steps += 1;
        if self.steps >= STEP_LIMIT {
            return;
        }
        let bound = self.bound();
        if bound >= self.best_cost {
            return;
        }
        let Some(class) = self.open.pop() else {
            self.accept();
            return;
        };
        self.decided[class] = true;
        let certain = self.certain;
        for &way in &certain.ways[class] {
            self.take(class, way);
        }
        self.decided[class] = false;
        self.open.push(class);
    }

    fn take(&mut self, class: usize, way: usize) {
        let space = self.space;
        let candidate = &space.candidates(class)[way];
        if candidate
            .inputs
            .iter()
            .any(|&input| self.certain.needs_class(input, class) || self.leads_back(input, class))
        {
            return;
        }
        let depth = self.open.len();
        let previous = std::mem::replace(&mut self.current[class], way);
        self.cost = self.cost.saturating_add(candidate.cost);
        for &input in &candidate.inputs {
            if !self.certain.member[input] && !self.needed[input] {
                self.needed[input] = true;
                self.open.push(input);
            }
        }
        let opened = self.open[depth..].to_vec();
        self.descend();
        self.open.truncate(depth);
        for input in opened {
            self.needed[input] = false;
        }
        self.cost -= candidate.cost;
        self.current[class] = previous;
    }

    /// Whether decided classes lead from `from` to `to`.
    fn leads_back(&self, from: usize, to: usize) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut pending = vec![from];
        while let Some(class) = pending.pop() {
            if class == to {
                return true;
            }
            if self.decided[class] && seen.insert(class) {
                pending.extend(&self.space.chosen(&self.current, class).inputs);
            }
        }
        false
    }

    fn accept(&mut self) {
        self.best_cost = self.cost;
        self.best.clone_from(&self.current);
    }
}
