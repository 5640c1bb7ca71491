//! The order in which clusters run.
//!
//! Each after what it reads; optimizer steps as soon as their gradient is there, while it is in cache and before the
//! next one needs memory; and a parameter's new value only after everyone has read the old one, so that it can be
//! written in place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use netc_graph::{Graph, NodeId};

use crate::cluster::{Cluster, Updates, cluster};

/// Clusters in running order, and whether updated parameters may be written in place.
pub(crate) struct Order {
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) in_place_updates: bool,
}

/// Groups a graph's operators into clusters and orders them.
pub(crate) fn order(graph: &Graph) -> Order {
    let order = order_of(graph, cluster(graph, Updates::Together));
    if order.in_place_updates {
        return order;
    }
    // What cannot be written in place has no kernel that writes it on the way to something else.
    let order = order_of(graph, cluster(graph, Updates::Apart));
    Order {
        in_place_updates: false,
        ..order
    }
}

/// Orders some clusters.
fn order_of(graph: &Graph, clusters: Vec<Cluster>) -> Order {
    let owner: BTreeMap<NodeId, usize> = clusters
        .iter()
        .enumerate()
        .flat_map(|(index, cluster)| cluster.members.iter().map(move |member| (*member, index)))
        .collect();
    let reads = dependencies(graph, &clusters, &owner);
    let mut constrained = reads.clone();
    for update in graph.updates() {
        let Some(&writer) = owner.get(&update.value) else {
            continue;
        };
        for user in graph.users(update.parameter) {
            if owner[&user] != writer {
                constrained[writer].insert(owner[&user]);
            }
        }
    }
    let urgent: BTreeSet<usize> = graph
        .updates()
        .iter()
        .filter_map(|update| owner.get(&update.value).copied())
        .collect();
    let (sequence, in_place_updates) = match sort(&constrained, &urgent) {
        Some(sequence) => (sequence, true),
        // Two parameters that each need the other's old value: their new ones are made aside and copied at the end.
        None => (sort(&reads, &urgent).expect("a graph has no cycle"), false),
    };
    let mut slots: Vec<Option<Cluster>> = clusters.into_iter().map(Some).collect();
    let clusters = sequence
        .into_iter()
        .map(|index| slots[index].take().expect("each cluster comes once"))
        .collect();
    Order {
        clusters,
        in_place_updates,
    }
}

fn dependencies(graph: &Graph, clusters: &[Cluster], owner: &BTreeMap<NodeId, usize>) -> Vec<BTreeSet<usize>> {
    clusters
        .iter()
        .enumerate()
        .map(|(index, cluster)| {
            let inputs = cluster.members.iter().flat_map(|&member| graph.inputs(member));
            inputs
                .filter_map(|input| owner.get(&input).copied())
                .filter(|&from| from != index)
                .collect()
        })
        .collect()
}

/// Urgent clusters first, then in order of addition. `None` if there is a cycle.
fn sort(dependencies: &[BTreeSet<usize>], urgent: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut users = vec![Vec::new(); dependencies.len()];
    for (index, needed) in dependencies.iter().enumerate() {
        for &from in needed {
            users[from].push(index);
        }
    }
    let key = |index: usize| Reverse((!urgent.contains(&index), index));
    let mut missing: Vec<usize> = dependencies.iter().map(BTreeSet::len).collect();
    let mut ready: BinaryHeap<_> = (0..missing.len())
        .filter(|&index| missing[index] == 0)
        .map(key)
        .collect();
    let mut sequence = Vec::with_capacity(missing.len());
    while let Some(Reverse((_, index))) = ready.pop() {
        sequence.push(index);
        for &user in &users[index] {
            missing[user] -= 1;
            if missing[user] == 0 {
                ready.push(key(user));
            }
        }
    }
    (sequence.len() == dependencies.len()).then_some(sequence)
}
