//! Saving, loading and telling runs apart.

use super::*;
use crate::recipe::{DataSource, Fit, Optimizer};
use proptest::prelude::*;

fn recipe() -> TrainRecipe {
    let source = DataSource::Idx {
        path: "data".to_owned(),
        fit: Fit::Pad,
        mean: vec![0.1307],
        std: vec![0.3081],
    };
    TrainRecipe::new(source)
}

fn checkpoint() -> Checkpoint {
    let tensors = |name: &str| BTreeMap::from([(name.to_owned(), Tensor::filled([2, 3], 0.1))]);
    Checkpoint {
        parameters: tensors("conv1.weight"),
        optimizer: tensors("conv1.weight.momentum"),
        state: tensors("norm1.running_mean"),
        progress: Progress {
            epoch: 3,
            step: 1 << 40,
        },
        recipe: recipe(),
    }
}

fn shapes(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Shape> {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape().clone()))
        .collect()
}

fn checked(saved: &Checkpoint, run: &Checkpoint) -> Result<(), String> {
    let (parameters, optimizer, state) = (shapes(&run.parameters), shapes(&run.optimizer), shapes(&run.state));
    let expected = Expected {
        parameters: &parameters,
        optimizer: &optimizer,
        state: &state,
        recipe: &run.recipe,
    };
    saved
        .check(&expected, Path::new("c"))
        .map_err(|error| error.to_string())
}

fn saved(checkpoint: &Checkpoint) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    checkpoint.save(&path).unwrap();
    (folder, path)
}

#[test]
fn round_trip() {
    let (_folder, path) = saved(&checkpoint());
    let loaded = Checkpoint::load(&path).unwrap();
    assert_eq!(loaded, checkpoint());
    assert_eq!(checked(&loaded, &checkpoint()), Ok(()));
}

#[test]
fn everything_that_differs_is_listed() {
    let mut run = checkpoint();
    run.parameters
        .insert("dense1.bias".to_owned(), Tensor::filled([4], 0.0));
    run.parameters
        .insert("conv1.weight".to_owned(), Tensor::filled([3, 2], 0.0));
    run.state.clear();
    run.recipe.epochs = 20;
    run.recipe.optimizer = Optimizer::Sgd {
        lr: 0.5,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };
    let expected = "c: the checkpoint is of another run: `conv1.weight` is 2x3, the network's is 3x2; \
                    `dense1.bias` is missing; `norm1.running_mean` is not in the network; \
                    recipe `epochs` was 10, now 20; recipe `optimizer.sgd.lr` was 0.01, now 0.5";
    assert_eq!(checked(&checkpoint(), &run), Err(expected.to_owned()));
    run = checkpoint();
    run.recipe.optimizer = Optimizer::Adam {
        lr: 0.5,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    };
    assert!(
        checked(&checkpoint(), &run)
            .unwrap_err()
            .contains("recipe `optimizer` was {\"sgd\":")
    );
}

#[test]
fn the_place_of_the_data_and_the_metrics_may_differ() {
    let mut run = checkpoint();
    *run.recipe.data.path_mut() = "elsewhere".to_owned();
    run.recipe.metrics.clear();
    assert_eq!(checked(&checkpoint(), &run), Ok(()));
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    let message = |weights: &Weights| {
        weights.save(&path).unwrap();
        Checkpoint::load(&path).unwrap_err().to_string()
    };
    let mut weights = Weights::new();
    assert!(message(&weights).ends_with("not a checkpoint: its metadata have no `format`"));
    let note = |weights: &mut Weights, key: &str, value: &str| {
        weights.metadata_mut().insert(key.to_owned(), value.to_owned());
    };
    note(&mut weights, "format", "netc-checkpoint");
    note(&mut weights, "version", "9");
    assert!(message(&weights).ends_with("a checkpoint of format 9; this program reads format 1"));
    note(&mut weights, "version", FORMAT_VERSION);
    note(&mut weights, "progress", "{\"epoch\":-1}");
    assert!(message(&weights).contains("not a checkpoint: progress: "));
    note(&mut weights, "progress", "{\"epoch\":1,\"step\":2}");
    let mut bad = recipe();
    bad.batch = 0;
    note(&mut weights, "recipe", &json(&bad));
    assert!(message(&weights).ends_with("recipe: `batch` is 0, but must be at least 1"));
    note(&mut weights, "recipe", &json(&recipe()));
    weights.insert("stray", Tensor::scalar(1.0));
    assert!(message(&weights).ends_with("tensor `stray` belongs to no group"));
    assert!(matches!(
        Checkpoint::load(&folder.path().join("no")),
        Err(CheckpointError::Weights(_))
    ));
}

proptest! {
    // Each case syncs files to disk.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn mutated_checkpoints_never_panic(place in any::<usize>(), value in any::<u8>()) {
        let (_folder, path) = saved(&checkpoint());
        let mut bytes = std::fs::read(&path).unwrap();
        let place = place % bytes.len();
        bytes[place] = value;
        std::fs::write(&path, &bytes).unwrap();
        let _ = Checkpoint::load(&path);
    }
}
