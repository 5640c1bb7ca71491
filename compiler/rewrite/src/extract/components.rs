//! Classes that can be made from one another.

/// The strongly connected components of a graph given by its edges, each in increasing order, by Tarjan's algorithm
/// (1972) without recursion: networks are deeper than stacks.
pub(crate) fn components<I: Iterator<Item = usize>>(count: usize, edges: impl Fn(usize) -> I) -> Vec<Vec<usize>> {
    let mut search = Search {
        entered: vec![None; count],
        lowest: vec![0; count],
        on_stack: vec![false; count],
        stack: Vec::new(),
        next: 0,
        found: Vec::new(),
    };
    for root in 0..count {
        if search.entered[root].is_some() {
            continue;
        }
        let mut path = vec![(root, search.enter(root, &edges))];
        while let Some((node, targets)) = path.last_mut() {
            let node = *node;
            let Some(target) = targets.pop() else {
                path.pop();
                search.leave(node, path.last().map(|(user, _)| *user));
                continue;
            };
            match search.entered[target] {
                None => path.push((target, search.enter(target, &edges))),
                Some(entered) if search.on_stack[target] => search.lowest[node] = search.lowest[node].min(entered),
                Some(_) => {}
            }
        }
    }
    search.found
}

struct Search {
    /// When each node was first seen.
    entered: Vec<Option<usize>>,
    /// The earliest node on the stack that each leads back to.
    lowest: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    next: usize,
    found: Vec<Vec<usize>>,
}

impl Search {
    fn enter<I: Iterator<Item = usize>>(&mut self, node: usize, edges: &impl Fn(usize) -> I) -> Vec<usize> {
        self.entered[node] = Some(self.next);
        self.lowest[node] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.on_stack[node] = true;
        edges(node).collect()
    }

    fn leave(&mut self, node: usize, user: Option<usize>) {
        if let Some(user) = user {
            self.lowest[user] = self.lowest[user].min(self.lowest[node]);
        }
        if self.entered[node] == Some(self.lowest[node]) {
            let first = self
                .stack
                .iter()
                .rposition(|&each| each == node)
                .expect("a node is on the stack until it is left");
            let mut members = self.stack.split_off(first);
            members.iter().for_each(|&member| self.on_stack[member] = false);
            members.sort_unstable();
            self.found.push(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::components;

    #[test]
    fn cycles_are_found_and_everything_else_stands_alone() {
        let edges = [vec![1], vec![2, 3], vec![0], vec![4], vec![3], vec![5, 0]];
        let mut found = components(edges.len(), |node| edges[node].iter().copied());
        found.sort();
        assert_eq!(found, [vec![0, 1, 2], vec![3, 4], vec![5]]);
    }
}
