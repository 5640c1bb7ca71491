//! Imports that are several layers of the language, beside plain loops that say what ONNX means.

use std::path::Path;

use netc::stages::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, kind,
};
use netc::stages::onnx::{ImportOptions, Imported, import_proto};
use netc::stages::runtime::random::Stream;
use netc::{Network, Options};

use crate::runner;

pub(crate) fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: kind::INTS,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        op_type: operator.to_owned(),
        ..NodeProto::default()
    }
}

/// A model with the input `x` and the output `y`.
fn imported(extents: &[usize], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Imported {
    let extents: Vec<String> = extents.iter().map(usize::to_string).collect();
    let extents: Vec<&str> = extents.iter().map(String::as_str).collect();
    let graph = GraphProto {
        node: nodes,
        initializer,
        input: vec![runner::port("x", &extents)],
        output: vec![runner::port("y", &[])],
        ..GraphProto::default()
    };
    let model = ModelProto {
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 22,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    import_proto(model, Path::new("m.onnx"), &ImportOptions::default()).unwrap()
}

/// What comes out, sample by sample.
fn run(imported: &Imported, input: &[f32]) -> Vec<f32> {
    let network = Network::parse(&imported.text).unwrap();
    let weights = imported
        .weights
        .iter()
        .map(|weight| (weight.key().to_owned(), weight.tensor()));
    let compiled = network.compile(&Options::portable()).unwrap();
    let mut model = compiled.with_tensors(weights).unwrap();
    let sample = netc::input_shape(&network).element_count();
    input
        .chunks(sample)
        .flat_map(|sample| model.run(sample).unwrap())
        .collect()
}

/// Small whole numbers, whose sums are exact in any order.
fn whole_numbers(count: usize, name: &str) -> Vec<f32> {
    let stream = Stream::new(5, name);
    (0..count as u64)
        .map(|at| (stream.uniform_at(at) * 17.0).floor() - 8.0)
        .collect()
}

/// Every index of a shape, the last axis fastest.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..shape.iter().product()).map(|flat: usize| {
        let mut rest = flat;
        let mut index: Vec<usize> = shape
            .iter()
            .rev()
            .map(|&extent| {
                let own = rest % extent;
                rest /= extent;
                own
            })
            .collect();
        index.reverse();
        index
    })
}

/// A pool over three axes; the padding is what `auto_pad` is to make where that is given.
#[derive(Clone, Debug)]
struct Pool {
    operator: &'static str,
    space: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    before: [usize; 3],
    after: [usize; 3],
    auto: &'static str,
    rounds_up: bool,
    counts_padding: bool,
}

const PLAIN: Pool = Pool {
    operator: "MaxPool",
    space: [4, 5, 6],
    kernel: [2, 3, 2],
    stride: [1, 1, 1],
    dilation: [1, 1, 1],
    before: [0, 0, 0],
    after: [0, 0, 0],
    auto: "NOTSET",
    rounds_up: false,
    counts_padding: false,
};

impl Pool {
    fn node(&self) -> NodeProto {
        let mut node = node(self.operator, &["x"], "pooled");
        if self.operator.starts_with("Global") {
            return node;
        }
        let list = |name, values: &[usize]| {
            let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
            integers(name, &values)
        };
        let flag = |name: &str, value| AttributeProto {
            name: name.to_owned(),
            r#type: kind::INT,
            i: i64::from(value),
            ..AttributeProto::default()
        };
        node.attribute = vec![
            list("kernel_shape", &self.kernel),
            list("strides", &self.stride),
            list("dilations", &self.dilation),
            flag("ceil_mode", self.rounds_up),
        ];
        if self.auto == "NOTSET" {
            node.attribute.push(list("pads", &[self.before, self.after].concat()));
        } else {
            node.attribute.push(AttributeProto {
                name: "auto_pad".to_owned(),
                r#type: kind::STRING,
                s: self.auto.as_bytes().to_vec().into(),
                ..AttributeProto::default()
            });
        }
        if self.operator == "AveragePool" {
            node.attribute.push(flag("count_include_pad", self.counts_padding));
        }
        node
    }

