//! A whole plan to a program: every step's kernel built, compiled once if equal, and its operands located.

use std::fmt::Write as _;

use cranelift_module::FuncId;
use netc_runtime::program::{self, Call, Location, Program, Tasks};
use netc_runtime::whole::Bases;
use netc_schedule::{Machine, Place, Plan, Port, Step, View};

use crate::error::CodegenError;
use crate::jit::{Assembler, Code, host_module};
use crate::kernels::{self, BuiltKernel};
use crate::lower_cranelift::LANES;
use crate::x86::Level;

/// The share of the last cache that a program counts on: a half, others want some of it too.
const SHARE_OF_CACHE: usize = 2;

/// Compiles a plan for the processor we run on.
///
/// The plan must hold what its types promise: views inside their buffers, operands in each kernel's order. It comes
/// from the planner, never from a user.
///
/// Errors: [`CodegenError::Lanes`] and [`CodegenError::Host`]
/// for a machine without a code generator, [`CodegenError::Backend`] if Cranelift refuses a kernel.
pub fn compile(plan: &Plan, machine: &Machine) -> Result<Program, CodegenError> {
    let level = level_of(machine)?;
    let mut assembler = Assembler::new(host_module()?, level);
    let prologue = define(&plan.prologue, machine, &mut assembler)?;
    let steps = define(&plan.steps, machine, &mut assembler)?;
    let whole = assembler.define_whole(&kernel_calls(plan, &steps), bases(plan))?;
    let code_bytes = assembler.code_bytes();
    let code = Code::finish(assembler)?;
    let scratch_bytes = prologue.iter().chain(&steps).map(|each| each.scratch_bytes).max();
    let calls = |steps: &[Step], defined: &[Defined]| {
        steps
            .iter()
            .zip(defined)
            .map(|(step, defined)| call(plan, step, defined, &code))
            .collect()
    };
    Ok(Program {
        name: plan.name.clone(),
        inputs: plan.inputs.iter().map(port).collect(),
        outputs: plan.outputs.iter().map(port).collect(),
        parameters: plan.parameters.iter().map(parameter).collect(),
        constants: plan.constants.clone(),
        prologue: calls(&plan.prologue, &prologue),
        calls: calls(&plan.steps, &steps),
        whole: Some(code.whole(whole)),
        prepared_bytes: plan.prepared_bytes,
        batched_bytes: plan.batched_bytes,
        fixed_bytes: plan.fixed_bytes,
        cached_bytes: machine.caches.last_bytes / SHARE_OF_CACHE,
        scratch_bytes: scratch_bytes.unwrap_or(0),
        code_bytes,
        code: code.owner(),
    })
}

