//! A compiled network, and one with weights that can be run.

use std::path::Path;
use std::sync::Arc;

use netc_runtime::bind::{BindError, ParameterSource};
use netc_runtime::execute::{InputRef, OutputMut, Session};
use netc_runtime::program::{ParameterSlot, Program};
use netc_runtime::weights::MappedWeights;
use netc_runtime::{DType, Tensor};

use crate::error::Error;
use crate::options::Options;
use crate::pipeline::{PhaseTimes, Stages};

/// What a layer is expected to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// The layer, as the program's calls name it.
    pub name: String,
    /// Of one run, on one thread.
    pub picoseconds: u64,
}

/// A compiled network without weights. Cheap to clone; one can be bound many times.
#[derive(Clone, Debug)]
pub struct Compiled {
    stages: Arc<Stages>,
    program: Arc<Program>,
    options: Options,
}

impl Compiled {
    pub(crate) fn new(stages: Stages, options: Options) -> Self {
        let program = Arc::new(stages.program.clone());
        Self {
            stages: Arc::new(stages),
            program,
            options,
        }
    }

    /// The machine code and its plan of calls.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Everything that led to it.
    #[must_use]
    pub fn stages(&self) -> &Stages {
        &self.stages
    }

    /// How long each stage took.
    #[must_use]
    pub fn times(&self) -> &PhaseTimes {
        &self.stages.times
    }

    /// What each layer is expected to take on the machine it was optimized for, in the order of first use. A layer has
    /// the name of its calls in the program; a name that comes several times, as in a training step, is one layer.
    #[must_use]
    pub fn layer_costs(&self, batch: usize) -> Vec<LayerCost> {
        let graph = &self.stages.optimized;
        let prediction = netc_rewrite::Prediction::new(graph, &self.options.cost, batch);
        let mut costs: Vec<LayerCost> = Vec::new();
        let mut add = |name: &str, ps: u64| match costs.iter_mut().find(|cost| cost.name == name) {
            Some(cost) => cost.picoseconds = cost.picoseconds.saturating_add(ps),
            None => costs.push(LayerCost {
                name: name.to_owned(),
                picoseconds: ps,
            }),
        };
        for layer in netc_schedule::layers(graph) {
            add(&layer.name, prediction.step_picoseconds(&layer.nodes));
        }
        costs
    }

    /// Binds the initial parameters of a seed.
    ///
    /// # Errors
    /// If there is no memory for them, or threads cannot be started.
    pub fn with_init(&self, seed: u64) -> Result<Model, Error> {
        Ok(Model {
            session: Session::with_init(Arc::clone(&self.program), self.options.session(), seed)?,
        })
    }

    /// Binds the weights of a safetensors file, keys `<layer>.weight` and so on, in PyTorch's shapes. The file stays
    /// mapped: large weights are read when they are used.
    ///
    /// # Errors
    /// If the file cannot be read, is no such file, or holds the weights of another network.
    pub fn with_weights(&self, path: impl AsRef<Path>) -> Result<Model, Error> {
        let mut sources = self.sources(path.as_ref())?.into_iter();
        let next = |slot: &ParameterSlot| {
            sources.next().ok_or_else(|| BindError::Missing {
                name: slot.name.clone(),
                shape: slot.shape.clone(),
            })
        };
        Ok(Model {
            session: Session::new(Arc::clone(&self.program), self.options.session(), next)?,
        })
    }