    fn outputs(&self) -> Vec<usize> {
        let along = |axis: usize| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let room = self.space[axis] + self.before[axis] + self.after[axis] - reach;
            let begins_inside = |window: usize| window * self.stride[axis] < self.space[axis] + self.before[axis];
            let up = room.div_ceil(self.stride[axis]);
            1 + if self.rounds_up && begins_inside(up) {
                up
            } else {
                room / self.stride[axis]
            }
        };
        (0..3).map(along).collect()
    }

    /// The pool of one channel, as its definition says.
    fn defined(&self, channel: &[f32]) -> Vec<f32> {
        let window = |output: Vec<usize>| {
            let (mut largest, mut sum, mut count) = (f32::NEG_INFINITY, 0.0, 0);
            for tap in indices(&self.kernel) {
                // Counted from the beginning of the padding.
                let place = |axis: usize| output[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                let inside =
                    |axis: usize| (self.before[axis]..self.space[axis] + self.before[axis]).contains(&place(axis));
                let padded = |axis: usize| place(axis) < self.space[axis] + self.before[axis] + self.after[axis];
                if (0..3).all(inside) {
                    let flat = (0..3).fold(0, |flat, axis| {
                        flat * self.space[axis] + place(axis) - self.before[axis]
                    });
                    largest = largest.max(channel[flat]);
                    sum += f64::from(channel[flat]);
                }
                let counts = (0..3).all(inside) || (self.counts_padding && (0..3).all(padded));
                count += i32::from(counts);
            }
            if self.operator.ends_with("MaxPool") {
                largest
            } else {
                (sum / f64::from(count)) as f32
            }
        };
        indices(&self.outputs()).map(window).collect()
    }

    /// Of two samples, or of one that is told from its channels by no layer.
    fn check(&self, samples: usize) {
        let mut nodes = vec![self.node(), node("Transpose", &["pooled"], "y")];
        let order = if samples == 1 { [1, 0, 2, 3, 4] } else { [0, 1, 2, 3, 4] };
        nodes[1].attribute.push(integers("perm", &order));
        let extents = [&[samples, 2], self.space.as_slice()].concat();
        let imported = imported(&extents, nodes, Vec::new());
        assert_eq!(imported.first_axis_is_batch, samples != 1);
        let input = whole_numbers(extents.iter().product(), self.operator);
        let found = run(&imported, &input);
        let channels = input.chunks(self.space.iter().product());
        let expected: Vec<f32> = channels.flat_map(|channel| self.defined(channel)).collect();
        assert_eq!(found.len(), expected.len(), "{self:?}\n{}", imported.text);
        // Sums of whole numbers are exact; two divisions and the sum of at most three means round, half a unit each.
        let bound = if self.operator.ends_with("MaxPool") {
            0.0
        } else {
            8.0 * 4.0 * f32::EPSILON
        };
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (found - expected).abs();
            assert!(
                difference <= bound,
                "{self:?} {index}: {found} for {expected}\n{}",
                imported.text
            );
        }
    }
}

/// Each axis has its own stride, dilation and padding; rounding up and `auto_pad` are settled for each axis.
#[test]
fn pools_over_three_axes() {
    let strided = Pool {
        stride: [2, 2, 3],
        ..PLAIN
    };
    let padded = Pool {
        before: [1, 0, 1],
        after: [0, 2, 1],
        ..strided
    };
    let rounded = Pool {
        rounds_up: true,
        ..padded
    };
    let dilated = Pool {
        dilation: [2, 1, 3],
        ..PLAIN
    };
    let upper = Pool {
        auto: "SAME_UPPER",
        stride: [1, 2, 2],
        before: [0, 1, 0],
        after: [1, 1, 0],
        ..PLAIN
    };
    let lower = Pool {
        auto: "SAME_LOWER",
        before: [1, 1, 1],
        after: [0, 1, 0],
        ..PLAIN
    };
    let depth = Pool {
        kernel: [3, 1, 1],
        before: [1, 0, 0],
        after: [1, 0, 0],
        ..PLAIN
    };
    let slices = Pool {
        kernel: [1, 2, 2],
        stride: [1, 2, 2],
        ..PLAIN
    };
    let thinned = Pool {
        kernel: [1, 1, 1],
        stride: [2, 1, 2],
        ..PLAIN
    };
    let nothing = Pool {
        kernel: [1, 1, 1],
        ..PLAIN
    };
    let pools = [
        PLAIN, strided, padded, rounded, dilated, upper, lower, depth, slices, thinned, nothing,
    ];
    for pool in pools {
        for samples in [1, 2] {
            pool.check(samples);
            for counts_padding in [false, true] {
                Pool {
                    operator: "AveragePool",
                    counts_padding,
                    ..pool.clone()
                }
                .check(samples);
            }
        }
    }
    for operator in ["GlobalMaxPool", "GlobalAveragePool"] {
        let whole = Pool {
            operator,
            kernel: PLAIN.space,
            ..PLAIN
        };
        whole.check(1);
        whole.check(2);
    }
}

