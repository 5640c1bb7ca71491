//! Explanations of the seven models and of the case networks: nothing is left out, nothing is told twice, and the parts
//! add up to the totals. How they look is in `tests/cli/explain.snap`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use netc::explanation::{Explanation, Phase};
use netc::stages::graph::{Graph, Operator};
use netc::stages::{autodiff, rewrite};
use netc::{Class, ExplainOptions, Network, Options, Purpose};

fn networks() -> Vec<(PathBuf, Network)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["models", "tests/cases"].into_iter();
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "net"))
        .collect();
    files.sort();
    let load = |path: PathBuf| {
        let network = Network::load(&path).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)));
        (path, network)
    };
    files.into_iter().map(load).collect()
}

fn operators(graph: &Graph) -> impl Iterator<Item = &str> {
    let is_operator = |operator: &Operator| {
        !matches!(
            operator,
            Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
        )
    };
    let nodes = graph.ids().map(|id| graph.node(id));
    nodes
        .filter(move |node| is_operator(&node.operator))
        .map(|node| node.name.as_str())
}

/// How often each name comes.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// Everything that holds for any explanation of a graph.
fn check(title: &str, graph: &Graph, explanation: &Explanation) {
    let rows = &explanation.rows;
    let written = || rows.iter().flat_map(|row| &row.written);
    let run = || rows.iter().flat_map(|row| &row.run);
    assert_eq!(
        counted(written().map(|each| each.layer.as_str())),
        counted(operators(graph)),
        "{title}: every written operator is told once"
    );
    for row in rows {
        let layers: BTreeSet<&str> = row.written.iter().map(|each| each.layer.as_str()).collect();
        assert_eq!(layers, row.layers.iter().map(String::as_str).collect(), "{title}");
        let sum = |costs: &mut dyn Iterator<Item = u64>| costs.sum::<u64>();
        assert_eq!(
            row.before_picoseconds,
            sum(&mut row.written.iter().map(|each| each.picoseconds))
        );
        assert_eq!(
            row.after_picoseconds,
            sum(&mut row.run.iter().map(|each| each.picoseconds))
        );
    }
    let mut row_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (row, runs) in rows.iter().enumerate() {
        for run in runs.run.iter().filter(|run| !run.at_binding) {
            assert_eq!(
                *row_of.entry(run.kernel).or_insert(row),
                row,
                "{title}: a kernel is in one row"
            );
        }
    }
    let (before, after) = (&explanation.before, &explanation.after);
    assert_eq!(
        before.picoseconds,
        rows.iter().map(|row| row.before_picoseconds).sum::<u64>(),
        "{title}"
    );
    assert_eq!(
        after.picoseconds,
        rows.iter().map(|row| row.after_picoseconds).sum::<u64>(),
        "{title}"
    );
    assert!(after.picoseconds <= before.picoseconds, "{title}");
    // Equal operators are counted once in the totals.
    let count = |at_binding: bool| written().filter(|each| each.at_binding == at_binding).count();
    assert!(
        before.operators <= count(false) && before.binding_operators <= count(true),
        "{title}"
    );
    let costly = written().filter(|each| each.picoseconds > 0).count();
    assert_eq!(before.operators + before.binding_operators, costly, "{title}");
    let is_copy = |operator: &str| operator == "relayout";
    assert_eq!(
        after.copies,
        run().filter(|each| is_copy(each.operator)).count(),
        "{title}"
    );
    let computed = || run().filter(|each| each.operator != "constant" && !is_copy(each.operator));
    let count = |at_binding: bool| computed().filter(|each| each.at_binding == at_binding).count();
    assert_eq!(
        (after.operators, after.binding_operators),
        (count(false), count(true)),
        "{title}"
    );
    for change in explanation.changes.as_ref().expect("small enough for proofs") {
        let row = &rows[change.row];
        assert!(
            change.what.layers.iter().all(|layer| row.layers.contains(layer)),
            "{title}: {change:?}"
        );
        assert!(!change.what.rules.is_empty(), "{title}");
        for rule in &change.what.rules {
            assert!(
                row.rules.contains(&rule.rule) && explanation.classes.contains(&rule.class),
                "{title}"
            );
            assert!(explanation.rules.iter().any(|fired| fired.rule == rule.rule), "{title}");
        }
    }
    for part in explanation.not_taken.as_ref().expect("small enough for proofs") {
        assert!(!part.what.lost.is_empty());
        assert!(
            part.what
                .layers
                .iter()
                .all(|layer| rows[part.row].layers.contains(layer)),
            "{title}"
        );
    }
}

