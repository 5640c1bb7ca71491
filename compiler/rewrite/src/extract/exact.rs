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
        let mut certain = Self {
            needs,
            member: vec![false; count],
        };
        let needed = |class: usize| space.roots.iter().any(|&root| certain.needs_class(root, class));
        // What is free ties nothing together: a constant that all layers might share must not join them to one region.
        let free = |class: usize| space.candidates(class).iter().any(Candidate::is_free);
        certain.member = (0..count).map(|class| needed(class) || free(class)).collect();
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
        for candidate in space.candidates(class) {
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
    /// Least cost of a candidate of each class.
    least: Vec<u64>,
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
        let least = (0..count)
            .map(|class| {
                space
                    .candidates(class)
                    .iter()
                    .map(|candidate| candidate.cost)
                    .min()
                    .unwrap_or(u64::MAX)
            })
            .collect();
        let mut needed = vec![false; count];
        for &class in region {
            needed[class] = true;
        }
        let mut search = Self {
            space,
            certain,
            least,
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

    /// Decides one open class in every way that may still beat the best.
    fn descend(&mut self) {
        self.steps += 1;
        if self.steps >= STEP_LIMIT {
            return;
        }
        let bound = self
            .open
            .iter()
            .map(|&class| self.least[class])
            .fold(self.cost, u64::saturating_add);
        if bound >= self.best_cost {
            return;
        }
        let Some(class) = self.open.pop() else {
            self.accept();
            return;
        };
        self.decided[class] = true;
        let mut ways: Vec<usize> = (0..self.space.candidates(class).len()).collect();
        ways.sort_by_key(|&way| self.space.candidates(class)[way].cost);
        for way in ways {
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
