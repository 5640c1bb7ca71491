//! Training through the whole pipeline: it learns, the same bytes for any number of threads, and a run that was broken
//! off and continued is the run that was not.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use netc::stages::autodiff;
use netc::stages::rewrite::Machine;
use netc::stages::runtime::data::Targets;
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::train::{Halves, TrainError, feed};
use netc::{Dataset, Error, LoadOptions, Network, Options, Split, Tensor, Training};

/// This processor's widest vectors; rewrites as the reference machine has them, whatever was calibrated here.
fn reference_options() -> Options {
    Options::default().with_cost(Machine::reference())
}

/// Everything whose state a checkpoint must hold: dropout, running statistics, momentum, a schedule, augmentation.
const NETWORK: &str = r#"
net small {
    input image: f32[1, 12, 12]
    image
        |> conv(8, 3, pad = same) |> batch_norm |> relu |> max_pool(2)
        |> conv(8, 3) |> relu |> dropout(0.1)
        |> flatten |> dense(4)
        |> output logits
}

train small {
    data      = npy("made-below")
    loss      = cross_entropy(label_smoothing = 0.05)
    optimizer = sgd(lr = 0.05, momentum = 0.9, weight_decay = 5e-4)
    schedule  = cosine(warmup = 1)
    augment   = [shift(1), noise(0.05)]
    epochs    = 4
    batch     = 24
    seed      = 3
}
"#;

fn network(settings: &[&str]) -> Network {
    let settings = settings.iter().map(ToString::to_string).collect();
    let options = LoadOptions {
        settings,
        ..LoadOptions::default()
    };
    Network::parse_with(NETWORK, &options).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)))
}

/// Images whose bright quarter is their class. 100 is no multiple of the batch: the last step of an epoch is smaller.
fn halves() -> Halves {
    let half = |count: usize, split: Split| {
        let stream = Stream::new(9, &format!("quarters/{split:?}"));
        let (mut samples, mut labels) = (vec![0.0; count * 144], vec![0; count]);
        stream.substream(0).fill_uniform(0.0, 0.6, &mut samples);
        for (index, label) in labels.iter_mut().enumerate() {
            let quarter = stream.u32_at(index as u64) as usize % 4;
            *label = quarter as i32;
            for (y, x) in (0..6).flat_map(|y| (0..6).map(move |x| (y, x))) {
                samples[index * 144 + (quarter / 2 * 6 + y) * 12 + quarter % 2 * 6 + x] += 0.4;
            }
        }
        let samples = Tensor::from_f32([count, 1, 12, 12], samples).unwrap();
        let targets = Targets::Classes(Tensor::from_i32([count], labels).unwrap());
        Arc::new(Dataset::new(samples, targets, split, Path::new("quarters")).unwrap())
    };
    Halves {
        train: half(100, Split::Train),
        test: Some(half(40, Split::Test)),
    }
}

fn start(settings: &[&str], threads: usize) -> Training {
    network(settings)
        .train_on(&halves(), &reference_options().with_threads(threads))
        .unwrap()
}

/// Everything a run has: its weights and what the optimizer remembers, as bits, and what it reported.
fn finish(mut training: Training) -> (Vec<(String, Vec<u32>)>, Vec<String>) {
    let mut reports = Vec::new();
    while let Some(report) = training.epoch(|_| ControlFlow::Continue(())).unwrap() {
        reports.push(format!("{report:?}"));
    }
    (bits(&training), reports)
}

fn bits(training: &Training) -> Vec<(String, Vec<u32>)> {
    let bits = |tensor: &Tensor| tensor.as_f32().unwrap().iter().map(|value| value.to_bits()).collect();
    training
        .trainer()
        .session()
        .parameters()
        .map(|(slot, tensor)| (slot.name.clone(), bits(&tensor)))
        .collect()
}