/// Every kernel of a plan in the kernel IR, as text.
///
/// Errors: as [`compile`], but for those of the host.
pub fn emit(plan: &Plan, machine: &Machine) -> Result<String, CodegenError> {
    let mut text = String::new();
    for step in plan.prologue.iter().chain(&plan.steps) {
        let built = kernels::build(step, machine);
        let _ = writeln!(text, "{} {} {{", step.kernel.name(), step.name);
        for (index, view) in step.reads.iter().enumerate() {
            let _ = writeln!(text, "    // argument {index}: reads {view}");
        }
        let _ = writeln!(text, "    // argument {}: writes {}", step.reads.len(), step.write);
        let tasks = built.tasks;
        let _ = writeln!(
            text,
            "    // tasks: {} a group of {}, {} fixed",
            tasks.per_group, tasks.group, tasks.fixed
        );
        for line in built.ir.to_string().lines() {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str("}\n\n");
    }
    Ok(text)
}

/// The wide lowering that a machine asks for, `None` for Cranelift's.
///
/// Errors: [`CodegenError::Lanes`] if this processor does not have it.
pub(crate) fn level_of(machine: &Machine) -> Result<Option<Level>, CodegenError> {
    if machine.lanes == LANES {
        return Ok(None);
    }
    let host = Level::detect();
    let wanted = [Level::Avx2, Level::Avx512]
        .into_iter()
        .find(|level| level.lanes() == machine.lanes);
    match wanted {
        Some(level) if host >= Some(level) => Ok(wanted),
        _ => Err(CodegenError::Lanes {
            lanes: machine.lanes,
            supported: host.map_or(LANES, Level::lanes),
        }),
    }
}

struct Defined {
    id: FuncId,
    tasks: Tasks,
    scratch_bytes: usize,
}

fn define<M: cranelift_module::Module>(
    steps: &[Step],
    machine: &Machine,
    assembler: &mut Assembler<M>,
) -> Result<Vec<Defined>, CodegenError> {
    let one = |step: &Step| {
        let BuiltKernel { ir, tasks } = kernels::build(step, machine);
        Ok(Defined {
            scratch_bytes: ir.scratch_bytes,
            id: assembler.define(step.kernel.name(), ir)?,
            tasks,
        })
    };
    steps.iter().map(one).collect()
}

/// The calls of a run, for the function that makes all of them.
fn kernel_calls(plan: &Plan, steps: &[Defined]) -> Vec<(FuncId, Tasks, Vec<Location>)> {
    let one = |(step, defined): (&Step, &Defined)| (defined.id, defined.tasks, locations(plan, step));
    plan.steps.iter().zip(steps).map(one).collect()
}

fn bases(plan: &Plan) -> Bases {
    Bases {
        inputs: plan.inputs.len(),
        outputs: plan.outputs.len(),
        parameters: plan.parameters.len(),
    }
}

fn call(plan: &Plan, step: &Step, defined: &Defined, code: &Code) -> Call {
    let operands = || step.reads.iter().chain([&step.write]);
    let bytes = |batched: bool| {
        let views = operands().filter(|view| view.is_batched() == batched);
        views
            .map(|view| (view.element_count() * view.dtype.size_bytes()) as u64)
            .sum()
    };
    Call {
        name: step.name.clone(),
        kernel: step.kernel.name().to_owned(),
        function: code.function(defined.id),
        tasks: defined.tasks,
        arguments: locations(plan, step),
        macs: step.macs,
        batched_bytes: bytes(true),
        fixed_bytes: bytes(false),
        batched: operands().any(View::is_batched),
    }
}

/// A call's operands: reads, then the write.
fn locations(plan: &Plan, step: &Step) -> Vec<Location> {
    let operands = step.reads.iter().chain([&step.write]);
    operands.map(|view| location(plan, view)).collect()
}

fn location(plan: &Plan, view: &View) -> Location {
    let offset = view.offset * view.dtype.size_bytes();
    match plan.buffer(view.buffer).place {
        Place::Input(index) => Location::Input { index, offset },
        Place::Output(index) => Location::Output { index, offset },
        Place::Parameter(index) => Location::Parameter { index, offset },
        Place::Constant(index) => Location::Constant { index, offset },
        Place::Prepared { offset_bytes } => Location::Prepared {
            offset: offset_bytes + offset,
        },
        Place::Batched { offset_bytes } => Location::Batched {
            per_sample: offset_bytes,
            offset,
        },
        Place::Fixed { offset_bytes } => Location::Fixed {
            offset: offset_bytes + offset,
        },
    }
}

fn port(port: &Port) -> program::Port {
    program::Port {
        name: port.name.clone(),
        dtype: port.view.dtype,
        shape: port.shape.clone(),
        batched: port.view.is_batched(),
    }
}

fn parameter(slot: &netc_schedule::ParameterSlot) -> program::ParameterSlot {
    program::ParameterSlot {
        name: slot.name.clone(),
        shape: slot.shape.clone(),
        init: slot.init,
        in_model: slot.in_model,
        updated: slot.updated,
    }
}

#[cfg(test)]
mod tests {
    use netc_runtime::execute::{Options, Session};
    use netc_runtime::{DType, Init, Shape, Tensor};
    use netc_schedule::kernel::{Contract, Lanes, PackWeights, Pointwise, Spread, Stride, Tap};
    use netc_schedule::{Axes, Buffer, BufferId, Expression, Instruction, Kernel, ParameterSlot};

    use super::*;
    use crate::testing::machines;

    fn vector(buffer: u32, count: usize, batched: bool) -> View {
        View {
            buffer: BufferId(buffer),
            dtype: DType::F32,
            offset: 0,
            extents: Axes {
                channel: count,
                row: 1,
                column: 1,
            },
            strides: Axes {
                channel: 1,
                row: 1,
                column: 1,
            },
            sample_stride: if batched { count } else { 0 },
        }
    }

    /// `y = relu(W x + b)` for `W` of 3x5, packed in the prologue, through the arena.
    fn dense_plan(machine: &Machine) -> Plan {
        let panel = machine.panel(3);
        let pack = PackWeights {
            groups: 1,
            group_stride: 15,
            width: 3,
            width_stride: 5,
            depth: 5,
            depth_stride: 1,
            tap_offsets: vec![0],
            panel,
        };
        let contract = Contract {
            taps: vec![Tap { row: 0, column: 0 }],
            stride: Stride { row: 1, column: 1 },
            groups: 1,
            depth: 5,
            width: 3,
            panel,
            lanes: Lanes::Channels,
            bias: true,
            epilogue: Expression::identity(),
            pooled: None,
        };
        let mut relu = Expression::identity();
        let zero = relu.push(Instruction::Constant(0.0));
        relu.push(Instruction::Maximum(0, zero));
        let relu = Pointwise {
            spreads: vec![Spread::Full],
            body: relu,
            divisor: netc_schedule::kernel::Divisor::One,
            replaces: Vec::new(),
        };
        let buffer = |elements: usize, place: Place| Buffer {
            size_bytes: 4 * elements,
            place,
        };
        let packed = vector(3, pack.packed_count(), false);
        let step = |name: &str, kernel: Kernel, reads: Vec<View>, write: View| Step {
            name: name.to_owned(),
            kernel,
            reads,
            write,
            macs: 15,
        };
        let slot = |name: &str, shape: &[usize]| ParameterSlot {
            name: name.to_owned(),
            shape: Shape::new(shape.to_vec()),
            init: Init::Constant(0.0),
            in_model: true,
            updated: false,
        };
        let ports = |name: &str, buffer: u32, count: usize| {
            vec![Port {
                name: name.to_owned(),
                view: vector(buffer, count, true),
                shape: Shape::new(vec![count]),
            }]
        };
        Plan {
            name: "dense".to_owned(),
            buffers: vec![
                buffer(5, Place::Input(0)),
                buffer(15, Place::Parameter(0)),
                buffer(3, Place::Parameter(1)),
                buffer(5 * panel, Place::Prepared { offset_bytes: 0 }),
                buffer(3, Place::Batched { offset_bytes: 0 }),
                buffer(3, Place::Output(0)),
            ],
            prologue: vec![step(
                "dense1",
                Kernel::PackWeights(pack),
                vec![vector(1, 15, false)],
                packed.clone(),
            )],
            steps: vec![
                step(
                    "dense1",
                    Kernel::Contract(contract),
                    vec![vector(0, 5, true), packed, vector(2, 3, false)],
                    vector(4, 3, true),
                ),
                step(
                    "relu1",
                    Kernel::Pointwise(relu),
                    vec![vector(4, 3, true)],
                    vector(5, 3, true),
                ),
            ],
            inputs: ports("x", 0, 5),
            outputs: ports("y", 5, 3),
            parameters: vec![slot("dense1.weight", &[3, 5]), slot("dense1.bias", &[3])],
            prepared_bytes: 20 * panel,
            batched_bytes: 64,
            ..Plan::default()
        }
    }

    #[test]
    fn a_plan_becomes_a_program_that_runs() {
        for machine in machines() {
            let program = compile(&dense_plan(&machine), &machine).unwrap();
            assert!(program.code_bytes > 0);
            let weights: Vec<f32> = (0..15u8).map(|index| f32::from(index) - 7.0).collect();
            let values = [
                (
                    "dense1.weight".to_owned(),
                    Tensor::from_f32(vec![3, 5], weights).unwrap(),
                ),
                (
                    "dense1.bias".to_owned(),
                    Tensor::from_f32(vec![3], vec![1.0, 2.0, 3.0]).unwrap(),
                ),
            ];
            let mut session =
                Session::with_tensors(std::sync::Arc::new(program), Options::default(), values.into()).unwrap();
            let x = Tensor::from_f32(vec![2, 5], vec![1.0, 0.0, 2.0, 0.0, 0.0, -1.0, -1.0, 0.0, 0.0, 1.0]).unwrap();
            // As one call, and call by call.
            for profiled in [false, true] {
                session.profile(profiled);
                let y = session.run_tensors(&[("x", &x)]).unwrap();
                // Rows of W: -7..-3, -2..2, 3..7.
                assert_eq!(y[0].1.as_f32().unwrap(), [0.0, 0.0, 16.0, 11.0, 7.0, 3.0]);
            }
        }
    }

    #[test]
    fn kernels_are_shown_as_text() {
        let mut plan = dense_plan(&Machine::portable());
        plan.prologue.clear();
        plan.steps.remove(0);
        insta::assert_snapshot!(emit(&plan, &Machine::portable()).unwrap());
    }
}
