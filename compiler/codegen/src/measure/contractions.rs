//! Contractions and weight gradients in typical sizes, in every layout that they can take.

use netc_schedule::kernel::{Contract, Lanes, Stride, Tap, Tiling, WeightGradient, Winograd};
use netc_schedule::{Expression, Kernel, Machine, Step, View};

use super::{compile_us, time, wanted};
use crate::testing::{Order, Setup};

/// Prints every case that is wanted.
pub(super) fn measure(machine: &Machine, peak: f64) {
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        contract_row(case, machine, peak);
        tile_rows(case, machine, peak);
        weight_gradient_row(case, machine, peak);
    }
}

/// One case forward, in every form that it can take.
fn contract_row(case: &Case, machine: &Machine, peak: f64) {
    for form in [Form::Last, Form::FirstToLast, Form::Columns] {
        let (step, setup) = case.contract(machine, form);
        let stride = Stride {
            row: case.stride,
            column: case.stride,
        };
        let name = match form {
            Form::Last => "channels last",
            Form::FirstToLast => "first to last",
            Form::Columns if Lanes::fit_columns(&step.reads[0], &step.write, stride) => "columns",
            Form::Columns => continue,
        };
        row(case, name, (&step, &setup), machine, peak);
    }
}

/// One case by tiles of every size that the rewriter tries. Shares of the peak may pass 100 %: the multiplications counted
/// are those that a convolution would need without tiles.
fn tile_rows(case: &Case, machine: &Machine, peak: f64) {
    let taps = [case.kernel.0, case.kernel.1];
    if case.stride > 1 || taps == [1, 1] {
        return;
    }
    for points in [4usize, 5, 6, 8] {
        let results = taps.map(|taps| {
            if taps == 1 {
                1
            } else {
                (points + 1).saturating_sub(taps)
            }
        });
        let worth = |axis: usize| taps[axis] == 1 || results[axis] > 1;
        if !worth(0) || !worth(1) || (points > 6 && taps[0] > 1) || (points == 5 && taps[0] == 1) {
            continue;
        }
        let (step, setup) = case.winograd(machine, results);
        let name = format!("tiles of {}x{}", results[0], results[1]);
        row(case, &name, (&step, &setup), machine, peak);
    }
}

/// The weight gradient of one case.
fn weight_gradient_row(case: &Case, machine: &Machine, peak: f64) {
    let (step, setup) = case.weight_gradient(machine);
    row(case, "its gradient", (&step, &setup), machine, peak);
}

/// Times one step of a case and prints its row.
#[expect(clippy::print_stdout, reason = "the table is what this is for")]
fn row(case: &Case, name: &str, (step, setup): (&Step, &Setup), machine: &Machine, peak: f64) {
    let compile = compile_us(step, machine);
    let seconds = time(step, setup, machine, case.batch);
    let speed = 2.0 * case.macs() as f64 / seconds / 1e9;
    println!(
        "  {:28} {name:14} {:9.2} us {speed:6.1} GFLOP/s ({:3.0} %)  compiled in {compile:.0} us",
        case.name,
        seconds * 1e6,
        100.0 * speed / peak,
    );
}

struct Case {
    name: &'static str,
    depth: usize,
    width: usize,
    kernel: (usize, usize),
    stride: usize,
    out: (usize, usize),
    batch: usize,
}

/// How a contraction's operands lie, and what shares a vector.
#[derive(Clone, Copy)]
enum Form {
    /// All channels last, lanes are channels.
    Last,
    /// From channels first to channels last, lanes are channels.
    FirstToLast,
    /// All channels first, lanes are columns.
    Columns,
}

impl Form {
    const fn orders(self) -> [Order; 2] {
        match self {
            Self::Last => [Order::ChannelsLast, Order::ChannelsLast],
            Self::FirstToLast => [Order::ChannelsFirst, Order::ChannelsLast],
            Self::Columns => [Order::ChannelsFirst, Order::ChannelsFirst],
        }
    }