#[test]
fn a_small_network_learns() {
    let mut training = start(&[], 1);
    let (mut first, mut last) = (None, None);
    while let Some(report) = training.epoch(|_| ControlFlow::Continue(())).unwrap() {
        first.get_or_insert(report);
        last = Some(report);
    }
    let (first, last) = (first.unwrap(), last.unwrap());
    // Four classes by chance: a loss of ln 4 = 1.39 and a quarter of the samples.
    assert!(
        last.train_loss < 0.7 && last.train_loss < first.train_loss,
        "{first:?} {last:?}"
    );
    let test = last.test.unwrap();
    assert_eq!(test.count, 40);
    assert!(test.accuracy.unwrap().top1_share() > 0.9, "{test:?}");
    assert_eq!(test.accuracy.unwrap().top5_share(), 1.0, "there are four classes");
    assert!(
        training.epoch(|_| ControlFlow::Continue(())).unwrap().is_none(),
        "a finished run stays finished"
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for settings in [&[][..], &["optimizer=adam(lr = 0.01)", "clip_norm=0.5"]] {
        let expected = finish(start(settings, 1));
        for threads in [2, 4] {
            assert_eq!(
                finish(start(settings, threads)),
                expected,
                "{threads} threads, {settings:?}"
            );
        }
    }
}

#[test]
fn a_continued_run_is_the_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    for settings in [&[][..], &["optimizer=adam(lr = 0.01, weight_decay = 0.01)"]] {
        let expected = finish(start(settings, 1));
        for epochs in [1, 3] {
            let path = folder.path().join("run.ckpt");
            let mut broken = start(settings, 1);
            for _ in 0..epochs {
                broken.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
            }
            broken.save_checkpoint(&path).unwrap();
            // What happens after the checkpoint, and in the middle of an epoch, is lost.
            let stopped = broken.epoch(|step| {
                if step.step == 2 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            assert!(stopped.unwrap().is_none());
            let continued = network(settings)
                .resume(&path, &halves(), &reference_options().with_threads(2))
                .unwrap();
            assert_eq!(continued.trainer().progress().epoch, epochs);
            let (bits, reports) = finish(continued);
            assert_eq!(bits, expected.0);
            assert_eq!(reports, expected.1[epochs as usize..]);
        }
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let mut training = start(&[], 1);
    training.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
    training.save_checkpoint(&path).unwrap();
    let resume =
        |settings: &[&str], halves: &Halves| network(settings).resume(&path, halves, &reference_options()).err();
    let message = |error: Option<Error>| error.expect("an error").to_string();
    let text = message(resume(&["optimizer.lr=0.01"], &halves()));
    assert!(text.contains("recipe `optimizer.sgd.lr` was 0.05, now 0.01"), "{text}");
    let text = message(resume(&["optimizer=adam(lr = 0.05)"], &halves()));
    assert!(text.contains("is missing"), "{text}");
    let other = Halves {
        train: halves().test.unwrap(),
        test: None,
    };
    let text = message(resume(&[], &other));
    assert!(text.contains("other data"), "{text}");
    assert!(resume(&[], &halves()).is_none());
}

#[test]
fn a_diverging_run_says_so_and_offers_a_way_out() {
    let mut training = start(&["optimizer.lr=1e30", "schedule=constant"], 1);
    let error = training.epoch(|_| ControlFlow::Continue(())).unwrap_err();
    let Error::Train(TrainError::NotFinite { epoch, step, .. }) = error else {
        panic!("{error}")
    };
    assert!(epoch == 1 && step >= 2, "the first loss is that of the initial weights");
    let text = error.to_string();
    assert!(
        text.contains("lower `optimizer.lr`") && text.contains("epoch 1, step"),
        "{text}"
    );
}

#[test]
fn data_that_do_not_fit_are_refused() {
    let halves = halves();
    let text = network(&["loss=mean_squared_error"])
        .train_on(&halves, &reference_options())
        .unwrap_err()
        .to_string();
    assert!(text.contains("mean squared error"), "{text}");
    let smaller = NETWORK.replace("dense(4)", "dense(3)");
    let text = Network::parse(&smaller)
        .unwrap()
        .train_on(&halves, &reference_options())
        .unwrap_err()
        .to_string();
    assert!(text.contains("0 to 2, since the network has 3 classes"), "{text}");
    let larger = NETWORK.replace("[1, 12, 12]", "[1, 16, 16]");
    let text = Network::parse(&larger)
        .unwrap()
        .train_on(&halves, &reference_options())
        .unwrap_err()
        .to_string();
    assert!(text.contains("fit = pad"), "{text}");
    let unlearned = NETWORK.split("train small").next().unwrap();
    assert!(matches!(
        Network::parse(unlearned).unwrap().train(&reference_options()),
        Err(Error::NoRecipe { .. })
    ));
}

#[test]
fn the_loop_and_the_training_graph_agree_on_names() {
    let pairs = [
        (feed::LABELS, autodiff::LABELS),
        (feed::TARGET, autodiff::TARGET),
        (feed::LOSS, autodiff::LOSS),
        (feed::LEARNING_RATE, autodiff::LEARNING_RATE),
        (feed::ADAM_CORRECTION1, autodiff::ADAM_CORRECTION1),
        (feed::ADAM_CORRECTION2, autodiff::ADAM_CORRECTION2),
        (feed::DROPOUT_KEY, autodiff::DROPOUT_KEY),
    ];
    for (loop_name, graph_name) in pairs {
        assert_eq!(loop_name, graph_name);
    }
}
