//! The plan as text, for `--emit plan` and for snapshots.

use std::fmt::Write;

use crate::kernel::{
    Contract, Divisor, InputGradient, Kernel, Lanes, PackWeights, Pointwise, PoolKind, PoolWindow, Reduce, Replacement,
    Tiling, WeightGradient, Winograd, WinogradWeights,
};
use crate::plan::{Buffer, Place, Plan, Step};

/// One line for each buffer and step, in the plan's order.
#[must_use]
pub fn to_text(plan: &Plan) -> String {
    let mut text = format!("plan {}\n", plan.name);
    let ports = [("input", &plan.inputs), ("output", &plan.outputs)];
    for (kind, ports) in ports {
        for port in ports {
            line(&mut text, format_args!("{kind} {} = {}", port.name, port.view));
        }
    }
    for (index, buffer) in plan.buffers.iter().enumerate() {
        line(&mut text, format_args!("b{index}: {}", buffer_text(plan, buffer)));
    }
    line(
        &mut text,
        format_args!(
            "arena: {} B a sample + {} B; prepared: {} B",
            plan.batched_bytes, plan.fixed_bytes, plan.prepared_bytes
        ),
    );
    for (title, steps) in [("prologue", &plan.prologue), ("steps", &plan.steps)] {
        if !steps.is_empty() {
            line(&mut text, format_args!("{title}:"));
        }
        for step in steps {
            line(&mut text, format_args!("  {}", step_text(step)));
        }
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a string cannot fail");
}

fn buffer_text(plan: &Plan, buffer: &Buffer) -> String {
    let bytes = buffer.size_bytes;
    match buffer.place {
        Place::Input(index) => format!("input {}, {bytes} B", plan.inputs[index].name),
        Place::Output(index) => format!("output {}, {bytes} B", plan.outputs[index].name),
        Place::Parameter(index) => format!("parameter {}, {bytes} B", plan.parameters[index].name),
        Place::Constant(index) => format!("constant {}, {bytes} B", plan.constants[index].shape()),
        Place::Prepared { offset_bytes } => format!("prepared at {offset_bytes}, {bytes} B"),
        Place::Batched { offset_bytes } => format!("arena at {offset_bytes}·N, {bytes} B a sample"),
        Place::Fixed { offset_bytes } => format!("arena, fixed part at {offset_bytes}, {bytes} B"),
    }
}

fn step_text(step: &Step) -> String {
    let reads: Vec<String> = step.reads.iter().map(ToString::to_string).collect();
    let attributes = attributes(&step.kernel);
    let space = if attributes.is_empty() { "" } else { " " };
    format!(
        "{}: {} = {}({}){space}{attributes}",
        step.name,
        step.write,
        step.kernel.name(),
        reads.join(", ")
    )
}

fn attributes(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Contract(contract) => contract_text(contract),
        Kernel::Winograd(Winograd { tiling, contract }) => {
            format!("{} {}", tiling_text(tiling), contract_text(contract))
        }
        Kernel::WinogradWeights(WinogradWeights {
            tiling,
            panels,
            elements,
        }) => {
            format!("{} panels={panels} elements={elements}", tiling_text(tiling))
        }
        Kernel::PackWeights(PackWeights {
            groups,
            width,
            depth,
            tap_offsets,
            panel,
            ..
        }) => {
            format!(
                "groups={groups} width={width} depth={depth} taps={} panel={panel}",
                tap_offsets.len()
            )
        }
        Kernel::WeightGradient(WeightGradient {
            taps,
            stride,
            groups,
            depth,
            width,
            ..
        }) => {
            format!(
                "taps={} stride={}x{} groups={groups} depth={depth} width={width}",
                taps.len(),
                stride.row,
                stride.column
            )
        }
        Kernel::InputGradient(InputGradient { kernel, stride }) => {
            format!(
                "kernel={}x{} stride={}x{}",
                kernel[0], kernel[1], stride.row, stride.column
            )
        }
        Kernel::Pointwise(Pointwise {
            spreads,
            body,
            divisor,
            replaces,
        }) => {
            let divisor = match divisor {
                Divisor::One => String::new(),
                Divisor::Terms(terms) => format!(" / {terms}·N"),
                Divisor::TermsLessOne(terms) => format!(" / ({terms}·N - 1)"),
            };
            let replaces: Vec<String> = replaces
                .iter()
                .map(|Replacement { read, value }| format!(" r{read}={}", body.text_of(*value)))
                .collect();
            format!(
                "spreads={} body={body}{divisor}{}",
                spreads_text(spreads),
                replaces.concat()
            )
        }
        Kernel::Reduce(Reduce {
            spreads,
            body,
            over,
            scaling,
        }) => {
            format!(
                "spreads={} body={body} over={over:?} scaling={scaling:?}",
                spreads_text(spreads)
            )
        }
        Kernel::Pool(_, window) | Kernel::PoolGradient(_, window) => window_text(window),
        Kernel::LocalResponseNorm { size, alpha, beta, k }
        | Kernel::LocalResponseNormGradient { size, alpha, beta, k } => {
            format!("size={size} alpha={alpha:?} beta={beta:?} k={k:?}")
        }
        Kernel::CrossEntropy { label_smoothing } | Kernel::CrossEntropyGradient { label_smoothing } => {
            format!("label_smoothing={label_smoothing:?}")
        }
        Kernel::Upsample { linear } | Kernel::UpsampleGradient { linear } => format!("linear={linear}"),
        Kernel::QuantizeGradient { low, high } | Kernel::Clip { low, high } => format!("low={low} high={high}"),
        Kernel::Fill(value) => format!("value={value:?}"),
        Kernel::ZeroHalo { before, after } => {
            format!("before={}x{} after={}x{}", before[0], before[1], after[0], after[1])
        }
        Kernel::ClipFactor { limit } => format!("limit={limit:?}"),
        Kernel::GlobalMaximum
        | Kernel::GlobalMaximumGradient
        | Kernel::Softmax { .. }
        | Kernel::SoftmaxGradient { .. }
        | Kernel::Take
        | Kernel::TakeGradient
        | Kernel::Copy
        | Kernel::Quantize
        | Kernel::Dequantize
        | Kernel::Reshape => String::new(),
    }
}

