//! The function that makes all calls of a run: what [`netc_runtime::whole`] describes, as Cranelift IR.
//!
//! For each call it writes the operands' addresses into one array on the stack and calls the kernel with all of its tasks.

use cranelift_codegen::ir::{
    AbiParam, FuncRef, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use netc_runtime::program::{Location, Tasks};
use netc_runtime::whole::Bases;

/// Bytes of an address.
const ADDRESS_BYTES: usize = 8;

/// One of the calls.
pub(crate) struct KernelCall {
    /// The kernel, declared in the function.
    pub(crate) function: FuncRef,
    pub(crate) tasks: Tasks,
    /// Operands: reads, then the write.
    pub(crate) arguments: Vec<Location>,
}

/// Makes `signature` that of `netc_runtime::whole::WholeFunction`.
pub(crate) fn set_signature(signature: &mut Signature) {
    for _ in 0..3 {
        signature.params.push(AbiParam::new(types::I64));
    }
}

/// Fills `function`, whose signature is set.
pub(crate) fn lower(
    calls: &[KernelCall],
    order: Bases,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    config: TargetFrontendConfig,
) {
    let mut builder = FunctionBuilder::new(function, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let [bases, batch, scratch] = builder.block_params(entry).try_into().expect("three parameters");
    let most = calls.iter().map(|call| call.arguments.len()).max().unwrap_or(0);
    let bytes = u32::try_from(most * ADDRESS_BYTES).expect("a call has few operands");
    let alignment = ADDRESS_BYTES.trailing_zeros() as u8;
    let array = builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, alignment));
    for call in calls {
        for (position, &argument) in call.arguments.iter().enumerate() {
            let address = address(&mut builder, (bases, batch), order, argument);
            builder.ins().stack_store(types::I64, address, array, offset(position));
        }
        let arguments = builder.ins().stack_addr(types::I64, array, 0);
        let first = builder.ins().iconst(types::I64, 0);
        let count = count(&mut builder, batch, call.tasks);
        builder
            .ins()
            .call(call.function, &[arguments, batch, first, count, scratch]);
    }
    builder.ins().return_(&[]);
    builder.finalize(config);
}

/// Where an address stands in an array of them.
fn offset(position: usize) -> i32 {
    i32::try_from(position * ADDRESS_BYTES).expect("there are few operands and memories")
}

/// Where an operand starts.
fn address(
    builder: &mut FunctionBuilder<'_>,
    (bases, batch): (Value, Value),
    order: Bases,
    location: Location,
) -> Value {
    let flags = MemFlagsData::new().with_notrap().with_aligned();
    let base = builder
        .ins()
        .load(types::I64, flags, bases, offset(order.index(location)));
    let plus = |builder: &mut FunctionBuilder<'_>, to: Value, bytes: usize| match bytes {
        0 => to,
        bytes => builder.ins().iadd_imm_s(to, bytes as i64),
    };
    match location {
        Location::Batched { per_sample, offset } => {
            let base = if per_sample == 0 {
                base
            } else {
                let before = builder.ins().imul_imm_s(batch, per_sample as i64);
                builder.ins().iadd(base, before)
            };
            plus(builder, base, offset)
        }
        Location::Input { offset, .. }
        | Location::Output { offset, .. }
        | Location::Parameter { offset, .. }
        | Location::Constant { offset, .. }
        | Location::Prepared { offset }
        | Location::Fixed { offset } => plus(builder, base, offset),
    }
}

/// How many tasks a call has for this batch: `Tasks::count`.
fn count(builder: &mut FunctionBuilder<'_>, batch: Value, tasks: Tasks) -> Value {
    if tasks.per_group == 0 {
        return builder.ins().iconst(types::I64, tasks.fixed as i64);
    }
    let groups = if tasks.group == 1 {
        batch
    } else {
        let up = builder.ins().iadd_imm_s(batch, tasks.group as i64 - 1);
        let group = builder.ins().iconst(types::I64, tasks.group as i64);
        builder.ins().udiv(up, group)
    };
    let grouped = builder.ins().imul_imm_s(groups, tasks.per_group as i64);
    builder.ins().iadd_imm_s(grouped, tasks.fixed as i64)
}
