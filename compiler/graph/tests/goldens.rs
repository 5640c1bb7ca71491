//! Values worked out by hand, at least one for every operator.

use std::cell::RefCell;
use std::collections::BTreeSet;

use netc_graph::operators as op;
use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::operators::window::Window;
use netc_graph::{Operator, Type};
use netc_runtime::{DType, Data, Tensor};

thread_local! {
    /// Operators that have been checked.
    static CHECKED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// An input: the type in the graph and, the batch first, the values.
struct Given(Type, Vec<f64>);

/// One per sample, of this shape.
fn each(shape: &[usize], values: &[f64]) -> Given {
    Given(Type::batched(DType::F32, shape), values.to_vec())
}

/// One for all samples.
fn once(shape: &[usize], values: &[f64]) -> Given {
    Given(Type::fixed(DType::F32, shape), values.to_vec())
}

fn scalar(value: f64) -> Given {
    once(&[], &[value])
}

fn labels(shape: &[usize], values: &[f64]) -> Given {
    Given(Type::batched(DType::I32, shape), values.to_vec())
}

/// The operator on these inputs and this batch gives these values, to 7 digits.
#[track_caller]
fn check(operator: impl Into<Operator>, batch: usize, given: &[Given], expected: &[f64]) {
    let operator = operator.into();
    let output = operator
        .infer(&given.iter().map(|given| &given.0).collect::<Vec<_>>())
        .unwrap();
    let tensor = |Given(ty, values): &Given| match ty.dtype {
        DType::I32 => Tensor::from_i32(ty.host_shape(batch), values.iter().map(|&v| v as i32).collect()).unwrap(),
        DType::I8 => Tensor::new(
            ty.host_shape(batch),
            Data::I8(values.iter().map(|&v| v as i8).collect()),
        )
        .unwrap(),
        DType::U8 => Tensor::new(
            ty.host_shape(batch),
            Data::U8(values.iter().map(|&v| v as u8).collect()),
        )
        .unwrap(),
        _ => Tensor::from_f32(ty.host_shape(batch), values.iter().map(|&v| v as f32).collect()).unwrap(),
    };
    let tensors: Vec<Tensor> = given.iter().map(tensor).collect();
    let found = operator.evaluate(&tensors.iter().collect::<Vec<_>>(), &output, batch);
    let found: Vec<f32> = match found.data() {
        Data::F32(values) => values.clone(),
        Data::I32(values) => values.iter().map(|&value| value as f32).collect(),
        Data::I8(values) => values.iter().map(|&value| f32::from(value)).collect(),
        Data::U8(values) => values.iter().map(|&value| f32::from(value)).collect(),
    };
    let close = |(&found, &expected): (&f32, &f64)| (f64::from(found) - expected).abs() <= 1e-7 * expected.abs();
    let equal = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(equal, "{operator:?}\n   found {found:?}\nexpected {expected:?}");
    CHECKED.with_borrow_mut(|checked| checked.insert(operator.name()));
}

#[test]
fn every_operator_gives_what_was_worked_out_by_hand() {
    convolutions();
    dense();
    pooling();
    activations();
    softmax();
    local_response_norm();
    batch_norm();
    channel_statistics();
    dropout();
    upsampling();
    shapes();
    stored_integers();
    arithmetic();
    functions();
    axes();
    losses();
    batches();
    optimizers();
    let leaves = ["input", "parameter", "constant"];
    let unchecked: Vec<_> = CHECKED.with_borrow(|checked| {
        Operator::NAMES
            .iter()
            .filter(|name| !checked.contains(**name) && !leaves.contains(name))
            .copied()
            .collect()
    });
    assert_eq!(unchecked, Vec::<&str>::new(), "an operator has no golden");
}

fn convolutions() {
    let plain = || Window::new([2]);
    let conv = |window, groups| op::conv::Conv { window, groups };
    let x = || each(&[1, 4], &[1.0, 2.0, 3.0, 4.0]);
    let w = || once(&[1, 1, 2], &[1.0, 10.0]);
    check(conv(plain(), 1), 1, &[x(), w()], &[21.0, 32.0, 43.0]);
    check(
        conv(plain(), 1),
        1,
        &[x(), w(), once(&[1], &[100.0])],
        &[121.0, 132.0, 143.0],
    );
    // The same by tiles; and turned, which is the gradient with respect to the input of one with these weights.
    let winograd = |window, turned| op::winograd_conv::WinogradConv {
        window,
        groups: 1,
        tile: vec![2],
        turned,
    };
    check(winograd(plain(), false), 1, &[x(), w()], &[21.0, 32.0, 43.0]);
    let spread = plain().with_padding([1]);
    let dy = each(&[1, 3], &[1.0, 2.0, 3.0]);
    check(winograd(spread, true), 1, &[dy, w()], &[1.0, 12.0, 23.0, 30.0]);
    // Padding on both sides and on one, with stride 2.
    let ones = || once(&[1, 1, 3], &[1.0, 1.0, 1.0]);
    let padded = |after| Window::new([3]).with_stride([2]).with_paddings([1], [after]);
    let short = || each(&[1, 3], &[1.0, 2.0, 3.0]);
    check(conv(padded(1), 1), 1, &[short(), ones()], &[3.0, 5.0]);
    check(conv(padded(0), 1), 1, &[short(), ones()], &[3.0]);
    // Two groups, taps two apart along the width, two samples.
    let dilated = Window::new([1, 2]).with_dilation([1, 2]);
    let two = each(
        &[2, 1, 3],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
    );
    let pairs = once(&[2, 1, 1, 2], &[1.0, 1.0, 1.0, -1.0]);
    check(conv(dilated, 2), 2, &[two, pairs], &[4.0, -2.0, 40.0, -20.0]);
    // Two input channels add up; the second output channel has the opposite sign.
    let w2 = once(&[2, 2, 1, 1], &[1.0, 10.0, -1.0, -10.0]);
    check(
        conv(Window::new([1, 1]), 1),
        1,
        &[each(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), w2],
        &[31.0, 42.0, -31.0, -42.0],
    );

    let dy = || each(&[1, 3], &[1.0, 2.0, 3.0]);
    let grad_input = op::conv_grad_input::ConvGradInput {
        window: plain(),
        groups: 1,
        input: [1, 4].into(),
    };
    check(grad_input, 1, &[dy(), w()], &[1.0, 12.0, 23.0, 30.0]);
    let grad_weight = op::conv_grad_weight::ConvGradWeight {
        window: plain(),
        groups: 1,
        kernel: [1, 1, 2].into(),
    };
    check(grad_weight.clone(), 1, &[x(), dy()], &[14.0, 20.0]);
    let twice = [
        each(&[1, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]),
        each(&[1, 3], &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]),
    ];
    check(grad_weight, 2, &twice, &[28.0, 40.0]);
}