fn contract_text(contract: &Contract) -> String {
    let Contract {
        taps,
        stride,
        groups,
        depth,
        width,
        panel,
        lanes,
        bias,
        epilogue,
        pooled,
    } = contract;
    let pooled = pooled.as_ref().map_or(String::new(), |pooled| {
        let kind = match pooled.kind {
            PoolKind::Maximum => "maximum",
            PoolKind::Average { .. } => "average",
        };
        format!(" pooled={kind} {}x{}", pooled.rows, pooled.columns)
    });
    let lanes = match lanes {
        Lanes::Channels => "",
        Lanes::Columns => " lanes=columns",
        Lanes::Depth => " lanes=depth",
        Lanes::ChannelsInPlace => " lanes=channels-in-place",
        Lanes::EachChannel => " lanes=each-channel",
    };
    format!(
        "taps={} stride={}x{} groups={groups} depth={depth} width={width} panel={panel}{lanes} bias={bias} epilogue={epilogue}{pooled}",
        taps.len(),
        stride.row,
        stride.column
    )
}

fn tiling_text(tiling: &Tiling) -> String {
    let pair = |[row, column]: [usize; 2]| format!("{row}x{column}");
    let Tiling {
        results,
        taps,
        dilation,
    } = *tiling;
    format!(
        "tile={} kernel={} dilation={}",
        pair(results),
        pair(taps),
        pair(dilation)
    )
}

fn spreads_text(spreads: &[crate::kernel::Spread]) -> String {
    spreads
        .iter()
        .map(|spread| format!("{spread:?}").to_lowercase())
        .collect::<Vec<_>>()
        .join(",")
}

fn window_text(window: &PoolWindow) -> String {
    let pair = |[row, column]: [usize; 2]| format!("{row}x{column}");
    format!(
        "kernel={} stride={} dilation={} pad={}..{}",
        pair(window.kernel),
        pair(window.stride),
        pair(window.dilation),
        pair(window.pad_before),
        pair(window.pad_after)
    )
}
