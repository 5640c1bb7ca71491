//! Kernels into this process's memory, ready to be called.
//!
//! Memory is writable while code is written and becomes read-and-execute when all of it is there; it is freed when the
//! last user of the code lets go. [`Assembler`] is what an object file writer shares with the JIT.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use cranelift_codegen::Context;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, ModuleError, default_libcall_names};
use netc_runtime::program::{KernelFunction, Location, Tasks};
use netc_runtime::whole::{Bases, WholeFunction};

use crate::error::CodegenError;
use crate::ir::Kernel;
use crate::lower_cranelift;
use crate::whole::{self, KernelCall};
use crate::x86::{self, Level};

/// Functions start at a cache line.
const ALIGNMENT: u64 = 64;

/// A module with what is needed to add kernels to it.
pub(crate) struct Assembler<M: Module> {
    module: M,
    level: Option<Level>,
    context: Context,
    frontend: FunctionBuilderContext,
    /// Kernels that are there already. A network has few, and different ones differ in their first numbers: comparing
    /// them all takes less time than hashing each.
    known: Vec<(Kernel, FuncId)>,
    code_bytes: usize,
}

impl<M: Module> Assembler<M> {
    /// Writes into this module: kernels for a level's vectors, or for Cranelift's.
    pub(crate) fn new(module: M, level: Option<Level>) -> Self {
        let context = module.make_context();
        Self {
            module,
            level,
            context,
            frontend: FunctionBuilderContext::new(),
            known: Vec::new(),
            code_bytes: 0,
        }
    }

    /// Compiles a kernel, or finds the equal one compiled before.
    ///
    /// Errors: [`CodegenError::Backend`] if Cranelift refuses it.
    pub(crate) fn define(&mut self, name: &str, kernel: Kernel) -> Result<FuncId, CodegenError> {
        if let Some((_, id)) = self.known.iter().find(|(known, _)| *known == kernel) {
            return Ok(*id);
        }
        let failed = |error: ModuleError| CodegenError::Backend {
            kernel: name.to_owned(),
            reason: format!("{error:?}"),
        };
        self.module.clear_context(&mut self.context);
        lower_cranelift::set_signature(&mut self.context.func.signature);
        let id = self
            .module
            .declare_anonymous_function(&self.context.func.signature)
            .map_err(failed)?;
        self.code_bytes += match self.level {
            None => self.by_cranelift(id, &kernel),
            Some(level) => {
                let code = x86::lower(&kernel, level);
                self.module
                    .define_function_bytes(id, ALIGNMENT, &code, &[])
                    .map(|()| code.len())
                    .map_err(Box::new)
            }
        }
        .map_err(|error| failed(*error))?;
        self.known.push((kernel, id));
        Ok(id)
    }

    /// Bytes of the function.
    fn by_cranelift(&mut self, id: FuncId, kernel: &Kernel) -> Result<usize, Box<ModuleError>> {
        let config = self.module.target_config();
        lower_cranelift::lower(kernel, &mut self.context.func, &mut self.frontend, config);
        self.module.define_function(id, &mut self.context).map_err(Box::new)?;
        Ok(self.context.compiled_code().map_or(0, |code| code.code_buffer().len()))
    }

    /// Compiles the function that makes these calls of kernels defined before.
    ///
    /// Errors: [`CodegenError::Backend`] if Cranelift refuses it.
    pub(crate) fn define_whole(
        &mut self,
        calls: &[(FuncId, Tasks, Vec<Location>)],
        order: Bases,
    ) -> Result<FuncId, CodegenError> {
        let failed = |error: ModuleError| CodegenError::Backend {
            kernel: "whole".to_owned(),
            reason: format!("{error:?}"),
        };
        self.module.clear_context(&mut self.context);
        let function = &mut self.context.func;
        whole::set_signature(&mut function.signature);
        let id = self
            .module
            .declare_anonymous_function(&function.signature)
            .map_err(failed)?;
        let mut declared = |(kernel, tasks, arguments): &(FuncId, Tasks, Vec<Location>)| {
            let reference = self.module.declare_func_in_func(*kernel, function);
            // Called by its address: nothing says that functions lie near each other.
            function.dfg.ext_funcs[reference].colocated = false;
            KernelCall {
                function: reference,
                tasks: *tasks,
                arguments: arguments.clone(),
            }
        };
        let calls: Vec<KernelCall> = calls.iter().map(&mut declared).collect();
        let config = self.module.target_config();
        whole::lower(&calls, order, function, &mut self.frontend, config);
        self.module.define_function(id, &mut self.context).map_err(failed)?;
        self.code_bytes += self.context.compiled_code().map_or(0, |code| code.code_buffer().len());
        Ok(id)
    }

