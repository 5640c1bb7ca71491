//! The commands, one file each, and what several of them share.

mod architecture;
mod bench;
mod calibrate;
mod check;
mod compile;
mod eval;
mod explain;
mod export;
mod fmt;
mod import;
mod run;
mod samples;
mod targets;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use netc::stages::rewrite::Machine;
use netc::{Cpu, LoadOptions, Network, Options, calibration};

use crate::console;

/// Compiles, trains and runs convolutional networks written in the netc language.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  netc check models/lenet5.net\n\nRun `netc COMMAND --help` for an example of each command."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Fmt(fmt::Fmt),
    Compile(compile::Compile),
    Run(run::Run),
    Train(train::Train),
    Eval(eval::Eval),
    Bench(bench::Bench),
    Calibrate(calibrate::Calibrate),
    Explain(explain::Explain),
    Import(import::Import),
    Export(export::Export),
}

/// Reads the arguments, does what they say, and says how it ended.
pub(crate) fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are such errors, too; whoever closed the pipe has seen enough of them.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match arguments.command {
        Command::Check(command) => command.run(),
        Command::Fmt(command) => command.run(),
        Command::Compile(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Calibrate(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Export(command) => command.run(),
    };
    result.unwrap_or_else(|error| console::fail(&error))
}

/// Which network.
#[derive(Debug, Args)]
struct Source {
    /// The file that holds the network: `.net`, or an ONNX model, `.onnx`
    file: PathBuf,
    /// Which net, if the file has several
    #[arg(long)]
    net: Option<String>,
    /// A value for one of the net's arguments, in place of its default; may be given several times
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = argument)]
    arguments: Vec<(String, i64)>,
    /// A number for an extent that has a name in an ONNX model; may be given several times
    #[arg(long = "dim", value_name = "NAME=N", value_parser = extent)]
    extents: Vec<(String, usize)>,
}

impl Source {
    /// Reads the network and prints its warnings.
    fn load(&self) -> anyhow::Result<Network> {
        self.load_with(&[])
    }

    /// The same with changes to its recipe.
    fn load_with(&self, settings: &[String]) -> anyhow::Result<Network> {
        let is_model = self
            .file
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        if !is_model && !self.extents.is_empty() {
            anyhow::bail!("`--dim` is for ONNX models; the arguments of a net are given with `--arg`");
        }
        let options = LoadOptions {
            net: self.net.clone(),
            arguments: self.arguments.clone(),
            settings: settings.to_vec(),
            extents: self.extents.clone(),
        };
        let network = Network::load_with(&self.file, &options)?;
        console::note(&network.render_warnings(console::stderr_style()));
        Ok(network)
    }
}

/// How many threads.
#[derive(Debug, Args)]
struct Threads {
    /// Threads to run on [default: all processors]; the results are the same for any number
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    fn count(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(available, usize::from)
    }
}

/// Which instructions.
#[derive(Debug, Args)]
struct Processor {
    /// Instructions to compile for [default: the widest that this processor has]
    #[arg(long, value_enum)]
    cpu: Option<CpuName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CpuName {
    /// 128-bit vectors by Cranelift, on every processor
    Portable,
    /// 256-bit vectors
    Avx2,
    /// 512-bit vectors
    Avx512,
}

impl Processor {
    fn cpu(&self) -> Cpu {
        match self.cpu {
            None => Cpu::detect(),
            Some(CpuName::Portable) => Cpu::Portable,
            Some(CpuName::Avx2) => Cpu::Avx2,
            Some(CpuName::Avx512) => Cpu::Avx512,
        }
    }

    /// For this processor, with rewrites chosen for it as far as it is known.
    fn options(&self, threads: usize) -> anyhow::Result<Options> {
        CostMachine::default().options(self, threads)
    }
}

/// Which machine rewrites are chosen for.
#[derive(Debug, Default, Args)]
struct CostMachine {
    /// Machine that rewrites are chosen for: `reference`, `builtin`, or a file that `netc calibrate` wrote [default:
    /// this one if it was calibrated, else `builtin`]
    #[arg(long, value_name = "MACHINE")]
    machine: Option<String>,
}

impl CostMachine {
    /// Whether it is the machine of the repository, which is no processor.
    fn is_reference(&self) -> bool {
        self.machine.as_deref() == Some("reference")
    }

    /// The machine, for these instructions.
    fn machine(&self, cpu: Cpu) -> anyhow::Result<Machine> {
        Ok(match self.machine.as_deref() {
            Some("reference") => Machine::reference(),
            Some("builtin") => cpu.typical(),
            Some(file) => calibration::read(Path::new(file))?.machine,
            None => match calibration::load(cpu) {
                Ok(machine) => machine.unwrap_or_else(|| cpu.typical()),
                Err(error) => {
                    let again = format!("run `netc calibrate --cpu {}` again", cpu.name());
                    console::note(&format!("warning: {error}\nhint: it is not used; {again}\n"));
                    cpu.typical()
                }
            },
        })
    }

    /// Options for a processor and this machine.
    fn options(&self, processor: &Processor, threads: usize) -> anyhow::Result<Options> {
        let cpu = processor.cpu();
        let options = Options::portable().with_threads(threads).with_cpu(cpu)?;
        Ok(options.with_cost(self.machine(cpu)?))
    }
}

fn argument(text: &str) -> Result<(String, i64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let value = value
        .replace('_', "")
        .parse()
        .map_err(|_| format!("`{value}` is not a whole number"))?;
    Ok((name.to_owned(), value))
}

fn extent(text: &str) -> Result<(String, usize), String> {
    // Names of models may have any sign in them, numbers none.
    let (name, value) = text.rsplit_once('=').ok_or("expected NAME=N")?;
    match value.replace('_', "").parse() {
        Ok(number @ 1..) => Ok((name.to_owned(), number)),
        _ => Err(format!("`{value}` is not a whole number from 1")),
    }
}

fn name(text: &str) -> Result<String, String> {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && text.len() <= 100;
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_name && starts_well {
        Ok(text.to_owned())
    } else {
        Err("names are made of letters, digits and `_`, and do not start with a digit".to_owned())
    }
}