#[test]
fn explanations_are_complete_and_add_up() {
    let options = Options::portable();
    for (path, network) in networks() {
        for classes in [None, Some(BTreeSet::from([Class::BitExact]))] {
            let asked = ExplainOptions { classes, batch: None };
            let title = format!("{} {:?}", path.display(), asked.classes);
            let explanation = network.explain(&Purpose::Inference, &options, &asked).unwrap();
            check(&title, network.graph(), &explanation);
            let names: Vec<&String> = explanation.rows.iter().flat_map(|row| &row.layers).collect();
            let distinct: BTreeSet<&String> = names.iter().copied().collect();
            assert_eq!(names.len(), distinct.len(), "{title}: a layer is in one row");
            assert!(
                explanation
                    .rows
                    .iter()
                    .all(|row| row.phase == Phase::Forward && row.line.is_some())
            );
            // What is explained is what is compiled.
            let classes = explanation.classes.iter().copied().collect();
            let rules = rewrite::Options {
                classes,
                ..rewrite::Options::default()
            };
            let compiled = rewrite::optimize(network.graph(), &rules);
            assert_eq!(explanation.search, compiled.report.search, "{title}");
            assert_eq!(
                explanation.after.picoseconds, compiled.report.after.picoseconds,
                "{title}"
            );
        }
    }
}

#[test]
fn training_steps_are_explained_as_well() {
    let options = Options::portable();
    let recipes = networks().into_iter().filter(|(_, network)| network.recipe().is_some());
    for (path, network) in recipes {
        let recipe = network.recipe().unwrap();
        let purpose = Purpose::Training(Box::new(recipe.clone()));
        let explanation = network.explain(&purpose, &options, &ExplainOptions::default()).unwrap();
        let graph = autodiff::training_graph(network.graph(), recipe).unwrap();
        check(&path.display().to_string(), &graph, &explanation);
        assert_eq!(explanation.batch, recipe.batch as usize);
        let has = |phase| explanation.rows.iter().any(|row| row.phase == phase);
        assert!(
            [Phase::Forward, Phase::Loss, Phase::Backward, Phase::Update]
                .into_iter()
                .all(has)
        );
    }
}

fn explained(text: &str, asked: &ExplainOptions) -> Explanation {
    let network = Network::parse(text).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)));
    network
        .explain(&Purpose::Inference, &Options::portable(), asked)
        .unwrap()
}

/// Two layers that compute the same are one, and the second says which.
#[test]
fn what_is_computed_once_says_where() {
    let text = "net n { input x: f32[4]\n let a = x |> relu\n let b = x |> relu\n concat(a |> tanh, b) |> output y }";
    let explanation = explained(text, &ExplainOptions::default());
    let twice = explanation.rows.iter().find(|row| row.layers == ["relu2"]).unwrap();
    assert!(twice.run.is_empty() && twice.rules.is_empty());
    assert_eq!(twice.already, ["relu1"]);
    assert_eq!(twice.line, Some(3));
}

/// The classes that may run decide; each rule says which it is.
#[test]
fn classes_are_what_was_asked_for() {
    let text = "net n { input x: f32[2, 6, 6]  x |> conv(4, 3) |> batch_norm |> dropout(0.5) |> output y }";
    let operators = |classes: &[Class]| -> Vec<&'static str> {
        let classes = Some(classes.iter().copied().collect());
        let explanation = explained(
            text,
            &ExplainOptions {
                classes,
                batch: Some(3),
            },
        );
        assert_eq!(explanation.batch, 3);
        let runs = explanation.rows.iter().flat_map(|row| &row.run);
        let runs = runs.filter(|run| !run.at_binding && run.operator != "relayout");
        runs.map(|run| run.operator).collect()
    };
    assert_eq!(operators(&[]), ["conv", "batch_norm", "dropout"]);
    assert_eq!(operators(&[Class::BitExact]), ["conv", "batch_norm"]);
    assert_eq!(operators(&[Class::RealExact]), ["conv", "dropout"]);
    assert_eq!(operators(&[Class::BitExact, Class::RealExact]), ["conv"]);
}