    /// Bytes of code so far.
    pub(crate) const fn code_bytes(&self) -> usize {
        self.code_bytes
    }
}

/// A module for the processor we run on.
///
/// Errors: [`CodegenError::Host`] if Cranelift does not know it.
pub(crate) fn host_module() -> Result<JITModule, CodegenError> {
    let mut flags = settings::builder();
    let set = [
        // Kernels come in the order that suits registers and memory operands. Cranelift's optimizer moves every
        // operation next to its last use: all loads of a tile first, all sums after, and everything spills.
        ("opt_level", "none"),
        ("enable_probestack", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("unwind_info", "false"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
    ];
    for (name, value) in set {
        flags
            .set(name, value)
            .expect("the name and value of a Cranelift setting");
    }
    let isa = cranelift_native::builder().map_err(|reason| CodegenError::Host(reason.to_owned()))?;
    let isa = isa
        .finish(settings::Flags::new(flags))
        .map_err(|error| CodegenError::Host(error.to_string()))?;
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    // What Cranelift calls for a fused multiply-add where the processor has none.
    builder.symbol("fmaf", fused as *const u8);
    Ok(JITModule::new(builder))
}

extern "C" fn fused(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

/// Finished code: functions that stay valid as long as [`Self::owner`] lives.
pub(crate) struct Code {
    module: Arc<Owner>,
}

impl Code {
    /// Makes everything defined so far callable.
    ///
    /// Errors: [`CodegenError::Backend`] if memory cannot be made executable.
    pub(crate) fn finish(mut assembler: Assembler<JITModule>) -> Result<Self, CodegenError> {
        let finished = assembler.module.finalize_definitions();
        // From here on, dropping the owner frees the memory, also when finishing failed.
        let module = Arc::new(Owner(ManuallyDrop::new(assembler.module)));
        finished.map_err(|error| CodegenError::Backend {
            kernel: "all".to_owned(),
            reason: format!("{error:?}"),
        })?;
        Ok(Self { module })
    }

    /// The function of a kernel defined before [`Self::finish`].
    pub(crate) fn function(&self, id: FuncId) -> KernelFunction {
        let code = self.module.0.get_finalized_function(id);
        // SAFETY: `code` is the start of a function compiled with `lower_cranelift::set_signature`'s five integers and
        // the platform's C calling convention, which is `KernelFunction`'s type.
        unsafe { std::mem::transmute::<*const u8, KernelFunction>(code) }
    }

    /// The function of all calls, by [`Assembler::define_whole`].
    pub(crate) fn whole(&self, id: FuncId) -> WholeFunction {
        let code = self.module.0.get_finalized_function(id);
        // SAFETY: `code` is the start of a function compiled with `whole::set_signature`'s three integers and the
        // platform's C calling convention, which is `WholeFunction`'s type.
        unsafe { std::mem::transmute::<*const u8, WholeFunction>(code) }
    }

    /// What must live as long as any function is called.
    pub(crate) fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.module) as Arc<dyn Any + Send + Sync>
    }
}

struct Owner(ManuallyDrop<JITModule>);

// SAFETY: after `finalize_definitions` the module is only read (function addresses) until it is dropped, once.
unsafe impl Send for Owner {}
// SAFETY: as above; there is no interior mutability in what is read.
unsafe impl Sync for Owner {}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: the module is taken once, here; whoever may still call its functions holds an `Arc` of this owner,
        // so nobody does.
        unsafe { ManuallyDrop::take(&mut self.0).free_memory() }
    }
}