    const fn lanes(self) -> Lanes {
        match self {
            Self::Last | Self::FirstToLast => Lanes::Channels,
            Self::Columns => Lanes::Columns,
        }
    }
}

impl Case {
    const fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    fn operands(&self, machine: &Machine, form: Form) -> (Setup, View, View, View) {
        let mut setup = Setup::new(1).on(machine);
        let reach = |out: usize, kernel: usize| (out - 1) * self.stride + kernel;
        let extents = (
            self.depth,
            reach(self.out.0, self.kernel.0),
            reach(self.out.1, self.kernel.1),
        );
        let [from, to] = form.orders();
        let x = setup.batched(extents, from, 0);
        let y = setup.batched((self.width, self.out.0, self.out.1), to, 0);
        let panel = form.lanes().panel(self.width, machine);
        let packed = self.width.next_multiple_of(panel) * self.taps() * self.depth;
        let weights = setup.flat(packed);
        (setup, x, y, weights)
    }

    fn tap_list(&self) -> Vec<Tap> {
        let (rows, columns) = (self.kernel.0 as isize, self.kernel.1 as isize);
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| Tap { row, column }))
            .collect()
    }

    fn contract(&self, machine: &Machine, form: Form) -> (Step, Setup) {
        let (setup, x, y, weights) = self.operands(machine, form);
        let kernel = Kernel::Contract(Contract {
            taps: self.tap_list(),
            stride: Stride {
                row: self.stride,
                column: self.stride,
            },
            groups: 1,
            depth: self.depth,
            width: self.width,
            panel: form.lanes().panel(self.width, machine),
            lanes: form.lanes(),
            bias: false,
            epilogue: Expression::identity(),
            pooled: None,
        });
        (
            Step {
                name: self.name.to_owned(),
                kernel,
                reads: vec![x, weights],
                write: y,
                macs: 0,
            },
            setup,
        )
    }

    fn winograd(&self, machine: &Machine, results: [usize; 2]) -> (Step, Setup) {
        let tiling = Tiling {
            results,
            taps: [self.kernel.0, self.kernel.1],
            dilation: [1, 1],
        };
        let (mut step, _) = self.contract(machine, Form::Last);
        let Kernel::Contract(contract) = step.kernel else {
            unreachable!("just made")
        };
        let mut setup = Setup::new(1).on(machine);
        let counts = tiling.tiles([self.out.0, self.out.1]);
        let covered = |axis: usize| counts[axis] * results[axis] + tiling.taps[axis] - 1;
        let x = setup.batched((self.depth, covered(0), covered(1)), Order::ChannelsLast, 0);
        let y = setup.batched((self.width, self.out.0, self.out.1), Order::ChannelsLast, 0);
        let packed = self.width.next_multiple_of(contract.panel) * tiling.positions() * self.depth;
        let weights = setup.flat(packed);
        step.reads = vec![x, weights];
        step.write = y;
        step.kernel = Kernel::Winograd(Winograd { tiling, contract });
        (step, setup)
    }

    fn weight_gradient(&self, machine: &Machine) -> (Step, Setup) {
        let (mut setup, x, y, _) = self.operands(machine, Form::Last);
        let dw = setup.flat(self.taps() * self.depth * self.width);
        let kernel = Kernel::WeightGradient(WeightGradient {
            taps: self.tap_list(),
            stride: Stride {
                row: self.stride,
                column: self.stride,
            },
            groups: 1,
            depth: self.depth,
            width: self.width,
            group_stride: 0,
            width_stride: self.depth * self.taps(),
            depth_stride: self.taps(),
            tap_offsets: (0..self.taps()).collect(),
        });
        (
            Step {
                name: self.name.to_owned(),
                kernel,
                reads: vec![x, y],
                write: dw,
                macs: 0,
            },
            setup,
        )
    }

    const fn macs(&self) -> usize {
        self.batch * self.out.0 * self.out.1 * self.width * self.depth * self.taps()
    }
}

