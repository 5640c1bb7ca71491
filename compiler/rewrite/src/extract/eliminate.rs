//! Minimizes a sum of tables over yes-or-no variables, by eliminating one variable after the other.
//!
//! A table over few variables says what each of their assignments costs. Eliminating a variable replaces all tables that
//! mention it by one over their other variables: the least sum over its two values. So the work grows with the number of
//! variables, and only with the widest table exponentially; a network is narrow.

use std::collections::BTreeSet;

/// Variables of one table, whose size doubles with each.
pub(crate) const WIDTH_LIMIT: usize = 18;

/// A cost for every assignment of some variables; bit `b` of an index is the value of `scope[b]`.
pub(crate) struct Table {
    pub(crate) scope: Vec<usize>,
    pub(crate) values: Vec<u64>,
}

impl Table {
    /// The index of the entry that agrees with an assignment of more variables, given where each of them is.
    fn index(&self, places: &[usize], assignment: usize) -> usize {
        places
            .iter()
            .enumerate()
            .fold(0, |index, (bit, place)| index | (assignment >> place & 1) << bit)
    }

    fn places(&self, scope: &[usize]) -> Vec<usize> {
        let place = |variable: &usize| scope.iter().position(|each| each == variable);
        self.scope
            .iter()
            .map(|variable| place(variable).expect("the scope covers its factors"))
            .collect()
    }
}

/// Values of all variables that minimize the sum of the tables; `fixed` ones are true. `None` if a table would grow beyond
/// [`WIDTH_LIMIT`].
pub(crate) fn eliminate(count: usize, tables: Vec<Table>, fixed: &[bool]) -> Option<Vec<bool>> {
    let mut tables: Vec<Option<Table>> = tables.into_iter().map(|table| Some(condition(table, fixed))).collect();
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut neighbors: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    for (number, table) in tables.iter().enumerate() {
        for &variable in &table.as_ref().expect("none is used up yet").scope {
            users[variable].push(number);
            neighbors[variable].extend(&table.as_ref().expect("none is used up yet").scope);
        }
    }
    for (variable, neighbors) in neighbors.iter_mut().enumerate() {
        neighbors.remove(&variable);
    }
    let mut queue: BTreeSet<(usize, usize)> = (0..count)
        .filter(|&variable| !fixed[variable])
        .map(|variable| (neighbors[variable].len(), variable))
        .collect();
    let mut decisions: Vec<(usize, Vec<usize>, Vec<bool>)> = Vec::new();
    // Fewest neighbors first: the usual greedy order, and exact on chains and trees.
    while let Some((_, variable)) = queue.pop_first() {
        let scope: Vec<usize> = neighbors[variable].iter().copied().collect();
        if scope.len() >= WIDTH_LIMIT {
            return None;
        }
        let used: Vec<Table> = std::mem::take(&mut users[variable])
            .into_iter()
            .filter_map(|number| tables[number].take())
            .collect();
        let (values, taken) = minimize(variable, &scope, &used);
        for &neighbor in &scope {
            queue.remove(&(neighbors[neighbor].len(), neighbor));
            neighbors[neighbor].remove(&variable);
            neighbors[neighbor].extend(scope.iter().copied().filter(|&each| each != neighbor));
            queue.insert((neighbors[neighbor].len(), neighbor));
            users[neighbor].push(tables.len());
        }
        decisions.push((variable, scope.clone(), taken));
        tables.push(Some(Table { scope, values }));
    }
    let mut made = fixed.to_vec();
    for (variable, scope, taken) in decisions.into_iter().rev() {
        let index = scope
            .iter()
            .enumerate()
            .fold(0, |index, (bit, &each)| index | usize::from(made[each]) << bit);
        made[variable] = taken[index];
    }
    Some(made)
}

/// A table without the variables that are certainly true.
fn condition(table: Table, fixed: &[bool]) -> Table {
    if !table.scope.iter().any(|&variable| fixed[variable]) {
        return table;
    }
    let scope: Vec<usize> = table
        .scope
        .iter()
        .copied()
        .filter(|&variable| !fixed[variable])
        .collect();
    let place = |variable: &usize| scope.iter().position(|each| each == variable);
    let places: Vec<Option<usize>> = table.scope.iter().map(place).collect();
    let value = |assignment: usize| {
        let bit = |place: &Option<usize>| place.map_or(1, |place| assignment >> place & 1);
        let index = places
            .iter()
            .enumerate()
            .fold(0, |index, (position, place)| index | bit(place) << position);
        table.values[index]
    };
    let values = (0..1 << scope.len()).map(value).collect();
    Table { scope, values }
}

/// The least sum of these tables for every assignment of `scope`, and whether `variable` is true there.
fn minimize(variable: usize, scope: &[usize], tables: &[Table]) -> (Vec<u64>, Vec<bool>) {
    let mut all = scope.to_vec();
    all.push(variable);
    let places: Vec<Vec<usize>> = tables.iter().map(|table| table.places(&all)).collect();
    let sum = |assignment: usize| {
        let values = tables
            .iter()
            .zip(&places)
            .map(|(table, places)| table.values[table.index(places, assignment)]);
        values.fold(0, u64::saturating_add)
    };
    let decide = |assignment: usize| {
        let (without, with) = (sum(assignment), sum(assignment | 1 << scope.len()));
        (without.min(with), with < without)
    };
    (0..1 << scope.len()).map(decide).unzip()
}