/// What three axes look like in the language.
#[test]
fn a_pool_over_three_axes_is_two() {
    let pool = Pool {
        operator: "AveragePool",
        before: [0, 1, 0],
        after: [0, 1, 0],
        ..PLAIN
    };
    let mut node = pool.node();
    node.output = vec!["y".to_owned()];
    let imported = imported(&[2, 3, 4, 5, 6], vec![node], Vec::new());
    insta::assert_snapshot!(imported.text, @r"
    net m {
        input x: f32[3, 4, 5, 6]
        x
            |> reshape(12, 5, 6)
            |> avg_pool([3, 2], count_padding = false, stride = 1, pad = [1, 0])
            |> reshape(3, 4, 25)
            |> avg_pool([2, 1], stride = 1)
            |> reshape(3, 3, 5, 5)
            |> output y
    }
    ");
}

/// A product as ONNX and NumPy define it.
fn product(left: (&[usize], &[f32]), right: (&[usize], &[f32])) -> Vec<f32> {
    let as_matrices = |shape: &[usize], vector: [usize; 2]| -> Vec<usize> {
        if shape.len() == 1 {
            vector.to_vec()
        } else {
            shape.to_vec()
        }
    };
    let (left_shape, right_shape) = (
        as_matrices(left.0, [1, left.0[0]]),
        as_matrices(right.0, [right.0[0], 1]),
    );
    let (left_outer, left_last) = left_shape.split_at(left_shape.len() - 2);
    let (right_outer, right_last) = right_shape.split_at(right_shape.len() - 2);
    let rank = left_outer.len().max(right_outer.len());
    let extent = |outer: &[usize], axis: usize| (axis + outer.len()).checked_sub(rank).map_or(1, |own| outer[own]);
    let outer: Vec<usize> = (0..rank)
        .map(|axis| extent(left_outer, axis).max(extent(right_outer, axis)))
        .collect();
    let matrix = |own: &[usize], index: &[usize]| {
        (0..rank).fold(0, |flat, axis| {
            let extent = extent(own, axis);
            flat * extent + index[axis] % extent
        })
    };
    let (rows, inner, columns) = (left_last[0], left_last[1], right_last[1]);
    indices(&[outer.as_slice(), &[rows, columns]].concat())
        .map(|index| {
            let (row, column) = (index[rank], index[rank + 1]);
            let (first, second) = (matrix(left_outer, &index), matrix(right_outer, &index));
            let term =
                |at| left.1[(first * rows + row) * inner + at] * right.1[(second * inner + at) * columns + column];
            (0..inner).map(term).sum()
        })
        .collect()
}

/// One side flows, the other is constant: vectors, and sides that have other matrices than the other.
#[test]
fn products_of_vectors_and_of_many_matrices() {
    let shapes: [(&[usize], &[usize]); 13] = [
        (&[4], &[4]),
        (&[4], &[4, 3]),
        (&[4], &[2, 4, 3]),
        (&[3, 4], &[4]),
        (&[2, 3, 4], &[4]),
        (&[3, 4], &[2, 4, 5]),
        (&[2, 3, 4], &[4, 5]),
        (&[2, 3, 4], &[2, 4, 5]),
        (&[1, 3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[3, 4, 5]),
        (&[2, 2, 3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[1, 3, 4, 5]),
        (&[2, 1, 3, 4], &[2, 3, 4, 5]),
    ];
    for (left, right) in shapes {
        let numbers = |shape: &[usize], name| whole_numbers(shape.iter().product(), name);
        let (first, second) = (numbers(left, "left"), numbers(right, "right"));
        let expected = product((left, &first), (right, &second));
        for is_left in [false, true] {
            let (flows, known) = if is_left { (left, right) } else { (right, left) };
            let (input, constant) = if is_left { (&first, &second) } else { (&second, &first) };
            let operands = if is_left { ["x", "w"] } else { ["w", "x"] };
            let dims: Vec<i64> = known.iter().map(|&extent| extent as i64).collect();
            let weights = runner::weights("w", &dims, constant.clone());
            let imported = imported(flows, vec![node("MatMul", &operands, "y")], vec![weights]);
            let found = run(&imported, input);
            assert_eq!(found, expected, "{left:?} by {right:?}\n{}", imported.text);
        }
    }
}
