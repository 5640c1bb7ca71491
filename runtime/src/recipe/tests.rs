//! What recipes say, and which of them make no sense.

use super::*;
use crate::init::Init;

fn recipe() -> TrainRecipe {
    let path = "data/digits".to_owned();
    TrainRecipe::new(DataSource::Idx {
        path,
        fit: Fit::Enlarge,
        mean: vec![0.13],
        std: vec![0.31],
    })
}

#[test]
fn json_round_trip() {
    let mut recipe = recipe();
    recipe.augment = vec![Augmentation::Shift { pixels: 2.0 }, Augmentation::Flip];
    recipe.schedule = Schedule::Cosine {
        floor: 0.0,
        warmup: 1.5,
    };
    recipe.clip_norm = Some(1.0);
    let text = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<TrainRecipe>(&text).unwrap(), recipe);
    assert!(
        text.contains(r#""schedule":{"cosine":{"floor":0.0,"warmup":1.5}}"#),
        "{text}"
    );
}

#[test]
fn warmup_rises_to_the_base_rate_and_cosine_falls_to_the_floor() {
    let schedule = Schedule::Cosine {
        floor: 0.1,
        warmup: 0.5,
    };
    let rate = |step| schedule.learning_rate(1.0, step, 8, 4);
    assert_eq!([rate(0), rate(1), rate(2), rate(3)], [0.25, 0.5, 0.75, 1.0]);
    assert_eq!(rate(4), 1.0);
    assert!((rate(18) - 0.55).abs() < 1e-6, "half way is half way: {}", rate(18));
    assert!((rate(32) - 0.1).abs() < 1e-6);
    assert_eq!(rate(1000), rate(32));
    assert!((4..32).all(|step| rate(step + 1) < rate(step)));
}

#[test]
fn step_schedule_multiplies_every_so_many_epochs() {
    let schedule = Schedule::Step {
        every: 2,
        factor: 0.1,
        warmup: 0.0,
    };
    let rates: Vec<f32> = (0..6)
        .map(|epoch| schedule.learning_rate(1.0, epoch * 10 + 9, 10, 6))
        .collect();
    for (found, expected) in rates.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
        assert!((found - expected).abs() < 1e-6, "{rates:?}");
    }
    assert_eq!(Schedule::Constant { warmup: 0.0 }.learning_rate(0.3, 5, 0, 0), 0.3);
}

#[test]
fn problems_name_their_keys() {
    assert_eq!(recipe().problems(), []);
    let mut bad = recipe();
    bad.batch = 0;
    bad.optimizer = Optimizer::Adam {
        lr: f32::NAN,
        beta1: 1.0,
        beta2: 0.9,
        epsilon: 0.0,
        weight_decay: -1.0,
    };
    bad.schedule = Schedule::Step {
        every: 0,
        factor: 0.0,
        warmup: 11.0,
    };
    bad.augment = vec![Augmentation::Scale { fraction: 1.0 }];
    bad.data = DataSource::Npy {
        path: String::new(),
        fit: Fit::None,
        mean: vec![],
        std: vec![0.0],
    };
    let keys: Vec<&str> = bad.problems().iter().map(|problem| problem.key).collect();
    let expected = [
        "data.std",
        "optimizer.lr",
        "optimizer.beta1",
        "optimizer.epsilon",
        "optimizer.weight_decay",
        "schedule.warmup",
        "schedule.every",
        "schedule.factor",
        "batch",
        "augment.scale",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn initial_distributions_have_their_papers_constants() {
    assert_eq!(Initialization::Fan.weight(25, 6), Init::Uniform { bound: 0.2 });
    assert_eq!(Initialization::Fan.bias(25), Init::Uniform { bound: 0.2 });
    assert_eq!(Initialization::XavierUniform.weight(2, 4), Init::Uniform { bound: 1.0 });
    assert_eq!(Initialization::KaimingNormal.weight(8, 1), Init::Normal { std: 0.5 });
    assert_eq!(Initialization::KaimingNormal.bias(8), Init::Constant(0.0));
}
