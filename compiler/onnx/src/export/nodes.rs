//! Each operator of the graph as nodes of ONNX. Axes of the graph do not count the batch; ONNX's do.

use netc_graph::operators::function::Function;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::reduce::ReduceKind;
use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::{DType, Data, Tensor};

use super::builder::{Attribute, Builder};
use super::only_in_training;
use Attribute::{Float, Integer, Integers, Text};

/// Adds what makes the value of a node.
pub(super) fn add(builder: &mut Builder<'_>, graph: &Graph, id: NodeId) -> Result<(), String> {
    let node = graph.node(id);
    let mut site = Site {
        builder,
        graph,
        id,
        layer: &node.name,
    };
    let name = match &node.operator {
        Operator::Input(_) => {
            site.builder.input(graph, id);
            return Ok(());
        }
        Operator::Parameter(_) => site.builder.parameter(graph, id, node.ty.shape.extents())?,
        Operator::Constant(it) => site.builder.tensor(&node.name, &it.value),
        Operator::Conv(it) => site.conv("Conv", &it.window, it.groups, &[]),
        Operator::ConvGradInput(it) => site.conv_transpose(&it.window, it.groups),
        // What the rewriter makes of the graph means the same as what it was made of.
        Operator::WinogradConv(_) => return Err("it is a way to compute a convolution".to_owned()),
        Operator::Dense(_) => site.plain("Gemm", vec![Integer("transB", 1)]),
        Operator::MaxPool(it) => {
            let attributes = window(&it.window);
            site.plain("MaxPool", attributes)
        }
        Operator::AveragePool(it) => {
            let mut attributes = window(&it.window);
            attributes.push(Integer("count_include_pad", i64::from(it.count_padding)));
            site.plain("AveragePool", attributes)
        }
        Operator::GlobalAveragePool(_) => site.over_space("GlobalAveragePool"),
        Operator::GlobalMaxPool(_) => site.over_space("GlobalMaxPool"),
        Operator::Relu(_) => site.plain("Relu", vec![]),
        Operator::LeakyRelu(it) => site.plain("LeakyRelu", vec![Float("alpha", it.slope)]),
        Operator::Prelu(_) => site.by_channel(&["PRelu"])?,
        Operator::Tanh(_) => site.plain("Tanh", vec![]),
        Operator::Sigmoid(_) => site.plain("Sigmoid", vec![]),
        Operator::Unary(it) => site.function(&it.function),
        Operator::Softmax(it) => {
            let axis = site.axis(it.axis);
            site.plain("Softmax", vec![Integer("axis", axis)])
        }
        Operator::LogSoftmax(it) => {
            let axis = site.axis(it.axis);
            site.plain("LogSoftmax", vec![Integer("axis", axis)])
        }
        Operator::LocalResponseNorm(it) if it.size % 2 == 1 => site.plain(
            "LRN",
            vec![
                Integer("size", it.size as i64),
                Float("alpha", it.alpha),
                Float("beta", it.beta),
                Float("bias", it.k),
            ],
        ),
        Operator::LocalResponseNorm(_) => return Err("an even number of channels lies otherwise there".to_owned()),
        Operator::BatchNorm(it) => site.plain("BatchNormalization", vec![Float("epsilon", it.epsilon)]),
        Operator::Dropout(it) => {
            let rate = site
                .builder
                .tensor(&format!("{}.rate", node.name), &Tensor::scalar(it.rate));
            site.with("Dropout", &[rate], vec![])
        }
        Operator::Upsample(it) => site.upsample(&it.factor, it.mode),
        Operator::Reshape(_) | Operator::Expand(_) => site.shaped(),
        Operator::SpreadSum(_) => site.for_each_sample()?,
        Operator::Relayout(_) => site.builder.value(graph.inputs(id)[0]),
        Operator::Concat(it) => {
            let axis = site.axis(it.axis);
            site.plain("Concat", vec![Integer("axis", axis)])
        }
        Operator::Slice(it) => {
            let axis = site.axis(it.axis);
            let bounds = [("starts", it.start as i64), ("ends", it.end as i64), ("axes", axis)];
            let bounds = bounds.map(|(name, value)| site.list(name, &[value]));
            site.with("Slice", &bounds, vec![])
        }
        Operator::Pad(it) => {
            let axis = site.axis(it.axis);
            let pads = site.list("pads", &[it.before as i64, it.after as i64]);
            let axes = site.list("axes", &[axis]);
            site.with("Pad", &[pads, String::new(), axes], vec![])
        }
        Operator::Take(it) => {
            let axis = site.axis(it.axis);
            let indices: Vec<i64> = it.indices.iter().map(|&index| index as i64).collect();
            let indices = site.list("indices", &indices);
            site.with("Gather", &[indices], vec![Integer("axis", axis)])
        }
        Operator::Transpose(it) => site.transpose(&it.axes),
        Operator::Reduce(it) => site.reduce(it.kind, &it.axes),
        Operator::Add(_) => site.plain("Add", vec![]),
        Operator::Subtract(_) => site.plain("Sub", vec![]),
        Operator::Multiply(_) => site.plain("Mul", vec![]),
        Operator::Divide(_) => site.plain("Div", vec![]),
        Operator::Maximum(_) => site.plain("Max", vec![]),
        Operator::Minimum(_) => site.plain("Min", vec![]),
        Operator::Scale(it) => {
            let factor = site
                .builder
                .tensor(&format!("{}.factor", node.name), &Tensor::scalar(it.factor));
            site.with("Mul", &[factor], vec![])
        }
        Operator::ScaleShift(_) => site.by_channel(&["Mul", "Add"])?,
        Operator::Quantize(it) => site.quantization("QuantizeLinear", &it.quantization),
        Operator::Dequantize(it) => site.quantization("DequantizeLinear", &it.quantization),
        Operator::Clip(it) => {
            let bounds = [("low", it.low), ("high", it.high)];
            let dtype = node.ty.dtype;
            let bounds = bounds.map(|(name, value)| site.stored(name, dtype, &[value], &[]));
            site.with("Clip", &bounds, vec![])
        }
        Operator::ChannelMean(_)
        | Operator::ChannelVariance(_)
        | Operator::RandomDrop(_)
        | Operator::CrossEntropy(_)
        | Operator::MeanSquaredError(_)
        | Operator::BatchMean(_)
        | Operator::BatchSum(_)
        | Operator::SpreadMean(_)
        | Operator::ConvGradWeight(_)
        | Operator::DenseGradInput(_)
        | Operator::DenseGradWeight(_)
        | Operator::ChannelSum(_)
        | Operator::ChannelScale(_)
        | Operator::ChannelDot(_)
        | Operator::MaxPoolGrad(_)
        | Operator::AveragePoolGrad(_)
        | Operator::GlobalAveragePoolGrad(_)
        | Operator::GlobalMaxPoolGrad(_)
        | Operator::ReluGrad(_)
        | Operator::LeakyReluGrad(_)
        | Operator::PreluGrad(_)
        | Operator::TanhGrad(_)
        | Operator::SigmoidGrad(_)
        | Operator::UnaryGrad(_)
        | Operator::SoftmaxGrad(_)
        | Operator::LogSoftmaxGrad(_)
        | Operator::LocalResponseNormGrad(_)
        | Operator::BatchNormGradInput(_)
        | Operator::BatchNormGradScale(_)
        | Operator::BatchNormGradMean(_)
        | Operator::BatchNormGradVariance(_)
        | Operator::ChannelMeanGrad(_)
        | Operator::ChannelVarianceGrad(_)
        | Operator::UpsampleGrad(_)
        | Operator::QuantizeGrad(_)
        | Operator::CrossEntropyGrad(_)
        | Operator::MeanSquaredErrorGrad(_)
        | Operator::SgdVelocity(_)
        | Operator::SgdStep(_)
        | Operator::AdamFirst(_)
        | Operator::AdamSecond(_)
        | Operator::AdamStep(_)
        | Operator::MovingAverage(_)
        | Operator::SumOfSquares(_)
        | Operator::ClipFactor(_)
        | Operator::MultiplyScalar(_)
        | Operator::TakeGrad(_) => {
            return Err(only_in_training(&node.operator));
        }
    };
    builder.set(id, name);
    Ok(())
}