    /// Binds tensors by name.
    ///
    /// ```
    /// use netc::{Network, Options, Tensor};
    /// let network = Network::parse("net n { input x: f32[2]  x |> dense(1) |> output y }")?;
    /// let weight = Tensor::from_f32([1, 2], vec![10.0, 1.0]).expect("two numbers for 1x2");
    /// let bias = Tensor::from_f32([1], vec![0.5]).expect("one number");
    /// let weights = [("dense1.weight".to_owned(), weight), ("dense1.bias".to_owned(), bias)];
    /// let mut model = network.compile(&Options::default())?.with_tensors(weights)?;
    /// assert_eq!(model.run(&[1.0, 2.0])?, [12.5]);
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a tensor is missing, unknown, or has another shape.
    pub fn with_tensors(&self, tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Model, Error> {
        let values = tensors.into_iter().collect();
        Ok(Model {
            session: Session::with_tensors(Arc::clone(&self.program), self.options.session(), values)?,
        })
    }

    /// Where each parameter comes from when a weight file is bound: the model's from the file, the optimizer's state
    /// from its start.
    pub(crate) fn sources(&self, path: &Path) -> Result<Vec<ParameterSource>, Error> {
        let weights = MappedWeights::open(path)?;
        self.check_weights(&weights, path)?;
        let source = |slot: &ParameterSlot| {
            if slot.in_model {
                return Ok(weights.parameter_source(&slot.name)?);
            }
            Ok(ParameterSource::Owned(slot.init.materialize(
                0,
                &slot.name,
                &slot.shape,
            )))
        };
        self.program.parameters.iter().map(source).collect()
    }

    /// Errors unless the file holds exactly the model's parameters, in their shapes.
    fn check_weights(&self, weights: &MappedWeights, path: &Path) -> Result<(), Error> {
        let slots = || self.program.parameters.iter().filter(|slot| slot.in_model);
        let known: std::collections::BTreeSet<&str> = slots().map(|slot| slot.name.as_str()).collect();
        for slot in slots() {
            weights.expect_f32(&slot.name, &slot.shape)?;
        }
        match weights.shapes().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, shape)) => Err(Error::OtherWeights {
                path: path.to_path_buf(),
                net: self.program.name.clone(),
                problem: format!("the network has no `{name}` ({shape})"),
            }),
        }
    }
}

/// A compiled network with weights.
#[derive(Debug)]
pub struct Model {
    session: Session,
}

impl Model {
    /// The session, to be driven call by call.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// Runs a network with one f32 input and one f32 output on any number of samples, row-major, channels first; gives
    /// the outputs of all samples, one after the other.
    ///
    /// # Errors
    /// If there are several inputs or outputs, the numbers are no whole number of samples, or there is no memory.
    pub fn run(&mut self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        let program = Arc::clone(self.session.program());
        let several = |found, what| Error::SeveralPorts {
            net: program.name.clone(),
            found,
            what,
        };
        let [input] = program.inputs.as_slice() else {
            return Err(several(program.inputs.len(), "inputs"));
        };
        let [output] = program.outputs.as_slice() else {
            return Err(several(program.outputs.len(), "outputs"));
        };
        let sample = input.shape.element_count();
        if !samples.len().is_multiple_of(sample) {
            return Err(Error::PartOfSample {
                found: samples.len(),
                sample,
                shape: input.shape.clone(),
            });
        }
        let batch = samples.len() / sample;
        let mut results = vec![0.0; output.shape.element_count() * batch];
        self.session
            .run(batch, &[InputRef::F32(samples)], &mut [OutputMut::F32(&mut results)])?;
        Ok(results)
    }

    /// Runs on tensors by name, with the batch in front, and gives the outputs by name.
    ///
    /// ```
    /// use netc::{DType, Network, Options, Tensor};
    /// let network = Network::parse(
    ///     "net sum { input a: f32[3]  input b: f32[3]  add(a, b) |> output c }",
    /// )?;
    /// let mut model = network.compile(&Options::default())?.with_init(0)?;
    /// let ones = Tensor::from_f32([2, 3], vec![1.0; 6]).expect("six numbers for 2x3");
    /// let outputs = model.run_tensors(&[("a", &ones), ("b", &ones)])?;
    /// assert_eq!(outputs[0].0, "c");
    /// assert_eq!(outputs[0].1.as_f32(), Some([2.0; 6].as_slice()));
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a tensor is missing, unknown, or of another shape or type, or there is no memory.
    pub fn run_tensors(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, Error> {
        Ok(self.session.run_tensors(inputs)?)
    }

    /// The session below: profiling, and running without allocation.
    pub const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Names, shapes and types of the inputs, in order; shapes are of one sample.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &netc_runtime::Shape, DType)> {
        self.session
            .program()
            .inputs
            .iter()
            .map(|port| (port.name.as_str(), &port.shape, port.dtype))
    }
}