const CASES: [Case; 20] = [
    Case {
        name: "lenet conv1, batch 1",
        depth: 1,
        width: 6,
        kernel: (5, 5),
        stride: 1,
        out: (28, 28),
        batch: 1,
    },
    Case {
        name: "lenet conv1, batch 64",
        depth: 1,
        width: 6,
        kernel: (5, 5),
        stride: 1,
        out: (28, 28),
        batch: 64,
    },
    Case {
        name: "lenet conv2, batch 1",
        depth: 6,
        width: 16,
        kernel: (5, 5),
        stride: 1,
        out: (10, 10),
        batch: 1,
    },
    Case {
        name: "lenet conv2, batch 64",
        depth: 6,
        width: 16,
        kernel: (5, 5),
        stride: 1,
        out: (10, 10),
        batch: 64,
    },
    Case {
        name: "lenet conv3, batch 1",
        depth: 16,
        width: 120,
        kernel: (5, 5),
        stride: 1,
        out: (1, 1),
        batch: 1,
    },
    Case {
        name: "ecg conv1 at 360",
        depth: 1,
        width: 16,
        kernel: (1, 7),
        stride: 1,
        out: (1, 360),
        batch: 1,
    },
    Case {
        name: "ecg conv1 at 3600",
        depth: 1,
        width: 16,
        kernel: (1, 7),
        stride: 1,
        out: (1, 3600),
        batch: 1,
    },
    Case {
        name: "ecg conv2 at 180",
        depth: 16,
        width: 32,
        kernel: (1, 5),
        stride: 1,
        out: (1, 180),
        batch: 1,
    },
    Case {
        name: "ecg conv3 at 90",
        depth: 32,
        width: 64,
        kernel: (1, 3),
        stride: 1,
        out: (1, 90),
        batch: 1,
    },
    Case {
        name: "3x3 3->16 at 32x32",
        depth: 3,
        width: 16,
        kernel: (3, 3),
        stride: 1,
        out: (32, 32),
        batch: 1,
    },
    Case {
        name: "3x3 3->16 at 16x16, stride 2",
        depth: 3,
        width: 16,
        kernel: (3, 3),
        stride: 2,
        out: (16, 16),
        batch: 1,
    },
    Case {
        name: "3x3 64->64 at 32x32",
        depth: 64,
        width: 64,
        kernel: (3, 3),
        stride: 1,
        out: (32, 32),
        batch: 4,
    },
    Case {
        name: "3x3 32->32 at 64x64",
        depth: 32,
        width: 32,
        kernel: (3, 3),
        stride: 1,
        out: (64, 64),
        batch: 1,
    },
    Case {
        name: "3x3 128->128 at 16x16",
        depth: 128,
        width: 128,
        kernel: (3, 3),
        stride: 1,
        out: (16, 16),
        batch: 1,
    },
    Case {
        name: "3x3 256->256 at 8x8",
        depth: 256,
        width: 256,
        kernel: (3, 3),
        stride: 1,
        out: (8, 8),
        batch: 1,
    },
    Case {
        name: "3x3 384->256 at 13x13",
        depth: 384,
        width: 256,
        kernel: (3, 3),
        stride: 1,
        out: (13, 13),
        batch: 1,
    },
    Case {
        name: "alexnet conv1",
        depth: 3,
        width: 64,
        kernel: (11, 11),
        stride: 4,
        out: (55, 55),
        batch: 1,
    },
    Case {
        name: "alexnet conv2",
        depth: 64,
        width: 192,
        kernel: (5, 5),
        stride: 1,
        out: (27, 27),
        batch: 1,
    },
    Case {
        name: "dense 9216x4096, batch 1",
        depth: 9216,
        width: 4096,
        kernel: (1, 1),
        stride: 1,
        out: (1, 1),
        batch: 1,
    },
    Case {
        name: "dense 9216x4096, batch 16",
        depth: 9216,
        width: 4096,
        kernel: (1, 1),
        stride: 1,
        out: (1, 1),
        batch: 16,
    },
];