/// A node of the graph that is being said.
struct Site<'s, 'a> {
    builder: &'s mut Builder<'a>,
    graph: &'s Graph,
    id: NodeId,
    layer: &'s str,
}

impl Site<'_, '_> {
    /// One node on the node's own operands.
    fn plain(&mut self, operator: &str, attributes: Vec<Attribute<'_>>) -> String {
        self.with(operator, &[], attributes)
    }

    /// One node on the node's own operands and others.
    fn with(&mut self, operator: &str, more: &[String], attributes: Vec<Attribute<'_>>) -> String {
        let mut inputs = self.builder.operands(self.graph, self.id);
        inputs.extend_from_slice(more);
        self.builder.node(self.layer, operator, &inputs, attributes)
    }

    fn list(&mut self, name: &str, values: &[i64]) -> String {
        self.builder.list(&format!("{}.{name}", self.layer), values)
    }

    /// An axis of the result as ONNX counts it.
    fn axis(&self, axis: usize) -> i64 {
        (axis + usize::from(self.graph.ty(self.id).batched)) as i64
    }

    /// Extents of the result; the batch stays what it is.
    fn extents(&self) -> Vec<i64> {
        let ty = self.graph.ty(self.id);
        let batch = ty.batched.then_some(0);
        batch
            .into_iter()
            .chain(ty.shape.extents().iter().map(|&extent| extent as i64))
            .collect()
    }

