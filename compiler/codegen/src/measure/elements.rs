//! Kernels that do little but move elements: pools, copies, halos, element-wise work, in both layouts.

use netc_schedule::kernel::{Divisor, Over, PackWeights, Pointwise, PoolKind, PoolWindow, Reduce, Scaling, Spread};
use netc_schedule::{Expression, Instruction, Kernel, Machine, Step, View};

use super::{time, wanted};
use crate::testing::{Order, Setup};

use Order::{ChannelsFirst, ChannelsLast};

/// Prints every row that is wanted.
pub(super) fn measure(machine: &Machine) {
    for order in [ChannelsFirst, ChannelsLast] {
        let layout = if order == ChannelsFirst {
            "channels first"
        } else {
            "channels last"
        };
        for (name, kind, kernel, stride, input) in [
            (
                "average 2x2",
                PoolKind::Average { count_padding: false },
                2,
                2,
                (6, 28, 28),
            ),
            ("maximum 2x2", PoolKind::Maximum, 2, 2, (16, 10, 10)),
            ("maximum 3x3 by 2", PoolKind::Maximum, 3, 2, (64, 55, 55)),
        ] {
            row(machine, &format!("pool {name}"), layout, &|setup| {
                pool(setup, order, kind, (kernel, stride), input)
            });
        }
        row(machine, "squares 16x32x32 in a halo", layout, &|setup| {
            let x = setup.batched((16, 32, 32), order, 0);
            let y = setup.batched((16, 32, 32), order, 1);
            (element_wise(Instruction::Multiply(0, 0)), vec![x], y)
        });
        row(machine, "squares 16x28x28 in a halo", layout, &|setup| {
            let x = setup.batched((16, 28, 28), order, 0);
            let y = setup.batched((16, 28, 28), order, 2);
            (element_wise(Instruction::Multiply(0, 0)), vec![x], y)
        });
        row(machine, "mean of 64x90", layout, &|setup| {
            let x = setup.batched((64, 1, 90), order, 0);
            let y = setup.batched((64, 1, 1), ChannelsFirst, 0);
            (mean(), vec![x], y)
        });
        row(machine, "norm 96x27x27", layout, &|setup| {
            let x = setup.batched((96, 27, 27), order, 0);
            let y = setup.batched((96, 27, 27), order, 0);
            let (alpha, beta, k) = (1e-4, 0.75, 2.0);
            let kernel = Kernel::LocalResponseNorm {
                size: 5,
                alpha,
                beta,
                k,
            };
            (kernel, vec![x], y)
        });
        row(machine, "halo of 6x28x28", layout, &|setup| {
            let y = setup.batched((6, 28, 28), order, 2);
            let (before, after) = ([2, 2], [2, 2]);
            (Kernel::ZeroHalo { before, after }, Vec::new(), y)
        });
        row(machine, "copy 1x28x28 into a halo", layout, &|setup| {
            let x = setup.batched((1, 28, 28), order, 0);
            let y = setup.batched((1, 28, 28), order, 2);
            (Kernel::Copy, vec![x], y)
        });
    }
    row(machine, "tanh of 4704", "", &|setup| {
        let (x, y) = (setup.flat(4704), setup.flat(4704));
        (element_wise(Instruction::Tanh(0)), vec![x], y)
    });
    for (extents, name) in [
        ((3, 224, 224), "3x224x224"),
        ((21, 128, 128), "21x128x128"),
        ((64, 32, 32), "64x32x32"),
    ] {
        for (from, to, layout) in [
            (ChannelsFirst, ChannelsLast, "first to last"),
            (ChannelsLast, ChannelsFirst, "last to first"),
        ] {
            row(machine, &format!("copy {name}"), layout, &|setup| {
                let x = setup.batched(extents, from, 0);
                let y = setup.batched(extents, to, 0);
                (Kernel::Copy, vec![x], y)
            });
        }
    }
    row(machine, "pack 9216x4096", "", &|setup| {
        let pack = PackWeights {
            groups: 1,
            group_stride: 0,
            width: 4096,
            width_stride: 9216,
            depth: 9216,
            depth_stride: 1,
            tap_offsets: vec![0],
            panel: machine.panel(4096),
        };
        let (from, to) = (setup.flat(4096 * 9216), setup.flat(pack.packed_count()));
        (Kernel::PackWeights(pack), vec![from], to)
    });
}

/// Makes a kernel's operands: the kernel, its reads and its write.
type Make<'a> = dyn Fn(&mut Setup) -> (Kernel, Vec<View>, View) + 'a;

/// One kernel: its time, and the bytes that its views hold for each second.
#[expect(clippy::print_stdout, reason = "the table is what this is for")]
fn row(machine: &Machine, name: &str, layout: &str, make: &Make<'_>) {
    if !wanted(name) {
        return;
    }
    let mut setup = Setup::new(2).on(machine);
    let (kernel, reads, write) = make(&mut setup);
    let elements: usize = reads.iter().chain([&write]).map(View::element_count).sum();
    let step = Step {
        name: name.to_owned(),
        kernel,
        reads,
        write,
        macs: 0,
    };
    let seconds = time(&step, &setup, machine, 1);
    println!(
        "  {name:28} {layout:14} {:9.2} us {:6.1} GB/s",
        seconds * 1e6,
        4.0 * elements as f64 / seconds / 1e9
    );
}

fn pool(
    setup: &mut Setup,
    order: Order,
    kind: PoolKind,
    (kernel, stride): (usize, usize),
    (channels, rows, columns): (usize, usize, usize),
) -> (Kernel, Vec<View>, View) {
    let out = |extent: usize| (extent - kernel) / stride + 1;
    let x = setup.batched((channels, rows, columns), order, 0);
    let y = setup.batched((channels, out(rows), out(columns)), order, 0);
    let window = PoolWindow {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad_before: [0; 2],
        pad_after: [0; 2],
    };
    (Kernel::Pool(kind, window), vec![x], y)
}

fn element_wise(instruction: Instruction) -> Kernel {
    let mut body = Expression::identity();
    body.push(instruction);
    Kernel::Pointwise(Pointwise {
        spreads: vec![Spread::Full],
        body,
        divisor: Divisor::One,
        replaces: Vec::new(),
    })
}

fn mean() -> Kernel {
    Kernel::Reduce(Reduce {
        spreads: vec![Spread::Full],
        body: Expression::identity(),
        over: Over::Space,
        scaling: Scaling::Mean,
    })
}