fn dense() {
    let w = || once(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let x = each(&[2], &[1.0, 2.0]);
    check(
        op::dense::Dense {},
        1,
        &[x, w(), once(&[3], &[10.0, 20.0, 30.0])],
        &[15.0, 31.0, 47.0],
    );
    check(
        op::dense_grad_input::DenseGradInput {},
        1,
        &[each(&[3], &[1.0, 2.0, 3.0]), w()],
        &[22.0, 28.0],
    );
    let batch = [each(&[2], &[1.0, 2.0, 3.0, 4.0]), each(&[1], &[1.0, 10.0])];
    check(op::dense_grad_weight::DenseGradWeight {}, 2, &batch, &[31.0, 42.0]);
}

fn pooling() {
    let window = || Window::new([3]).with_stride([2]).with_paddings([1], [0]);
    let x = || each(&[1, 5], &[1.0, 3.0, 3.0, 2.0, -1.0]);
    check(op::max_pool::MaxPool { window: window() }, 1, &[x()], &[3.0, 3.0]);
    // Of the two equal values the first wins.
    let dy = each(&[1, 2], &[1.0, 10.0]);
    check(
        op::max_pool_grad::MaxPoolGrad { window: window() },
        1,
        &[x(), dy],
        &[0.0, 11.0, 0.0, 0.0, 0.0],
    );
    // Padding never wins over negative values.
    let negative = each(&[1, 1, 2], &[-5.0, -6.0]);
    let square = Window::new([3, 3]).with_padding([1, 1]);
    check(op::max_pool::MaxPool { window: square }, 1, &[negative], &[-5.0, -5.0]);

    let window = || Window::new([2]).with_stride([2]).with_paddings([1], [0]);
    let x = || each(&[1, 3], &[2.0, 4.0, 6.0]);
    let average = |count_padding| op::average_pool::AveragePool {
        window: window(),
        count_padding,
    };
    check(average(true), 1, &[x()], &[1.0, 5.0]);
    check(average(false), 1, &[x()], &[2.0, 5.0]);
    let grad = |count_padding| {
        let input = [1, 3].into();
        op::average_pool_grad::AveragePoolGrad {
            window: window(),
            count_padding,
            input,
        }
    };
    check(grad(true), 1, &[each(&[1, 2], &[1.0, 2.0])], &[0.5, 1.0, 1.0]);
    check(grad(false), 1, &[each(&[1, 2], &[1.0, 2.0])], &[1.0, 1.0, 1.0]);

    let x = || each(&[1, 2, 2], &[1.0, 5.0, 5.0, 1.0]);
    check(op::global_average_pool::GlobalAveragePool {}, 1, &[x()], &[3.0]);
    let grad = op::global_average_pool_grad::GlobalAveragePoolGrad {
        input: [1, 2, 2].into(),
    };
    check(grad, 1, &[each(&[1], &[4.0])], &[1.0; 4]);
    check(op::global_max_pool::GlobalMaxPool {}, 1, &[x()], &[5.0]);
    let grad = op::global_max_pool_grad::GlobalMaxPoolGrad {};
    check(grad, 1, &[x(), each(&[1], &[7.0])], &[0.0, 7.0, 0.0, 0.0]);
}

fn activations() {
    let x = || each(&[3], &[-2.0, 0.0, 3.0]);
    let dy = || each(&[3], &[1.0, 1.0, 4.0]);
    check(op::relu::Relu {}, 1, &[x()], &[0.0, 0.0, 3.0]);
    check(
        op::relu_grad::ReluGrad {},
        1,
        &[each(&[3], &[0.0, 0.0, 3.0]), dy()],
        &[0.0, 0.0, 4.0],
    );
    check(op::leaky_relu::LeakyRelu { slope: 0.5 }, 1, &[x()], &[-1.0, 0.0, 3.0]);
    check(
        op::leaky_relu_grad::LeakyReluGrad { slope: 0.5 },
        1,
        &[x(), dy()],
        &[0.5, 0.5, 4.0],
    );
    check(
        op::tanh::Tanh {},
        1,
        &[each(&[2], &[0.0, 1.0])],
        &[0.0, 0.761_594_155_955_764_9],
    );
    check(
        op::tanh_grad::TanhGrad {},
        1,
        &[each(&[1], &[0.5]), each(&[1], &[4.0])],
        &[3.0],
    );
    check(
        op::sigmoid::Sigmoid {},
        1,
        &[each(&[3], &[0.0, 2.0, -1000.0])],
        &[0.5, 0.880_797_077_977_882_4, 0.0],
    );
    check(
        op::sigmoid_grad::SigmoidGrad {},
        1,
        &[each(&[1], &[0.25]), each(&[1], &[16.0])],
        &[3.0],
    );
}

const LN3: f64 = 1.098_612_288_668_109_8;
/// -ln ¼ and -ln ¾.
const LOG_QUARTERS: [f64; 2] = [1.386_294_361_119_890_6, 0.287_682_072_451_780_9];

fn softmax() {
    let [one, three] = LOG_QUARTERS;
    // Shifting all logits changes nothing, however large the shift.
    let x = || each(&[2, 2], &[0.0, 0.0, LN3, 0.0]);
    check(op::softmax::Softmax { axis: 0 }, 1, &[x()], &[0.25, 0.5, 0.75, 0.5]);
    check(
        op::softmax::Softmax { axis: 0 },
        1,
        &[each(&[2], &[1e30, 1e30])],
        &[0.5, 0.5],
    );
    check(
        op::log_softmax::LogSoftmax { axis: 1 },
        1,
        &[each(&[1, 2], &[0.0, LN3])],
        &[-one, -three],
    );
    let y = each(&[2], &[0.25, 0.75]);
    check(
        op::softmax_grad::SoftmaxGrad { axis: 0 },
        1,
        &[y, each(&[2], &[4.0, 0.0])],
        &[0.75, -0.75],
    );
    let y = each(&[2], &[0.5f64.ln(), 0.5f64.ln()]);
    check(
        op::log_softmax_grad::LogSoftmaxGrad { axis: 0 },
        1,
        &[y, each(&[2], &[1.0, 3.0])],
        &[-1.0, 1.0],
    );
}

fn local_response_norm() {
    // An even window has one more channel before than after: sums 1, 1 + 4, 4 + 9.
    let rule = op::local_response_norm::LocalResponseNorm {
        size: 2,
        alpha: 2.0,
        beta: 1.0,
        k: 1.0,
    };
    check(rule, 1, &[each(&[3], &[1.0, 2.0, 3.0])], &[0.5, 1.0 / 3.0, 3.0 / 14.0]);
    // x / (1 + x²) has the derivative (1 - x²) / (1 + x²)².
    let rule = op::local_response_norm_grad::LocalResponseNormGrad {
        size: 1,
        alpha: 1.0,
        beta: 1.0,
        k: 1.0,
    };
    check(
        rule,
        1,
        &[each(&[2], &[1.0, 2.0]), each(&[2], &[1.0, 1.0])],
        &[0.0, -0.12],
    );
}

fn batch_norm() {
    let epsilon = 1.0;
    let x = || each(&[1, 2], &[1.0, 3.0]);
    let dy = || each(&[1, 2], &[1.0, 2.0]);
    let [gamma, beta, mean, variance] = [2.0, 10.0, 1.0, 3.0].map(|value| move || once(&[1], &[value]));
    let rule = op::batch_norm::BatchNorm { epsilon, momentum: 0.1 };
    check(rule, 1, &[x(), gamma(), beta(), mean(), variance()], &[10.0, 12.0]);
    let rule = op::batch_norm_grad_input::BatchNormGradInput { epsilon };
    check(rule, 1, &[dy(), gamma(), variance()], &[1.0, 2.0]);
    let rule = op::batch_norm_grad_scale::BatchNormGradScale { epsilon };
    check(rule, 1, &[x(), dy(), mean(), variance()], &[2.0]);
    let rule = op::batch_norm_grad_mean::BatchNormGradMean { epsilon };
    check(rule, 1, &[dy(), gamma(), variance()], &[-3.0]);
    let rule = op::batch_norm_grad_variance::BatchNormGradVariance { epsilon };
    check(rule, 1, &[x(), dy(), gamma(), mean(), variance()], &[-0.5]);
}

fn channel_statistics() {
    let x = || each(&[1, 2], &[1.0, 2.0, 3.0, 6.0]);
    let mean = || once(&[1], &[3.0]);
    check(op::channel_mean::ChannelMean {}, 2, &[x()], &[3.0]);
    check(op::channel_mean::ChannelMean {}, 0, &[each(&[1, 2], &[])], &[0.0]);
    check(
        op::channel_mean_grad::ChannelMeanGrad { input: [1, 2].into() },
        2,
        &[once(&[1], &[8.0])],
        &[2.0; 4],
    );
    check(
        op::channel_variance::ChannelVariance { unbiased: false },
        2,
        &[x(), mean()],
        &[3.5],
    );
    check(
        op::channel_variance::ChannelVariance { unbiased: true },
        2,
        &[x(), mean()],
        &[14.0 / 3.0],
    );
    let single = [each(&[1], &[3.0]), mean()];
    check(
        op::channel_variance::ChannelVariance { unbiased: true },
        1,
        &single,
        &[0.0],
    );
    let grad = op::channel_variance_grad::ChannelVarianceGrad { unbiased: false };
    check(grad, 2, &[x(), mean(), once(&[1], &[2.0])], &[-2.0, -1.0, 0.0, 3.0]);
    check(
        op::channel_sum::ChannelSum {},
        2,
        &[each(&[2], &[1.0, 2.0, 3.0, 4.0])],
        &[4.0, 6.0],
    );
    let dy = each(&[1, 2], &[1.0, 1.0, 1.0, 10.0]);
    check(op::channel_dot::ChannelDot {}, 2, &[x(), dy], &[66.0]);
}

fn dropout() {
    use netc_runtime::random::dropout_bits;
    let x = || each(&[4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let all = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let key = || Given(Type::fixed(DType::I32, netc_runtime::Shape::scalar()), vec![-7.0]);
    check(op::dropout::Dropout { rate: 0.5 }, 2, &[x()], &all);
    for layout in netc_graph::Layout::ALL {
        check(op::relayout::Relayout { layout }, 2, &[x()], &all);
    }
    check(
        op::random_drop::RandomDrop { rate: 0.0, salt: 3 },
        2,
        &[x(), key()],
        &all,
    );
    let kept = |index: u32| dropout_bits(dropout_bits((-7i32).cast_unsigned(), 3), index) >= 3 << 30;
    let expected: Vec<f64> = (0u32..8)
        .zip(all)
        .map(|(index, x)| if kept(index) { 4.0 * x } else { 0.0 })
        .collect();
    assert!(
        expected.contains(&0.0) && expected.iter().any(|&y| y > 0.0),
        "{expected:?}"
    );
    check(
        op::random_drop::RandomDrop { rate: 0.75, salt: 3 },
        2,
        &[x(), key()],
        &expected,
    );
}

fn upsampling() {
    let rule = |mode| op::upsample::Upsample { factor: vec![2], mode };
    check(
        rule(UpsampleMode::Nearest),
        1,
        &[each(&[1, 2], &[1.0, 2.0])],
        &[1.0, 1.0, 2.0, 2.0],
    );
    check(
        rule(UpsampleMode::Bilinear),
        1,
        &[each(&[1, 2], &[0.0, 4.0])],
        &[0.0, 1.0, 3.0, 4.0],
    );
    let plane = op::upsample::Upsample {
        factor: vec![1, 3],
        mode: UpsampleMode::Nearest,
    };
    check(
        plane,
        1,
        &[each(&[1, 2, 1], &[1.0, 2.0])],
        &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0],
    );
    let grad = |mode| op::upsample_grad::UpsampleGrad {
        factor: vec![2],
        mode,
        input: [1, 2].into(),
    };
    let dy = || each(&[1, 4], &[1.0, 2.0, 4.0, 8.0]);
    check(grad(UpsampleMode::Nearest), 1, &[dy()], &[3.0, 12.0]);
    check(grad(UpsampleMode::Bilinear), 1, &[dy()], &[3.5, 11.5]);
}

fn shapes() {
    let six = || each(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let in_order = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(op::reshape::Reshape { shape: [6].into() }, 1, &[six()], &in_order);
    let parts = [each(&[1], &[1.0, 4.0]), each(&[2], &[2.0, 3.0, 5.0, 6.0])];
    check(op::concat::Concat { axis: 0 }, 2, &parts, &in_order);
    let columns = [each(&[2, 1], &[1.0, 2.0]), each(&[2, 1], &[3.0, 4.0])];
    check(op::concat::Concat { axis: 1 }, 1, &columns, &[1.0, 3.0, 2.0, 4.0]);
    check(
        op::slice::Slice {
            axis: 1,
            start: 1,
            end: 2,
        },
        1,
        &[six()],
        &[2.0, 5.0],
    );
    check(
        op::slice::Slice {
            axis: 0,
            start: 1,
            end: 2,
        },
        1,
        &[six()],
        &[4.0, 5.0, 6.0],
    );
    let pad = op::pad::Pad {
        axis: 1,
        before: 1,
        after: 2,
    };
    check(
        pad,
        1,
        &[each(&[2, 1], &[1.0, 2.0])],
        &[0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0],
    );
}

fn stored_integers() {
    use op::quantization::Quantization;
    let stored = |dtype, values: &[f64]| Given(Type::batched(dtype, [2, 2]), values.to_vec());
    let per_tensor = Quantization::per_tensor(DType::U8, 0.5, 100);
    let quantize = op::quantize::Quantize {
        quantization: per_tensor.clone(),
    };
    // Halves go to even; the ends hold.
    let x = || each(&[2, 2], &[0.25, 0.75, -1000.0, 1000.0]);
    check(quantize, 1, &[x()], &[100.0, 102.0, 0.0, 255.0]);
    let per_channel = Quantization {
        dtype: DType::I8,
        scale: vec![0.5, 2.0],
        zero_point: vec![0, -28],
    };
    let quantize = op::quantize::Quantize {
        quantization: per_channel.clone(),
    };
    check(quantize, 1, &[x()], &[0.0, 2.0, -128.0, 127.0]);
    let dequantize = |quantization: &Quantization| op::dequantize::Dequantize {
        quantization: quantization.clone(),
    };
    let q = || stored(DType::I8, &[-128.0, 127.0, -128.0, 127.0]);
    check(dequantize(&per_channel), 1, &[q()], &[-64.0, 63.5, -200.0, 310.0]);
    let sums = Quantization::per_tensor(DType::I32, 0.25, 0);
    let q = stored(DType::I32, &[-8.0, 1e6, 3.0, 0.0]);
    check(dequantize(&sums), 1, &[q], &[-2.0, 250_000.0, 0.75, 0.0]);
    // Straight through where a level is near: u8 with zero point 100 ends at -50 and 77.5, and half a step beyond.
    let gradient = op::quantize_grad::QuantizeGrad {
        quantization: per_tensor,
    };
    let x = each(&[2, 2], &[0.3, -50.25, 77.8, 1000.0]);
    let dq = each(&[2, 2], &[3.0, 4.0, 5.0, 6.0]);
    check(gradient, 1, &[x, dq], &[6.0, 8.0, 0.0, 0.0]);
    let q = stored(DType::I8, &[-5.0, 0.0, 3.0, 100.0]);
    check(op::clip::Clip { low: 0, high: 9 }, 1, &[q], &[0.0, 0.0, 3.0, 9.0]);
    let q = Given(Type::batched(DType::I8, [1, 3]), vec![-7.0, -3.0, -9.0]);
    let window = Window::new([2]).with_padding([1]);
    check(op::max_pool::MaxPool { window }, 1, &[q], &[-7.0, -3.0, -3.0, -9.0]);
}

fn arithmetic() {
    let pair = || [each(&[1], &[1.0, 2.0]), once(&[1], &[10.0])];
    check(op::add::Add {}, 2, &pair(), &[11.0, 12.0]);
    check(op::subtract::Subtract {}, 2, &pair(), &[-9.0, -8.0]);
    check(op::multiply::Multiply {}, 2, &pair(), &[10.0, 20.0]);
    check(op::divide::Divide {}, 2, &pair(), &[0.1, 0.2]);
    check(op::maximum::Maximum {}, 2, &pair(), &[10.0, 10.0]);
    check(op::minimum::Minimum {}, 2, &pair(), &[1.0, 2.0]);
    check(op::scale::Scale { factor: -0.5 }, 2, &pair()[..1], &[-0.5, -1.0]);
    let x = || each(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let scale = || once(&[2], &[10.0, 100.0]);
    check(
        op::scale_shift::ScaleShift {},
        1,
        &[x(), scale(), once(&[2], &[1.0, 2.0])],
        &[11.0, 21.0, 302.0, 402.0],
    );
    check(
        op::channel_scale::ChannelScale {},
        1,
        &[x(), scale()],
        &[10.0, 20.0, 300.0, 400.0],
    );
}

fn functions() {
    use op::function::Function;
    let unary = |function| op::unary::Unary { function };
    let grad = |function| op::unary_grad::UnaryGrad { function };
    let x = || each(&[2], &[-2.0, 4.0]);
    let dy = || each(&[2], &[1.0, 2.0]);
    let elu = Function::Elu { alpha: 0.5, scale: 2.0 };
    check(unary(Function::Absolute), 1, &[x()], &[2.0, 4.0]);
    check(grad(Function::Absolute), 1, &[x(), dy()], &[-1.0, 2.0]);
    check(unary(Function::Reciprocal), 1, &[x()], &[-0.5, 0.25]);
    check(unary(Function::Power { exponent: 3.0 }), 1, &[x()], &[-8.0, 64.0]);
    check(unary(Function::Clip { low: -1.0, high: 3.0 }), 1, &[x()], &[-1.0, 3.0]);
    check(
        unary(Function::HardSigmoid { alpha: 0.25, beta: 0.5 }),
        1,
        &[x()],
        &[0.0, 1.0],
    );
    check(unary(Function::HardSwish), 1, &[x()], &[-1.0 / 3.0, 4.0]);
    check(unary(elu), 1, &[x()], &[(-2.0f64).exp() - 1.0, 8.0]);
    check(grad(elu), 1, &[x(), dy()], &[(-2.0f64).exp(), 4.0]);
    check(unary(Function::SquareRoot), 1, &[each(&[1], &[4.0])], &[2.0]);
    check(unary(Function::Softplus), 1, &[each(&[1], &[0.0])], &[2.0f64.ln()]);
    check(
        unary(Function::Gelu),
        1,
        &[each(&[1], &[1.0])],
        &[0.841_344_746_068_542_9],
    );
    check(
        unary(Function::GeluTanh),
        1,
        &[each(&[1], &[1.0])],
        &[0.841_191_990_608_300_5],
    );
    check(
        unary(Function::Silu),
        1,
        &[each(&[1], &[1.0])],
        &[0.731_058_578_630_004_9],
    );
    let slope = || once(&[2], &[0.5, -1.0]);
    let image = || each(&[2, 2], &[-2.0, 3.0, -4.0, 5.0]);
    check(op::prelu::Prelu {}, 1, &[image(), slope()], &[-1.0, 3.0, 4.0, 5.0]);
    let ones = each(&[2, 2], &[1.0; 4]);
    check(
        op::prelu_grad::PreluGrad {},
        1,
        &[image(), slope(), ones],
        &[0.5, 1.0, -1.0, 1.0],
    );
}

fn axes() {
    use op::reduce::{Reduce, ReduceKind};
    let x = || each(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let transpose = op::transpose::Transpose { axes: vec![1, 0] };
    check(transpose, 1, &[x()], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let shape = [2, 2, 3].into();
    check(
        op::expand::Expand { shape },
        1,
        &[once(&[2, 1], &[1.0, 2.0])],
        &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0],
    );
    let indices = vec![2, 0, 2];
    let take = op::take::Take {
        axis: 1,
        indices: indices.clone(),
    };
    check(take, 1, &[x()], &[3.0, 1.0, 3.0, 6.0, 4.0, 6.0]);
    let grad = op::take_grad::TakeGrad {
        axis: 1,
        indices,
        input: [2, 3].into(),
    };
    check(grad, 1, &[x()], &[2.0, 0.0, 4.0, 5.0, 0.0, 10.0]);
    let reduce = |kind, axes: &[usize]| Reduce {
        kind,
        axes: axes.to_vec(),
    };
    check(reduce(ReduceKind::Sum, &[0]), 1, &[x()], &[5.0, 7.0, 9.0]);
    check(reduce(ReduceKind::Mean, &[0, 1]), 1, &[x()], &[3.5]);
    check(reduce(ReduceKind::Maximum, &[1]), 1, &[x()], &[3.0, 6.0]);
}

fn losses() {
    let [one, three] = LOG_QUARTERS;
    let rule = |label_smoothing| op::cross_entropy::CrossEntropy { label_smoothing };
    let logits = || each(&[2], &[0.0, LN3]);
    check(rule(0.0), 1, &[logits(), labels(&[], &[1.0])], &[three]);
    check(
        rule(0.5),
        1,
        &[logits(), labels(&[], &[1.0])],
        &[0.25 * one + 0.75 * three],
    );
    // Two pixels of which one does not count; a sample of which none does.
    let pixels = each(&[2, 2], &[0.0, 9.0, LN3, 9.0, 1.0, 2.0, 3.0, 4.0]);
    check(
        rule(0.0),
        2,
        &[pixels, labels(&[2], &[1.0, -1.0, -1.0, -1.0])],
        &[three, 0.0],
    );
    let grad = |label_smoothing| op::cross_entropy_grad::CrossEntropyGrad { label_smoothing };
    let loss = || each(&[], &[2.0]);
    check(grad(0.0), 1, &[logits(), labels(&[], &[1.0]), loss()], &[0.5, -0.5]);
    check(grad(0.5), 1, &[logits(), labels(&[], &[0.0]), loss()], &[-1.0, 1.0]);
    let pixels = each(&[2, 2], &[0.0, 9.0, LN3, 9.0]);
    check(
        grad(0.0),
        1,
        &[pixels, labels(&[2], &[1.0, -1.0]), loss()],
        &[0.5, 0.0, -0.5, 0.0],
    );

    let pair = || [each(&[2], &[1.0, 2.0]), each(&[2], &[3.0, 2.0])];
    check(op::mean_squared_error::MeanSquaredError {}, 1, &pair(), &[2.0]);
    let [x, target] = pair();
    let grad = op::mean_squared_error_grad::MeanSquaredErrorGrad {};
    check(grad, 1, &[x, target, each(&[], &[3.0])], &[-6.0, 0.0]);
}

fn batches() {
    check(op::batch_mean::BatchMean {}, 2, &[each(&[], &[2.0, 4.0])], &[3.0]);
    check(op::batch_mean::BatchMean {}, 0, &[each(&[], &[])], &[0.0]);
    check(
        op::batch_sum::BatchSum {},
        2,
        &[each(&[2], &[1.0, 2.0, 3.0, 4.0])],
        &[4.0, 6.0],
    );
    check(
        op::spread_mean::SpreadMean {},
        2,
        &[once(&[2], &[6.0, 8.0])],
        &[3.0, 4.0, 3.0, 4.0],
    );
    check(
        op::spread_sum::SpreadSum {},
        2,
        &[once(&[2], &[6.0, 8.0])],
        &[6.0, 8.0, 6.0, 8.0],
    );
}

fn optimizers() {
    let one = |value| once(&[1], &[value]);
    let (w, g) = (|| one(4.0), || one(1.0));
    let rule = op::sgd_velocity::SgdVelocity {
        momentum: 0.5,
        weight_decay: 0.25,
    };
    check(rule, 1, &[w(), g(), one(2.0)], &[3.0]);
    let step = |momentum, nesterov| op::sgd_step::SgdStep {
        momentum,
        nesterov,
        weight_decay: 0.25,
    };
    check(step(0.0, false), 1, &[w(), g(), scalar(0.5)], &[3.0]);
    check(step(0.5, false), 1, &[w(), g(), one(3.0), scalar(0.5)], &[2.5]);
    check(step(0.5, true), 1, &[w(), g(), one(3.0), scalar(0.5)], &[2.25]);
    let rule = op::adam_first::AdamFirst {
        beta1: 0.5,
        weight_decay: 0.25,
    };
    check(rule, 1, &[w(), g(), one(4.0)], &[3.0]);
    let rule = op::adam_second::AdamSecond {
        beta2: 0.75,
        weight_decay: 0.25,
    };
    check(rule, 1, &[w(), g(), one(8.0)], &[7.0]);
    let step = |weight_decay| op::adam_step::AdamStep {
        epsilon: 8.0,
        weight_decay,
    };
    let given = || [one(1.0), one(2.0), one(16.0), scalar(0.5), scalar(0.5), scalar(0.25)];
    check(step(0.0), 1, &given(), &[0.875]);
    check(step(0.5), 1, &given(), &[0.625]);
    check(
        op::moving_average::MovingAverage { momentum: 0.25 },
        1,
        &[one(4.0), one(8.0)],
        &[5.0],
    );
    check(
        op::sum_of_squares::SumOfSquares {},
        1,
        &[once(&[2], &[3.0, 4.0])],
        &[25.0],
    );
    check(
        op::clip_factor::ClipFactor { limit: 2.5 },
        1,
        &[scalar(9.0), scalar(16.0)],
        &[0.5],
    );
    check(op::clip_factor::ClipFactor { limit: 2.5 }, 1, &[scalar(0.0)], &[1.0]);
    check(
        op::multiply_scalar::MultiplyScalar {},
        1,
        &[once(&[2], &[1.0, 2.0]), scalar(3.0)],
        &[3.0, 6.0],
    );
}