    fn conv(&mut self, operator: &str, it: &Window, groups: usize, more: &[(&'static str, Vec<i64>)]) -> String {
        let mut attributes = window(it);
        attributes.push(Integer("group", groups as i64));
        attributes.extend(more.iter().map(|(name, values)| Integers(name, values.clone())));
        self.plain(operator, attributes)
    }

    /// The gradient of a convolution's input is the transposed convolution; what stride and padding leave open is padded.
    fn conv_transpose(&mut self, it: &Window, groups: usize) -> String {
        let inputs = self.graph.inputs(self.id);
        let from = &self.graph.ty(inputs[0]).shape;
        let to = &self.graph.ty(self.id).shape;
        let open = (0..it.axes()).map(|axis| {
            let smallest = (from[axis + 1] - 1) * it.stride[axis] + it.extent(axis);
            (to[axis + 1] + it.pad_before[axis] + it.pad_after[axis]).saturating_sub(smallest) as i64
        });
        let open: Vec<i64> = open.collect();
        self.conv("ConvTranspose", it, groups, &[("output_padding", open)])
    }

    /// ONNX keeps axes of one, which the graph does not have.
    fn over_space(&mut self, operator: &str) -> String {
        let kept = self.plain(operator, vec![]);
        self.builder
            .node(&format!("{}_flat", self.layer), "Flatten", &[kept], vec![])
    }

    /// Operators with one number for each channel, which lie along the axis after the batch.
    fn by_channel(&mut self, operators: &[&str]) -> Result<String, String> {
        let inputs = self.graph.inputs(self.id);
        let shape = &self.graph.ty(self.id).shape;
        let mut extents = vec![1; shape.rank()];
        extents[0] = shape[0];
        let mut value = self.builder.value(inputs[0]);
        for (operator, &parameter) in operators.iter().zip(&inputs[1..]) {
            let tensor = match self.graph.node(parameter).operator {
                Operator::Parameter(_) => self.builder.parameter(self.graph, parameter, &extents)?,
                _ => {
                    let known = self.builder.value(parameter);
                    let extents: Vec<i64> = extents.iter().map(|&extent| extent as i64).collect();
                    let target = self.list("by_channel", &extents);
                    self.builder.node(self.layer, "Reshape", &[known, target], vec![])
                }
            };
            value = self.builder.node(self.layer, operator, &[value, tensor], vec![]);
        }
        Ok(value)
    }

    fn upsample(&mut self, factor: &[usize], mode: UpsampleMode) -> String {
        let scales: Vec<f32> = [1.0, 1.0]
            .into_iter()
            .chain(factor.iter().map(|&factor| factor as f32))
            .collect();
        let scales = Tensor::from_f32([scales.len()], scales).expect("a list has its length");
        let scales = self.builder.tensor(&format!("{}.scales", self.layer), &scales);
        let (mode, coordinates) = match mode {
            UpsampleMode::Nearest => ("nearest", "asymmetric"),
            UpsampleMode::Bilinear => ("linear", "half_pixel"),
        };
        let attributes = vec![
            Text("mode", mode),
            Text("coordinate_transformation_mode", coordinates),
            Text("nearest_mode", "floor"),
        ];
        self.with("Resize", &[String::new(), scales], attributes)
    }

    /// The same or repeated elements under the result's extents.
    fn shaped(&mut self) -> String {
        let ty = self.graph.ty(self.id);
        if let Operator::Expand(_) = self.graph.node(self.id).operator {
            // One fits any extent, so that the batch stays what it is.
            let mut extents = self.extents();
            let from = self.graph.inputs(self.id)[0];
            let mut value = self.builder.value(from);
            if ty.batched {
                extents[0] = 1;
                // Axes are added after the batch, where ONNX would add them before it.
                let own = &self.graph.ty(from).shape;
                if own.rank() < ty.shape.rank() {
                    let missing = std::iter::repeat_n(1, ty.shape.rank() - own.rank());
                    let own = own.extents().iter().map(|&extent| extent as i64);
                    let aligned: Vec<i64> = std::iter::once(0).chain(missing).chain(own).collect();
                    let aligned = self.list("aligned", &aligned);
                    value = self.builder.node(self.layer, "Reshape", &[value, aligned], vec![]);
                }
            }
            let target = self.list("shape", &extents);
            return self.builder.node(self.layer, "Expand", &[value, target], vec![]);
        }
        if ty.batched && ty.shape.rank() == 1 {
            return self.plain("Flatten", vec![Integer("axis", 1)]);
        }
        let extents = self.extents();
        let target = self.list("shape", &extents);
        self.with("Reshape", &[target], vec![])
    }

    /// What there is once, for every sample: as many as the network's input has.
    fn for_each_sample(&mut self) -> Result<String, String> {
        let inputs = self.graph.input_nodes();
        let input = inputs
            .first()
            .ok_or("the network has no input that tells how many samples there are")?;
        let input = self.builder.value(*input);
        let first = vec![Integer("start", 0), Integer("end", 1)];
        let batch = self
            .builder
            .node(&format!("{}.batch", self.layer), "Shape", &[input], first);
        let own: Vec<i64> = self.extents().split_off(1);
        let own = self.list("shape", &own);
        let target = self.builder.node(
            &format!("{}.target", self.layer),
            "Concat",
            &[batch, own],
            vec![Integer("axis", 0)],
        );
        Ok(self.with("Expand", &[target], vec![]))
    }

    fn transpose(&mut self, axes: &[usize]) -> String {
        let batch = self.graph.ty(self.id).batched.then_some(0);
        let axes: Vec<i64> = axes.iter().map(|&axis| self.axis(axis)).collect();
        let axes = batch.into_iter().chain(axes).collect();
        self.plain("Transpose", vec![Integers("perm", axes)])
    }

    fn reduce(&mut self, kind: ReduceKind, axes: &[usize]) -> String {
        let operator = match kind {
            ReduceKind::Sum => "ReduceSum",
            ReduceKind::Mean => "ReduceMean",
            ReduceKind::Maximum => "ReduceMax",
        };
        let from = self.graph.ty(self.graph.inputs(self.id)[0]).shape.rank();
        let keeps = i64::from(self.graph.ty(self.id).shape.rank() == from);
        let axes: Vec<i64> = axes.iter().map(|&axis| self.axis(axis)).collect();
        let axes = self.list("axes", &axes);
        self.with(operator, &[axes], vec![Integer("keepdims", keeps)])
    }

    fn function(&mut self, function: &Function) -> String {
        match *function {
            Function::Absolute => self.plain("Abs", vec![]),
            Function::Exponential => self.plain("Exp", vec![]),
            Function::Logarithm => self.plain("Log", vec![]),
            Function::SquareRoot => self.plain("Sqrt", vec![]),
            Function::Reciprocal => self.plain("Reciprocal", vec![]),
            Function::Power { exponent } => {
                let exponent = self.number("exponent", exponent);
                self.with("Pow", &[exponent], vec![])
            }
            Function::Erf => self.plain("Erf", vec![]),
            Function::Clip { low, high } => {
                let bounds = [self.number("low", low), self.number("high", high)];
                self.with("Clip", &bounds, vec![])
            }
            Function::Elu { alpha, scale: 1.0 } => self.plain("Elu", vec![Float("alpha", alpha)]),
            Function::Elu { alpha, scale } => self.plain("Selu", vec![Float("alpha", alpha), Float("gamma", scale)]),
            Function::Gelu => self.plain("Gelu", vec![]),
            Function::GeluTanh => self.plain("Gelu", vec![Text("approximate", "tanh")]),
            Function::Silu => {
                let share = self.plain("Sigmoid", vec![]);
                self.with("Mul", &[share], vec![])
            }
            Function::Softplus => self.plain("Softplus", vec![]),
            Function::HardSigmoid { alpha, beta } => {
                self.plain("HardSigmoid", vec![Float("alpha", alpha), Float("beta", beta)])
            }
            Function::HardSwish => self.plain("HardSwish", vec![]),
        }
    }

    fn number(&mut self, name: &str, value: f32) -> String {
        self.builder
            .tensor(&format!("{}.{name}", self.layer), &Tensor::scalar(value))
    }

    /// Integers of a type that bytes are stored in.
    fn stored(&mut self, name: &str, dtype: DType, values: &[i32], shape: &[usize]) -> String {
        let data = match dtype {
            DType::U8 => Data::U8(values.iter().map(|&value| value as u8).collect()),
            DType::I8 => Data::I8(values.iter().map(|&value| value as i8).collect()),
            DType::I32 | DType::F32 => Data::I32(values.to_vec()),
        };
        let tensor = Tensor::new(shape, data).expect("as many values as the shape has");
        self.builder.tensor(&format!("{}.{name}", self.layer), &tensor)
    }

    fn quantization(&mut self, operator: &str, it: &Quantization) -> String {
        let shape: &[usize] = if it.is_per_tensor() { &[] } else { &[it.scale.len()] };
        let scale = Tensor::from_f32(shape, it.scale.clone()).expect("one for all or one for each channel");
        let scale = self.builder.tensor(&format!("{}.scale", self.layer), &scale);
        let zero_point = self.stored("zero_point", it.dtype, &it.zero_point, shape);
        let axis = self.axis(0);
        self.with(operator, &[scale, zero_point], vec![Integer("axis", axis)])
    }
}

/// The attributes of a window.
fn window(window: &Window) -> Vec<Attribute<'static>> {
    let numbers = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let pads = [window.pad_before.as_slice(), &window.pad_after].concat();
    vec![
        Integers("kernel_shape", numbers(&window.kernel)),
        Integers("strides", numbers(&window.stride)),
        Integers("dilations", numbers(&window.dilation)),
        Integers("pads", numbers(&pads)),
    ]
}
